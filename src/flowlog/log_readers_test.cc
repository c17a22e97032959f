#include "flowlog/log_readers.h"

#include <gtest/gtest.h>

#include <string>

#include "flowlog/agent_log.h"
#include "flowlog/dns_log.h"
#include "flowlog/flow_log_reader.h"
#include "flowlog/l7_log.h"

namespace weir::flowlog {
namespace {

template <typename Record, typename Append>
void expect_same_line_again(const std::string& line, Append&& append) {
  LogReader<Record> reader;
  const auto record = reader.read(line);
  ASSERT_TRUE(record.ok()) << record.error().message;
  std::string again;
  append(again, *record.value());
  EXPECT_EQ(again, line);
  EXPECT_EQ(reader.unknown_fields(), "");
}

TEST(LogReaders, GiveBackWhatTheWritersWrote) {
  const model::LabelSet labels{{"app=dns", "tier=a\"b"}};
  model::DnsRecord dns;
  dns.start_time = 100;
  dns.end_time = 400;
  dns.count = 3;
  dns.client_name_aggr = "web-*";
  dns.client_labels = &labels;
  dns.qname = "example.com";
  dns.qtype = "A";
  const std::vector<model::DnsRrset> rrsets{{"example.com", "A", "IN", {"203.0.113.1", "203.0.113.2"}}};
  std::vector<model::DnsServer> servers(1);
  servers[0].ip = IpAddress::parse("10.0.0.10").value();
  servers[0].labels = &labels;
  dns.rrsets = rrsets;
  dns.servers = servers;
  dns.latency_mean = 12345;
  std::string line;
  append_dns_line(line, dns);
  expect_same_line_again<model::DnsRecord>(line, append_dns_line);

  model::L7Record l7;
  l7.start_time = 1;
  l7.src_ip = IpAddress::parse("2001:db8::1").value();
  l7.dest_port = 8080;
  l7.response_code = "200";
  const std::vector<IpAddress> originals{IpAddress::parse("203.0.113.9").value()};
  l7.original_source_ips = originals;
  line.clear();
  append_l7_line(line, l7);
  expect_same_line_again<model::L7Record>(line, append_l7_line);

  model::AgentWindow window;
  window.start_time = 5;
  window.node = "node-1";
  window.sources = {{"ebpf", 10, 20, {{"full", 3}, {"ring", 4}}}};
  window.records_written = {{"flows", 7}};
  window.cpu_user_seconds = 0.25;
  line.clear();
  append_agent_line(line, window);
  expect_same_line_again<model::AgentWindow>(line, append_agent_line);
}

TEST(LogReaders, KeepWhatIsNoFieldOfOurs) {
  LogReader<model::DnsRecord> dns;
  ASSERT_TRUE(dns.read(R"({"count":1,"@timestamp":5,"host":"n1","zone":{"a":[1,2]},"x":null,"y":"z"})").ok());
  EXPECT_EQ(dns.read(R"({"host":"n1"})").value()->host, "n1");
  ASSERT_TRUE(dns.read(R"({"count":1,"zone":{"a":[1,2]},"x":null,"y":"z"})").ok());
  EXPECT_EQ(dns.unknown_fields(), R"({"zone":{"a":[1,2]},"y":"z"})");
  FlowLogReader flows;
  const auto record = flows.read(R"({"start_time":7,"host":"n2","cluster":"prod","policies":null})");
  ASSERT_TRUE(record.ok()) << record.error().message;
  EXPECT_EQ(record.value()->host, "n2");
  EXPECT_EQ(flows.unknown_fields(), R"({"cluster":"prod"})");
}

TEST(LogReaders, SayWhatIsWrong) {
  LogReader<model::DnsRecord> dns;
  EXPECT_EQ(dns.read(R"({"count":-1})").error().message, "field count: expected an unsigned integer");
  EXPECT_EQ(dns.read(R"({"client_ip":"x"})").error().message, "field client_ip: expected an IP address");
  EXPECT_FALSE(dns.read(R"({"count":1} x)").ok());
  EXPECT_FALSE(dns.read("").ok());
}

TEST(LogReaders, TakeOfAnAuditEventWhatIsAskedFor) {
  LogReader<model::AuditRecord> reader;
  const std::string line =
      R"({"kind":"Event","stage":"ResponseComplete","auditID":"a1","verb":"create","user":{"username":"kim","groups":["g"]},)"
      R"("objectRef":{"resource":"networkpolicies","namespace":"shop","name":"web","apiGroup":"networking.k8s.io"},)"
      R"("responseStatus":{"code":201},"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z"})";
  const auto read = reader.read(line + "\n");
  ASSERT_TRUE(read.ok()) << read.error().message;
  const model::AuditRecord& record = *read.value();
  EXPECT_EQ(record.start_time, 1767323045);
  EXPECT_EQ(record.user, "kim");
  EXPECT_EQ(record.resource, "networkpolicies");
  EXPECT_EQ(record.namespace_name, "shop");
  EXPECT_EQ(record.response_code, 201u);
  EXPECT_EQ(record.event, line);
  EXPECT_FALSE(reader.read("{}").ok());
}

}  // namespace
}  // namespace weir::flowlog
