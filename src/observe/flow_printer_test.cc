#include "observe/flow_printer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "flowlog/flow_log_reader.h"

namespace weir::observe {
namespace {

/// Level 1, denied, of the destination; staged policies would allow it.
constexpr std::string_view kDenied =
    R"({"start_time":1795543200,"end_time":1795543500,"action":"deny","reporter":"dst","proto":"tcp",)"
    R"("source_name":"web-7d4b9-x2x","source_name_aggr":"web-7d4b9-*","source_namespace":"shop","source_type":"wep",)"
    R"("source_workload":"web","source_workload_kind":"Deployment","source_labels":{"labels":["app=web"]},)"
    R"("source_ip":"10.0.0.1","source_port":null,"dest_name":"db-0","dest_name_aggr":"db-*","dest_namespace":"shop",)"
    R"("dest_type":"wep","dest_workload":"db","dest_workload_kind":"StatefulSet","dest_ip":"10.0.0.2","dest_port":5432,)"
    R"("dest_service_namespace":"shop","dest_service_name":"db","num_flows":3,"num_flows_unanswered":3,)"
    R"("packets_in":6,"bytes_in":12400,"policies":{"enforced_policies":["0|default|shop/knp.default.db|deny|-1"],)"
    R"("pending_policies":["0|default|shop/staged:knp.default.db|allow|0"]}})";
/// Level 2, allowed, to the outside.
constexpr std::string_view kAllowed =
    R"({"start_time":1795543500,"end_time":1795543800,"action":"allow","reporter":"src","proto":"udp",)"
    R"("source_name":"-","source_name_aggr":"web-*","source_namespace":"shop","source_type":"wep","source_workload":"web",)"
    R"("dest_name_aggr":"pub","dest_type":"net","dest_port":443,"dest_external_ips":["2001:db8::1","203.0.113.9"],)"
    R"("num_dest_external_ips":5,"num_flows":1,"num_flows_established":1,"bytes_out":100,"bytes_in":200})";

class Printed : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  static std::string print(PrintOptions options) {
    FlowPrinter printer(std::move(options));
    flowlog::FlowLogReader reader;
    std::string out;
    printer.begin(out);
    for (const std::string_view line : {kDenied, kAllowed}) {
      const auto record = reader.read(line);
      EXPECT_TRUE(record.ok()) << record.error().message;
      printer.print(*record.value(), line, line == kDenied ? "node-1" : "", out);
    }
    printer.end(out);
    return out;
  }
};

TEST_F(Printed, CompactIsHubblesLine) {
  EXPECT_EQ(print({}),
            "Nov 24 18:00:00.000: shop/web-7d4b9-x2x -> shop/db-0:5432 to-endpoint DROPPED AUDIT (TCP; 3 flows, 12.4K "
            "bytes, unanswered; BY shop/db: no rule allows it; STAGED BY shop/staged:db rule 0)\n"
            "Nov 24 18:05:00.000: shop/web -> [2001:db8::1]+4:443 from-endpoint FORWARDED (UDP; 1 flow, 300 bytes, "
            "established)\n");
}

TEST_F(Printed, CompactWithItsOptions) {
  PrintOptions options;
  options.node_name = options.numeric = options.colour = true;
  options.policy_names = false;
  options.time = parse_time_format("RFC3339").value();
  const std::string text = print(options);
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "2026-11-24T18:00:00+00:00 [node-1]: \x1b[36m10.0.0.1\x1b[0m -> \x1b[36m10.0.0.2:5432\x1b[0m to-endpoint "
            "\x1b[31mDROPPED\x1b[0m \x1b[33mAUDIT\x1b[0m (TCP; 3 flows, 12.4K bytes, unanswered)");
  EXPECT_NE(text.find(" [-]: \x1b[36mshop/web\x1b[0m"), std::string::npos) << "no address: its name";
}

TEST_F(Printed, Table) {
  PrintOptions options;
  options.format = Format::kTable;
  options.policy_names = false;
  EXPECT_EQ(print(options),
            "TIMESTAMP            SOURCE              DESTINATION          TYPE           VERDICT        SUMMARY\n"
            "Nov 24 18:00:00.000  shop/web-7d4b9-x2x  shop/db-0:5432       to-endpoint    DROPPED AUDIT  TCP; 3 flows, "
            "12.4K bytes, unanswered\n"
            "Nov 24 18:05:00.000  shop/web            [2001:db8::1]+4:443  from-endpoint  FORWARDED      UDP; 1 flow, "
            "300 bytes, established\n");
}

TEST_F(Printed, Dict) {
  PrintOptions options;
  options.format = Format::kDict;
  const std::string text = print(options);
  EXPECT_EQ(text.substr(0, text.find("    SUMMARY")),
            "  TIMESTAMP: Nov 24 18:00:00.000\n"
            "     SOURCE: shop/web-7d4b9-x2x\n"
            "DESTINATION: shop/db-0:5432\n"
            "       TYPE: to-endpoint\n"
            "    VERDICT: DROPPED AUDIT\n");
  EXPECT_NE(text.find("\n------------\n  TIMESTAMP: Nov 24 18:05"), std::string::npos);
}

TEST_F(Printed, JsonIsTheLineItself) {
  PrintOptions options;
  options.format = Format::kJson;
  EXPECT_EQ(print(options), std::string(kDenied) + "\n" + std::string(kAllowed) + "\n");
  options.columns = {"dest_port", "policies.pending_policies", "source_labels"};
  EXPECT_EQ(print(options),
            "{\"source_labels\":{\"labels\":[\"app=web\"]},\"dest_port\":5432,"
            "\"policies\":{\"pending_policies\":[\"0|default|shop/staged:knp.default.db|allow|0\"]}}\n"
            "{\"dest_port\":443}\n");
}

TEST_F(Printed, CsvHasAHeaderAndQuotes) {
  PrintOptions options;
  options.format = Format::kCsv;
  options.columns = {"action", "source_labels.labels", "dest_port", "num_dest_external_ips", "source_port"};
  EXPECT_EQ(print(options),
            "action,source_labels.labels,dest_port,num_dest_external_ips,source_port\r\n"
            "deny,\"[\"\"app=web\"\"]\",5432,,\r\n"
            "allow,,443,5,\r\n");
  options.columns.clear();
  const std::string all = print(options);
  EXPECT_TRUE(all.starts_with("start_time,end_time,action,reporter,proto,"));
  EXPECT_EQ(all.find("dest_service_port,"), std::string::npos) << "one of two names of a field";
  EXPECT_NE(all.find("dest_service_port_name,"), std::string::npos);
}

TEST_F(Printed, JsonpbIsHubblesResponse) {
  PrintOptions options;
  options.format = Format::kJsonpb;
  const std::string text = print(options);
  std::string first = text.substr(0, text.find('\n'));
  // The rest of the golden text does not hang on the hash.
  const std::size_t uuid = first.find("\"uuid\":\"") + 8;
  EXPECT_EQ(first[uuid + 14], '8');
  first.replace(uuid, 36, "U");
  EXPECT_EQ(
      first,
      R"({"flow":{"time":"2026-11-24T18:00:00Z","uuid":"U","verdict":"DROPPED","drop_reason":133,)"
      R"("IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},"l4":{"TCP":{"destination_port":5432}},)"
      R"("source":{"namespace":"shop","labels":["k8s:app=web"],"pod_name":"web-7d4b9-x2x",)"
      R"("workloads":[{"name":"web","kind":"Deployment"}]},"destination":{"namespace":"shop","pod_name":"db-0",)"
      R"("workloads":[{"name":"db","kind":"StatefulSet"}]},"Type":"L3_L4","node_name":"node-1","event_type":{"type":1},)"
      R"("destination_service":{"name":"db","namespace":"shop"},"traffic_direction":"INGRESS",)"
      R"("drop_reason_desc":"POLICY_DENIED","is_reply":false,"Summary":"tcp; 3 flows, 12.4K bytes, unanswered",)"
      R"("ingress_denied_by":[{"name":"db","namespace":"shop","kind":"NetworkPolicy"}],)"
      R"("aggregate":{"ingress_flow_count":3}},"node_name":"node-1","time":"2026-11-24T18:00:00Z"})");
  const std::string second = text.substr(text.find('\n') + 1);
  for (const char* part :
       {R"("verdict":"FORWARDED")", R"("destination":{"identity":2,"labels":["reserved:world"]})",
        R"("traffic_direction":"EGRESS","trace_observation_point":"FROM_ENDPOINT")", R"("event_type":{"type":4})"}) {
    EXPECT_NE(second.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(second.find("\"IP\""), std::string::npos) << "addresses of the outside are several";
  options.columns = {"flow.verdict", "flow.source.namespace"};
  EXPECT_EQ(print(options),
            "{\"flow\":{\"verdict\":\"DROPPED\",\"source\":{\"namespace\":\"shop\"}}}\n"
            "{\"flow\":{\"verdict\":\"FORWARDED\",\"source\":{\"namespace\":\"shop\"}}}\n");
}

}  // namespace
}  // namespace weir::observe
