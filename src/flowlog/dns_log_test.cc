#include "flowlog/dns_log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flowlog/l7_log.h"

namespace weir::flowlog {
namespace {

TEST(DnsLog, WritesTheDocumentedFieldsInOrder) {
  const model::LabelSet labels{{"app=web"}}, none;
  const std::vector<model::DnsRrset> rrsets{{"www.tigera.io", "A", "IN", {"104.18.1.1", "104.18.1.2"}},
                                            {"x\"y", "TXT", "IN", {}}};
  std::vector<model::DnsServer> servers(2);
  servers[0] = {IpAddress::parse("10.96.0.10").value(), "dns-1", "dns-*", "kube-system", &none};
  servers[1].ip = IpAddress::parse("2001:db8::53").value();
  model::DnsRecord r;
  r.start_time = 100;
  r.end_time = 400;
  r.count = 3;
  r.client_name_aggr = "web-*";
  r.client_namespace = "shop";
  r.client_labels = &labels;
  r.qname = "www.tigera.io";
  r.qtype = "A";
  r.qclass = "IN";
  r.rrsets = rrsets;
  r.servers = servers;
  r.latency_count = 2;
  r.latency_mean = 5;
  r.latency_max = 9;
  std::string line;
  append_dns_line(line, r);
  EXPECT_EQ(
      line,
      "{\"start_time\":100,\"end_time\":400,\"type\":\"LOG\",\"count\":3,\"client_ip\":null,\"client_name\":\"-\","
      "\"client_name_aggr\":\"web-*\",\"client_namespace\":\"shop\",\"client_labels\":{\"labels\":[\"app=web\"]},"
      "\"qname\":\"www.tigera.io\",\"qtype\":\"A\",\"qclass\":\"IN\",\"rcode\":\"NoError\","
      "\"rrsets\":[{\"name\":\"www.tigera.io\",\"type\":\"A\",\"class\":\"IN\",\"rdata\":[\"104.18.1.1\","
      "\"104.18.1.2\"]},{\"name\":\"x\\\"y\",\"type\":\"TXT\",\"class\":\"IN\",\"rdata\":[]}],"
      "\"servers\":[{\"ip\":\"10.96.0.10\",\"name\":\"dns-1\",\"name_aggr\":\"dns-*\",\"namespace\":"
      "\"kube-system\",\"labels\":{\"labels\":[]}},{\"ip\":\"2001:db8::53\",\"name\":\"-\",\"name_aggr\":\"-\","
      "\"namespace\":\"-\",\"labels\":null}],\"latency_count\":2,\"latency_mean\":5,\"latency_max\":9}\n");
}

TEST(DnsLog, AnUnloggedRecordHasOnlyWhatIsValid) {
  model::DnsRecord r;
  r.start_time = 1;
  r.end_time = 2;
  r.type = "UNLOGGED";
  r.count = 7;
  std::string line;
  append_dns_line(line, r);
  EXPECT_EQ(line, "{\"start_time\":1,\"end_time\":2,\"type\":\"UNLOGGED\",\"count\":7}\n");
}

TEST(L7Log, WritesTheDocumentedFieldsInOrder) {
  model::L7Record r;
  r.start_time = 100;
  r.end_time = 400;
  r.method = "GET";
  r.url = "shop.test/a";
  r.response_code = "200";
  r.type = "html/1.1";
  r.protocol_version = "HTTP/1.1";
  r.count = 1;
  r.bytes_in = 10;
  r.bytes_out = 20;
  r.duration_mean = r.duration_max = 300;
  std::string line;
  append_l7_line(line, r);
  EXPECT_EQ(line,
            "{\"start_time\":100,\"end_time\":400,\"src_name_aggr\":\"-\",\"src_namespace\":\"-\",\"src_type\":\"net\","
            "\"src_ip\":null,\"src_port\":null,\"dest_name_aggr\":\"-\",\"dest_namespace\":\"-\",\"dest_type\":\"net\","
            "\"dest_ip\":null,\"dest_port\":null,\"dest_service_namespace\":\"-\",\"dest_service_name\":\"-\","
            "\"dest_service_port\":0,\"method\":\"GET\",\"url\":\"shop.test/a\",\"response_code\":\"200\","
            "\"user_agent\":\"-\",\"type\":\"html/1.1\",\"protocol\":\"http\",\"protocol_version\":\"HTTP/1.1\","
            "\"collector_type\":\"pcap\",\"collector_name\":\"packets\",\"count\":1,\"bytes_in\":10,\"bytes_out\":20,"
            "\"duration_mean\":300,\"duration_max\":300,\"original_source_ips\":null,\"num_original_source_ips\":0}\n");
  const std::vector<IpAddress> clients{IpAddress::parse("203.0.113.9").value()};
  r.original_source_ips = clients;
  r.num_original_source_ips = 1;
  r.src_ip = clients[0];
  r.src_port = 40000;
  line.clear();
  append_l7_line(line, r);
  EXPECT_NE(line.find("\"src_ip\":\"203.0.113.9\",\"src_port\":40000"), std::string::npos);
  EXPECT_NE(line.find("\"original_source_ips\":[\"203.0.113.9\"],\"num_original_source_ips\":1"), std::string::npos);
}

}  // namespace
}  // namespace weir::flowlog
