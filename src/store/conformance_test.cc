#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <string>
#include <vector>

#include "store/store_fixture.h"
#include "store/store_oracle.h"

// The same questions to the store and to the oracle, with the rows in the hot tables, in micro segments, in merged
// segments with roll-ups, and spread over all of them.

namespace weir::store {
namespace {

std::string text_of(const query::Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* real = std::get_if<double>(&value)) return std::to_string(*real);
  if (const auto* text = std::get_if<std::string>(&value)) return "'" + *text + "'";
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  if (list == nullptr) return "none";
  std::string out = "[";
  for (const std::string& element : *list) out += element + ",";
  return out + "]";
}

bool same(const query::Value& a, const query::Value& b) {
  const auto* x = std::get_if<double>(&a);
  const auto* y = std::get_if<double>(&b);
  if (x != nullptr && y != nullptr) return std::abs(*x - *y) <= 1e-9 * std::max({1.0, std::abs(*x), std::abs(*y)});
  return a == b;
}

std::string describe(const query::Request& request) {
  std::string text(to_string(request.log));
  text += " filter: " + request.filter + " by:";
  for (const std::string& field : request.group_by) text += " " + field;
  for (const query::Metric& metric : request.metrics) text += " " + metric.name();
  for (const query::Order& order : request.order) text += " order " + order.column + (order.descending ? "-" : "+");
  return text + " interval " + std::to_string(request.interval) + " limit " + std::to_string(request.limit) + " from " +
         std::to_string(request.from - kFirstHour) + " to " + std::to_string(request.to - kFirstHour);
}

/// Reads all pages and compares them with the oracle's rows.
template <LogType kLog>
void compare(const Store& store, const Oracle<kLog>& oracle, query::Request request) {
  SCOPED_TRACE(describe(request));
  const query::Answer want = oracle.answer(request);
  std::size_t at = 0;
  for (int page = 0; page < 4; ++page) {
    const auto got = store.query(request);
    ASSERT_TRUE(got.ok()) << got.error().message;
    const std::size_t expected = std::min<std::size_t>(request.limit, want.rows.size() - at);
    ASSERT_EQ(got.value().rows.size(), expected);
    for (std::size_t row = 0; row < expected; ++row, ++at) {
      ASSERT_EQ(got.value().rows[row].size(), want.rows[at].size());
      for (std::size_t column = 0; column < want.rows[at].size(); ++column) {
        ASSERT_TRUE(same(got.value().rows[row][column], want.rows[at][column]))
            << "row " << at << " column " << got.value().columns[column].name << ": "
            << text_of(got.value().rows[row][column]) << " instead of " << text_of(want.rows[at][column]);
      }
      if (!request.is_grouped()) {
        ASSERT_EQ(got.value().ids[row], want.ids[at]);
      }
    }
    ASSERT_EQ(got.value().next_cursor.empty(), at == want.rows.size());
    if (at == want.rows.size()) return;
    request.cursor = got.value().next_cursor;
  }
}

/// Random questions about one log.
template <LogType kLog>
class Questions {
 public:
  explicit Questions(std::uint32_t seed) : lines_(seed) {}

  query::Request next() {
    query::Request request;
    request.log = kLog;
    request.from = kFirstHour + 300 * static_cast<std::int64_t>(lines_.below(20));
    request.to = request.from + 1 + 300 * static_cast<std::int64_t>(lines_.below(36));
    if (lines_.below(3) == 0) {
      request.from = kFirstHour;
      request.to = kFirstHour + 10'800;
    }
    if (lines_.below(4) != 0) request.filter = filter(0);
    request.limit = static_cast<std::uint32_t>(1 + lines_.below(60));
    request.deduplicate = lines_.below(3) != 0;
    if (lines_.below(3) == 0) {
      rows(request);
    } else {
      groups(request);
    }
    return request;
  }

  std::string filter(int depth) {
    switch (lines_.below(depth < 3 ? 6 : 2)) {
      case 2:
        return "(" + filter(depth + 1) + " AND " + filter(depth + 1) + ")";
      case 3:
        return "(" + filter(depth + 1) + " OR " + filter(depth + 1) + ")";
      case 4:
        return "NOT " + filter(depth + 2);
      default:
        return test();
    }
  }

 private:
  std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"') out += '\\';
      if (c == '\\') out += "\\\\\\";
      out += c;
    }
    return out + "\"";
  }
  std::string value() {
    std::string name(lines_.pick(RandomLines::kNames));
    switch (lines_.below(6)) {
      case 0:
        return quoted(name.substr(0, 2)).insert(quoted(name.substr(0, 2)).size() - 1, "*");
      case 1:
        return "\"*" + std::string(name == "-" ? "-" : "o") + "*\"";
      case 2:
        return "\"sh?p*\"";
      default:
        return quoted(name);
    }
  }
  std::string test() {
    static constexpr const char* kText[] = {"=", "!=", "=~", "!~"};
    static constexpr const char* kOrder[] = {"=", "!=", "<", "<=", ">", ">="};
    static constexpr const char* kBlocks[] = {"10.0.0.0/8",     "10.0.0.1",  "172.16.0.0/12", "2001:db8::/32",
                                              "192.168.0.0/16", "0.0.0.0/0", "::/0",          "\"10.*\""};
    const std::string word = lines_.pick(words());
    const std::optional<filter::Target> target = target_of(word);
    if (lines_.below(8) == 0) return word + (lines_.below(2) == 0 ? " EMPTY" : " NOT EMPTY");
    using filter::ValueClass;
    switch (target->values) {
      case ValueClass::kNumber: {
        static constexpr int kNumbers[] = {0, 1, 3, 53, 80, 200, 443, 1500, 61234};
        if (lines_.below(4) == 0) return word + " IN {1, 80, 443}";
        return word + " " + lines_.pick(kOrder) + " " + std::to_string(lines_.pick(kNumbers));
      }
      case ValueClass::kAddress:
        return word + (lines_.below(2) == 0 ? " = " : " != ") + lines_.pick(kBlocks);
      case ValueClass::kProtocol:
        return word + (lines_.below(2) == 0 ? " IN {tcp, 99}" : " != \"*p\"");
      default:
        break;
    }
    const std::string op = lines_.pick(kText);
    if (op.back() == '~') return word + op + "\"^[a-s]*o\"";
    if (lines_.below(4) == 0) return word + " NOT IN {" + value() + ", " + value() + "}";
    return word + " " + op + " " + value();
  }
  static std::optional<filter::Target> target_of(const std::string& word);
  static std::vector<std::string> words();

  void rows(query::Request& request) {
    for (const model::LogField& field : model::log_fields(kLog)) {
      if (field.name != "policies" && lines_.below(2) == 0) request.columns.emplace_back(field.name);
    }
    if (request.columns.empty()) request.columns = {"start_time"};
    if (kLog == LogType::kFlows && lines_.below(2) == 0) request.columns.emplace_back("policies.enforced_policies");
    if (lines_.below(2) == 0) {
      request.order = {{std::string(scalar()), lines_.below(2) == 0}};
    }
  }
  void groups(query::Request& request) {
    for (std::size_t n = lines_.below(4); n > 0; --n) request.group_by.emplace_back(scalar());
    static constexpr std::int64_t kIntervals[] = {0, 0, 300, 600, 3600, 7200};
    request.interval = lines_.pick(kIntervals);
    for (std::size_t n = lines_.below(4); n > 0; --n) request.metrics.push_back(metric());
    // Two of one name cannot be told apart in an order.
    std::sort(request.metrics.begin(), request.metrics.end(),
              [](const auto& a, const auto& b) { return a.name() < b.name(); });
    request.metrics.erase(std::unique(request.metrics.begin(), request.metrics.end(),
                                      [](const auto& a, const auto& b) { return a.name() == b.name(); }),
                          request.metrics.end());
    std::sort(request.group_by.begin(), request.group_by.end());
    request.group_by.erase(std::unique(request.group_by.begin(), request.group_by.end()), request.group_by.end());
    if (request.metrics.empty() && request.group_by.empty() && request.interval == 0) request.metrics.emplace_back();
    if (!request.group_by.empty() && lines_.below(3) == 0)
      request.order = {{request.group_by[0], lines_.below(2) == 0}};
  }
  query::Metric metric() {
    using query::Aggregate;
    static constexpr Aggregate kAggregates[] = {Aggregate::kCount, Aggregate::kSum,  Aggregate::kMin,
                                                Aggregate::kMax,   Aggregate::kRate, Aggregate::kDistinct};
    const Aggregate aggregate = lines_.pick(kAggregates);
    if (aggregate == Aggregate::kCount) return {};
    if (aggregate == Aggregate::kSum || aggregate == Aggregate::kRate) {
      static const std::vector<std::string> kFlowSums{"bytes",           "bytes_in",        "num_flows",
                                                      "packets_to_dest", "bytes_to_source", "packets"};
      if (kLog == LogType::kFlows) return {aggregate, lines_.pick(kFlowSums)};
      if (kLog == LogType::kAgent) return {aggregate, lines_.below(2) == 0 ? "lost_events" : "cpu_user_seconds"};
      if (kLog == LogType::kAudit) return {};
      return {aggregate, "count"};
    }
    return {aggregate, std::string(scalar())};
  }
  std::string_view scalar() {
    while (true) {
      const auto fields = model::log_fields(kLog);
      const model::LogField& field = fields[lines_.below(fields.size())];
      const bool object = field.kind == model::FieldKind::kAnswers || field.kind == model::FieldKind::kServers ||
                          field.kind == model::FieldKind::kJson;
      // Many different values make many small groups; a few make few. Both, with a liking for the latter.
      if (!model::is_list(field.kind) && !object) return field.name;
    }
  }

  RandomLines lines_;
};

template <LogType kLog>
std::optional<filter::Target> Questions<kLog>::target_of(const std::string& word) {
  return filter::parse(word + " EMPTY", kLog).value().test.target;
}

template <LogType kLog>
std::vector<std::string> Questions<kLog>::words() {
  if (kLog == LogType::kFlows) {
    return {"ns",
            "src.ns",
            "dst.pod",
            "label.app",
            "labels",
            "dest_labels.tier",
            "ip",
            "src.ip",
            "port",
            "dest_port",
            "domain",
            "nat_outgoing_ports",
            "policy",
            "policies.pending",
            "proto",
            "action",
            "bytes_in",
            "start_time",
            "label.zone\\x",
            "svc",
            "type",
            "tcp_mean_smooth_rtt",
            "host"};
  }
  if (kLog == LogType::kDns)
    return {"ns", "qname", "answer", "server", "ip", "label.app", "count", "latency_mean", "rcode"};
  if (kLog == LogType::kL7) return {"ns", "dst.ns", "url", "method", "code", "port", "ip", "bytes_in", "duration_mean"};
  if (kLog == LogType::kAgent) return {"node", "lost_events", "cpu_user_seconds", "rss_bytes", "version"};
  return {"verb", "user", "resource", "namespace", "response_code", "event"};
}

class Conformance : public StoreTest {
 protected:
  Conformance() { now_ = kFirstHour + 1800; }

  template <LogType kLog>
  std::string line(RandomLines& lines) {
    if constexpr (kLog == LogType::kFlows) return lines.flow();
    if constexpr (kLog == LogType::kDns) return lines.dns();
    if constexpr (kLog == LogType::kL7) return lines.l7();
    if constexpr (kLog == LogType::kAgent) return lines.agent();
    if constexpr (kLog == LogType::kAudit) return lines.audit();
  }
  template <LogType kLog>
  void add(Store& store, Oracle<kLog>& oracle, RandomLines& lines, int count) {
    std::string text;
    std::uint64_t accepted = 0;
    for (int i = 0; i < count; ++i) {
      const std::string made = line<kLog>(lines);
      accepted += oracle.add(made) ? 1 : 0;
      text += made;
    }
    EXPECT_EQ(append(store, kLog, text).rows, accepted);
  }
  template <LogType kLog>
  void ask(const Store& store, const Oracle<kLog>& oracle, std::uint32_t seed, int questions) {
    Questions<kLog> random(seed);
    for (int i = 0; i < questions; ++i) {
      compare(store, oracle, random.next());
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  /// The same questions in every place that rows can be in.
  template <LogType kLog>
  void run(int rows, int questions) {
    RandomLines lines(7);
    Oracle<kLog> oracle;
    const auto store = open();
    ASSERT_NE(store, nullptr);
    add(*store, oracle, lines, rows);
    {
      SCOPED_TRACE("hot");
      ask(*store, oracle, 1, questions);
    }
    ASSERT_TRUE(store->tick(true).ok());
    ASSERT_EQ(store->stats().logs[static_cast<std::size_t>(kLog)].hot_rows, 0u);
    {
      SCOPED_TRACE("micro segments");
      ask(*store, oracle, 2, questions);
    }
    add(*store, oracle, lines, rows / 3);
    {
      SCOPED_TRACE("across");
      ask(*store, oracle, 3, questions);
    }
    ASSERT_TRUE(store->tick(true).ok());
    now_ = kFirstHour + 3 * 86'400;
    ASSERT_TRUE(store->tick(true).ok());
    const StoreStats stats = store->stats();
    ASSERT_GT(stats.compactions, 0u);
    ASSERT_LE(stats.logs[static_cast<std::size_t>(kLog)].segments, 3u);
    {
      SCOPED_TRACE("merged");
      ask(*store, oracle, 4, questions);
    }
    add(*store, oracle, lines, rows / 10);
    {
      SCOPED_TRACE("merged and hot");
      ask(*store, oracle, 5, questions);
    }
  }
};

TEST_F(Conformance, FlowsEqualTheOracle) { run<LogType::kFlows>(600, 25); }
TEST_F(Conformance, DnsEqualsTheOracle) { run<LogType::kDns>(300, 10); }
TEST_F(Conformance, L7EqualsTheOracle) { run<LogType::kL7>(300, 10); }
TEST_F(Conformance, AgentWindowsEqualTheOracle) { run<LogType::kAgent>(200, 8); }
TEST_F(Conformance, AuditEventsEqualTheOracle) { run<LogType::kAudit>(200, 8); }

}  // namespace
}  // namespace weir::store
