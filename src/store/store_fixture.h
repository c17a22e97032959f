#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "flowlog/agent_log.h"
#include "flowlog/dns_log.h"
#include "flowlog/flow_log.h"
#include "flowlog/l7_log.h"
#include "model/flow_record.h"
#include "store/store.h"

/// What the store's tests share: a store in a folder of its own with a clock that tests set, and random lines.
namespace weir::store {

class TempFolder {
 public:
  TempFolder() {
    char path[] = "/tmp/weir_store_XXXXXX";
    path_ = ::mkdtemp(path);
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline constexpr std::int64_t kFirstHour = 1'767'225'600;  // 2026-01-01 00:00 UTC

class StoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> open() {
    Result<std::unique_ptr<Store>> store = Store::open(options());
    EXPECT_TRUE(store.ok()) << store.error().message;
    return store.ok() ? std::move(store).value() : nullptr;
  }
  StoreOptions options() {
    StoreOptions options = base_;
    options.directory = folder_.path() + "/store";
    options.memory_bytes = 256ull * 1024 * 1024;
    options.background = false;
    options.now = [this] { return now_.load(); };
    options.note = [this](std::string_view text) { notes_ += std::string(text) + "\n"; };
    return options;
  }
  static Appended append(Store& store, LogType log, const std::string& lines) {
    Result<Appended> appended = store.append(log, std::nullopt, lines);
    EXPECT_TRUE(appended.ok()) << appended.error().message;
    return appended.ok() ? appended.value() : Appended{};
  }
  static std::int64_t count(Store& store, LogType log = LogType::kFlows) {
    query::Request request;
    request.log = log;
    request.from = 1;
    request.to = kFirstHour * 2;
    request.metrics = {query::Metric{}};
    request.deduplicate = false;
    const auto answer = store.query(request);
    EXPECT_TRUE(answer.ok()) << answer.error().message;
    return answer.ok() ? std::get<std::int64_t>(answer.value().rows[0][0]) : -1;
  }

  TempFolder folder_;
  StoreOptions base_;
  std::atomic<std::int64_t> now_{kFirstHour + 1800};
  std::string notes_;
};

/// Lines of all logs with every kind of value, absent ones and awkward ones among them.
class RandomLines {
 public:
  explicit RandomLines(std::uint32_t seed) : random_(seed) {}

  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }
  template <typename List>
  auto pick(const List& list) {
    return *(std::begin(list) + static_cast<std::ptrdiff_t>(below(std::size(list))));
  }

  std::string flow() {
    model::FlowRecord r;
    r.start_time = time();
    r.end_time = r.start_time + 300;
    r.action = pick(kActions);
    r.reporter = pick(kReporters);
    r.protocol = pick(kProtocols);
    r.aggregation_level = static_cast<std::uint8_t>(below(4));
    r.source_namespace = pick(kNames);
    r.source_name_aggr = pick(kNames);
    r.source_type = pick(kTypes);
    r.source_workload = pick(kNames);
    r.dest_namespace = pick(kNames);
    r.dest_name_aggr = pick(kNames);
    r.dest_type = pick(kTypes);
    r.dest_workload = pick(kNames);
    r.dest_service_name = pick(kNames);
    r.dest_service_port_name = pick(kNames);
    if (below(2) == 0) r.source_ip = address();
    if (below(2) == 0) r.dest_ip = address();
    if (below(3) != 0) r.dest_port = static_cast<std::uint16_t>(pick(kPorts));
    const model::LabelSet source = labels(), dest = labels();
    if (below(3) != 0) r.source_labels = &source;
    if (below(3) != 0) r.dest_labels = &dest;
    std::vector<std::string_view> domains;
    for (std::size_t n = below(3); n > 0; --n) domains.push_back(pick(kNames));
    r.dest_domains = domains;
    std::vector<std::uint16_t> ports;
    for (std::size_t n = below(3); n > 0; --n) ports.push_back(static_cast<std::uint16_t>(pick(kPorts)));
    r.nat_outgoing_ports = ports;
    std::vector<IpAddress> external;
    for (std::size_t n = below(3); n > 0; --n) external.push_back(address());
    r.dest_external_ips = external;
    model::PolicyTrace enforced{{"0|default|" + std::string(pick(kNames)) + "/default.web|allow|0"}, {}}, pending;
    if (below(3) != 0) r.policies.enforced = &enforced;
    if (r.policies.enforced != nullptr || below(2) == 0) r.policies.pending = &pending;
    if (r.policies.pending != nullptr && r.policies.enforced == nullptr) r.policies.enforced = &pending;
    r.num_flows = below(5);
    r.bytes_in = below(100'000);
    r.bytes_out = below(1000);
    r.packets_in = below(50);
    r.packets_out = below(50);
    r.tcp_mean_smooth_rtt = below(3000);
    std::string line;
    writer_.forget();
    writer_.append(r, line);
    return line;
  }

  std::string dns() {
    model::DnsRecord r;
    r.start_time = time();
    r.end_time = r.start_time + 300;
    r.count = 1 + below(9);
    r.client_namespace = pick(kNames);
    r.client_name_aggr = pick(kNames);
    const model::LabelSet set = labels();
    if (below(2) == 0) r.client_labels = &set;
    if (below(2) == 0) r.client_ip = address();
    r.qname = pick(kNames);
    r.rcode = below(3) == 0 ? "NXDomain" : "NoError";
    std::vector<model::DnsRrset> rrsets;
    if (below(2) == 0) rrsets.push_back({"x", "A", "IN", {address().to_string(), address().to_string()}});
    std::vector<model::DnsServer> servers(below(3));
    for (model::DnsServer& server : servers) server.ip = address();
    r.rrsets = rrsets;
    r.servers = servers;
    r.latency_mean = below(10'000'000);
    std::string line;
    flowlog::append_dns_line(line, r);
    return line;
  }

  std::string l7() {
    model::L7Record r;
    r.start_time = time();
    r.end_time = r.start_time + 300;
    r.src_namespace = pick(kNames);
    r.dest_namespace = pick(kNames);
    r.method = below(2) == 0 ? "GET" : "POST";
    r.url = pick(kNames);
    r.response_code = below(4) == 0 ? "500" : "200";
    if (below(2) == 0) r.dest_port = static_cast<std::uint16_t>(pick(kPorts));
    if (below(2) == 0) r.src_ip = address();
    r.count = below(20);
    r.bytes_in = below(5000);
    r.duration_mean = below(1'000'000);
    std::string line;
    flowlog::append_l7_line(line, r);
    return line;
  }

  std::string agent() {
    model::AgentWindow r;
    r.start_time = time();
    r.end_time = r.start_time + 300;
    r.node = "node-" + std::to_string(below(4));
    r.version = "0.1";
    r.sources = {{"ebpf", below(100), below(100), {{"full", below(3)}}}};
    r.cpu_user_seconds = static_cast<double>(below(1000)) / 8;
    r.rss_bytes = below(1'000'000);
    std::string line;
    flowlog::append_agent_line(line, r);
    return line;
  }

  std::string audit() {
    static constexpr const char* kVerbs[] = {"create", "delete", "patch"};
    char time_text[32];
    const std::time_t at = time();
    std::tm parts{};
    ::gmtime_r(&at, &parts);
    std::strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &parts);
    return R"({"kind":"Event","stage":"ResponseComplete","verb":")" + std::string(pick(kVerbs)) +
           R"(","user":{"username":"u)" + std::to_string(below(3)) +
           R"("},"objectRef":{"resource":"pods","namespace":"n)" + std::to_string(below(3)) +
           R"("},"responseStatus":{"code":)" + std::to_string(200 + below(2)) + R"(},"requestReceivedTimestamp":")" +
           time_text + ".123456Z\"}\n";
  }

  static constexpr const char* kNames[] = {"shop", "shop-db",     "web",         "-",           "pay\"ments",
                                           "a\\b", "line\nbreak", "caf\xc3\xa9", "kube-system", "x|y",
                                           "it's", "*",           "percent%",    "under_score"};
  static constexpr std::uint16_t kPorts[] = {53, 80, 443, 5432, 61234};

 private:
  static constexpr const char* kActions[] = {"allow", "allow", "allow", "deny"};
  static constexpr const char* kReporters[] = {"src", "dst", "src", "dst", "fwd"};
  static constexpr std::uint8_t kProtocols[] = {6, 6, 17, 1, 132, 99};
  static constexpr const char* kTypes[] = {"wep", "wep", "net", "ns", "hep"};

  std::int64_t time() { return kFirstHour + 300 * static_cast<std::int64_t>(below(36)); }
  IpAddress address() {
    static constexpr const char* kAddresses[] = {"10.0.0.1", "10.0.0.2",    "10.200.3.4",  "192.168.7.7",
                                                 "8.8.8.8",  "2001:db8::7", "2001:db9::1", "172.20.1.1"};
    return IpAddress::parse(pick(kAddresses)).value();
  }
  model::LabelSet labels() {
    model::LabelSet set;
    if (below(2) == 0) set.pairs.push_back("app=" + std::string(pick(kNames)));
    if (below(2) == 0) set.pairs.push_back("tier=");
    if (below(2) == 0) set.pairs.push_back("zone\\x=1");
    return set;
  }

  std::mt19937 random_;
  flowlog::FlowLogWriter writer_{{.fragments = false}};
};

}  // namespace weir::store
