#include "flowlog/flow_log.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "flowlog/flow_log_reader.h"
#include "model/fields.h"

namespace weir::flowlog {
namespace {

using model::FlowRecord;

std::string line_of(const FlowRecord& record, FlowLogOptions options = {}) {
  FlowLogWriter writer(options);
  std::string line;
  writer.append(record, line);
  return line;
}

/// The text of one member of a line, by its key.
std::string member(const std::string& line, std::string_view name) {
  const std::string key = '"' + std::string(name) + "\":";
  const std::size_t at = line.find(key);
  if (at == std::string::npos) return "(absent)";
  std::size_t end = at + key.size();
  int depth = 0;
  bool quoted = false;
  for (; end < line.size(); ++end) {
    const char c = line[end];
    if (c == '"' && line[end - 1] != '\\') quoted = !quoted;
    if (quoted) continue;
    if (c == '[' || c == '{') ++depth;
    if (depth == 0 && (c == ',' || c == '}')) break;
    if (c == ']' || c == '}') --depth;
  }
  return line.substr(at + key.size(), end - at - key.size());
}

/// A record with something in every field that Weir fills.
struct Full {
  model::LabelSet labels{{"app=web", "tier=\"front\""}};
  model::LabelSet no_labels;
  model::PolicyTrace enforced{{"0|default|shop/default.web|allow|0"}, model::Action::kAllow};
  model::PolicyTrace pending{{"0|default|shop/default.staged:web|deny|-1"}, model::Action::kDeny};
  std::vector<std::string_view> domains{"a.example", "b.example"};
  std::vector<std::uint16_t> ports{61234, 1};
  std::vector<IpAddress> addresses{IpAddress::parse("203.0.113.9").value(), IpAddress::parse("2001:db8::1").value()};
  FlowRecord record;

  Full() {
    record.start_time = 1597166083;
    record.end_time = 1597166383;
    record.action = "deny";
    record.reporter = "dst";
    record.protocol = 6;
    record.source_ip = addresses[0];
    record.dest_ip = addresses[1];
    record.source_name = "client-a";
    record.source_name_aggr = "client-*";
    record.source_namespace = "shop";
    record.source_type = "wep";
    record.source_port = 42106;
    record.dest_port = 80;
    record.source_labels = &labels;
    record.dest_labels = &no_labels;
    record.dest_service_name = "web";
    record.dest_service_port_num = 80;
    record.dest_domains = domains;
    record.num_flows = 47;
    record.bytes_in = 18446744073709551615u;
    record.nat_outgoing_ports = ports;
    record.policies = {&enforced, &pending};
    record.original_source_ips = addresses;
    record.num_original_source_ips = 73;
    record.dest_external_ips = addresses;
    record.source_identity = this;
    record.dest_identity = &labels;
  }
};

TEST(FlowLog, WritesEveryFieldOnceInTableOrder) {
  const std::string line = line_of({});
  std::size_t at = 0;
  model::for_each_flow_field([&](const auto& field) {
    const std::size_t found = line.find('"' + std::string(field.name) + "\":", at);
    ASSERT_NE(found, std::string::npos) << field.name;
    at = found + 1;
  });
  EXPECT_TRUE(line.starts_with(R"({"start_time":0,"end_time":0,"action":"allow",)"));
  EXPECT_TRUE(line.ends_with("}\n"));
}

TEST(FlowLog, AbsentForms) {
  const std::string line = line_of({});
  for (const char* name :
       {"source_ip", "dest_ip", "source_port", "dest_port", "source_labels", "dest_labels", "policies", "dest_domains",
        "nat_outgoing_ports", "original_source_ips", "source_external_ips", "dest_external_ips", "process_args"}) {
    EXPECT_EQ(member(line, name), "null") << name;
  }
  for (const char* name : {"source_name", "source_namespace", "dest_service_name", "dest_service_namespace",
                           "dest_service_port", "dest_service_port_name", "process_name", "process_id"}) {
    EXPECT_EQ(member(line, name), "\"-\"") << name;
  }
  for (const char* name : {"num_flows", "packets_in", "dest_service_port_num", "http_requests_denied_in"}) {
    EXPECT_EQ(member(line, name), "0") << name;
  }
}

TEST(FlowLog, PresentForms) {
  const Full full;
  const std::string line = line_of(full.record);
  const struct {
    const char* name;
    const char* want;
  } cases[] = {
      {"proto", "\"tcp\""},
      {"start_time", "1597166083"},
      {"source_ip", "\"203.0.113.9\""},
      {"dest_ip", "\"2001:db8::1\""},
      {"source_port", "42106"},
      {"source_labels", R"({"labels":["app=web","tier=\"front\""]})"},
      {"dest_labels", R"({"labels":[]})"},
      {"dest_domains", R"(["a.example","b.example"])"},
      {"nat_outgoing_ports", "[61234,1]"},
      {"bytes_in", "18446744073709551615"},
      {"policies", R"({"enforced_policies":["0|default|shop/default.web|allow|0"],)"
                   R"("pending_policies":["0|default|shop/default.staged:web|deny|-1"]})"},
      {"dest_external_ips", R"(["203.0.113.9","2001:db8::1"])"},
  };
  for (const auto& c : cases) EXPECT_EQ(member(line, c.name), c.want) << c.name;
}

TEST(FlowLog, ProtocolsWithoutANameAreNumbers) {
  FlowRecord record;
  record.protocol = 253;
  EXPECT_EQ(member(line_of(record), "proto"), "\"253\"");
}

TEST(FlowLog, EscapesWhatJsonMustEscape) {
  for (const std::string_view name :
       {"a\"b", "back\\slash", "line\nfeed", "\x01", "bell\x07 in a long name", "nul\x7f", "gr\xc3\xbc\xc3\x9f",
        "bad\xff utf-8", "", "exactly8", "exactly8\"", "1234567\x1f"}) {
    FlowRecord record;
    record.process_name = name;
    std::string want;
    json::append_string(want, name);
    EXPECT_EQ(member(line_of(record), "process_name"), want);
  }
}

TEST(FlowLog, VeryLongValuesFit) {
  Full full;
  full.labels.pairs.assign(20000, std::string(50, 'x'));
  const std::vector<IpAddress> many(5000, full.addresses[1]);
  full.record.dest_external_ips = many;
  const std::string name(100000, '\n');
  full.record.source_name = name;
  const std::string line = line_of(full.record);
  EXPECT_GT(line.size(), 20000u * 50 + 5000u * 13 + 200000);
  FlowLogReader reader;
  EXPECT_TRUE(reader.read(line).ok());
}

/// Random records over few identities.
class RandomRecords {
 public:
  RandomRecords() {
    for (int i = 0; i < 20; ++i) {
      names_.push_back("name-" + std::to_string(i) + (i % 7 == 0 ? "\"\t" : ""));
      labels_.push_back({{"app=" + names_.back(), "n=" + std::to_string(i)}});
      if (i % 5 == 0) labels_.back().pairs.clear();
      traces_.push_back({{"0|t|" + names_.back() + "|allow|0", "1|t|x|deny|-1"}, model::Action::kDeny});
    }
  }
  FlowRecord next() {
    FlowRecord r;
    const std::size_t source = pick(20), dest = pick(20);
    r.source_name = names_[source];
    r.source_namespace = names_[source / 2];
    r.source_identity = &names_[source];
    r.dest_name = names_[dest];
    r.dest_identity = &names_[dest];
    if (pick(4) != 0) r.source_labels = &labels_[pick(20)];
    if (pick(4) != 0) r.dest_labels = &labels_[pick(20)];
    if (pick(4) != 0) r.policies.enforced = &traces_[pick(20)];
    if (pick(4) != 0) r.policies.pending = &traces_[pick(20)];
    if (pick(2) != 0) r.source_ip = IpAddress::v4(static_cast<std::uint32_t>(random_()));
    if (pick(2) != 0) r.dest_port = static_cast<std::uint16_t>(random_());
    r.packets_in = pick(3) == 0 ? random_() : pick(1000);
    r.protocol = static_cast<std::uint8_t>(pick(256));
    r.start_time = static_cast<std::int64_t>(pick(2000)) - 1000;
    r.dest_service_port_name = names_[pick(20)];
    r.tcp_mean_mss = pick(100000);
    return r;
  }

 private:
  std::size_t pick(std::size_t n) { return random_() % n; }
  std::mt19937_64 random_{7};
  std::vector<std::string> names_;
  std::vector<model::LabelSet> labels_;
  std::vector<model::PolicyTrace> traces_;
};

TEST(FlowLog, RememberedTextIsTheSameText) {
  RandomRecords records;
  FlowLogWriter remembering, plain({.fragments = false}), forgetful({.max_fragment_bytes = 300});
  for (int i = 0; i < 2000; ++i) {
    const FlowRecord record = records.next();
    std::string a, b, c;
    remembering.append(record, a);
    plain.append(record, b);
    forgetful.append(record, c);
    ASSERT_EQ(a, b);
    ASSERT_EQ(c, b);
  }
}

TEST(FlowLog, ForgetMakesRoomForNewMeanings) {
  Full full;
  FlowLogWriter writer;
  std::string line;
  writer.append(full.record, line);
  full.labels.pairs = {"app=other"};
  full.record.source_name = "client-b";
  writer.forget();
  line.clear();
  writer.append(full.record, line);
  EXPECT_EQ(line, line_of(full.record, {.fragments = false}));
}

TEST(FlowLogReader, WriteReadWriteIsIdentical) {
  const Full full;
  RandomRecords random;
  std::vector<FlowRecord> records{{}, full.record};
  for (int i = 0; i < 500; ++i) records.push_back(random.next());
  FlowLogReader reader;
  for (const FlowRecord& record : records) {
    const std::string line = line_of(record);
    const auto read = reader.read(line);
    ASSERT_TRUE(read.ok()) << read.error().message << "\n" << line;
    ASSERT_EQ(line_of(*read.value()), line);
  }
}

TEST(FlowLogReader, AcceptsWhatOtherWritersWrite) {
  FlowLogReader reader;
  const auto read = reader.read(
      R"({"host":"node-1","@timestamp":1597166383000,"end_time":1597166383,"proto":"ICMPv6","dest_service_port":"http",)"
      R"("dest_service_port_num":null,"dest_service_port_name":"-","packets_in":12.0,"source_ip":null,"bytes_in":null,)"
      R"("source_labels":{"labels":["b=2","a=1"],"x":{"y":[1]}},"dest_labels":{"labels":null},)"
      R"("policies":{"all_policies":["0|a|b|allow"],"enforced_policies":["0|tier1|ns1/tier1.policy1|pass"]}})");
  ASSERT_TRUE(read.ok()) << read.error().message;
  const FlowRecord& record = *read.value();
  EXPECT_EQ(record.end_time, 1597166383);
  EXPECT_EQ(record.protocol, 58);
  EXPECT_EQ(record.dest_service_port_name, "http");
  EXPECT_EQ(record.dest_service_port_num, 0);
  EXPECT_EQ(record.packets_in, 12u);
  EXPECT_FALSE(record.source_ip.has_value());
  EXPECT_EQ(record.source_labels->pairs, (std::vector<std::string>{"a=1", "b=2"}));
  EXPECT_TRUE(record.dest_labels->pairs.empty());
  ASSERT_NE(record.policies.enforced, nullptr);
  EXPECT_EQ(record.policies.enforced->entries.at(0), "0|tier1|ns1/tier1.policy1|pass");
  EXPECT_EQ(record.policies.enforced->verdict, model::Action::kPass);
  EXPECT_EQ(record.policies.pending, nullptr);
  EXPECT_TRUE(reader.read("{}\n").ok());
}

TEST(FlowLogReader, RefusesWithAReason) {
  const struct {
    const char* line;
    const char* reason;
  } cases[] = {
      {"", "not JSON"},
      {"[1]", "not JSON"},
      {"{\"a\":1", "not JSON"},
      {"{} {}", "not JSON: text after the object"},
      {R"({"packets_in":-1})", "field packets_in: expected an unsigned integer"},
      {R"({"packets_in":"many"})", "field packets_in: expected an unsigned integer"},
      {R"({"source_port":65536})", "field source_port: expected a smaller number"},
      {R"({"source_ip":"1.2.3"})", "field source_ip: expected an IP address"},
      {R"({"proto":"none"})", "field proto: expected a protocol name or number"},
      {R"({"source_labels":["a=1"]})", "field source_labels: expected an object or null"},
      {R"({"dest_domains":"a"})", "field dest_domains: expected a list or null"},
      {R"({"action":5})", "field action: expected text"},
  };
  FlowLogReader reader;
  for (const auto& c : cases) {
    const auto read = reader.read(c.line);
    ASSERT_FALSE(read.ok()) << c.line;
    EXPECT_TRUE(read.error().message.starts_with(c.reason)) << c.line << ": " << read.error().message;
  }
}

}  // namespace
}  // namespace weir::flowlog
