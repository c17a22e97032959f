// The text cases of tests/golden/policy, and the shared verdict cases whose policies are all Kubernetes NetworkPolicy.
//
// A case is one file: the cluster is world.yaml, the policies stand indented in the case.
//
//   # name: default deny blocks what no rule allows       group: policy/ingress
//   policies:
//     apiVersion: networking.k8s.io/v1
//     …
//   flow: shop/web -> shop/db tcp/5432 => deny egress profile ingress default-deny default
//   flow: 203.0.113.9 -> shop/db icmp/8 => allow egress none ingress allow-web rule 0
//
// After the verdict stand any of the two ends with what decided there: none (no managed pod), profile, NAME rule N, or
// NAME default for the default of the tier, attributed to policy NAME.

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "app/policy_eval.h"
#include "cluster/manifest_reader.h"
#include "tests/support/shared_data.h"

namespace weir::app {
namespace {

namespace fs = std::filesystem;
using simdjson::dom::element;

PolicyEval make_eval(cluster::ClusterObjects objects) {
  policy::EngineOptions options;
  options.trace_names = policy::TraceNames::kKind;
  return PolicyEval::create(std::move(objects), options).value();
}

/// The answer to one query, as text members: "allowed", "egress", "egress trace", ….
class Asker {
 public:
  explicit Asker(cluster::ClusterObjects objects) : eval_(make_eval(std::move(objects))) {}

  element ask(const std::string& query) {
    answer_.clear();
    EXPECT_TRUE(eval_.answer(query, ++lines_, answer_)) << answer_;
    return parser_.parse(answer_).value();
  }
  const std::string& answer() const { return answer_; }

 private:
  PolicyEval eval_;
  simdjson::dom::parser parser_;
  std::string answer_;
  std::uint64_t lines_ = 0;
};

std::string_view text(element parent, const char* member) { return parent[member].get_string().value(); }

/// A copy: what a result's value() refers to dies with the result.
simdjson::dom::array array_of(simdjson::simdjson_result<element> result) { return result.get_array(); }

/// Entries joined by blanks; empty for an end that is not managed.
std::string trace_of(element side, const char* member) {
  std::string joined;
  if (side.is_null()) return joined;
  for (const element entry : array_of(side[member])) {
    joined += (joined.empty() ? "" : " ") + std::string(entry.get_string().value());
  }
  return joined;
}

// The text cases.

struct GoldenFlow {
  std::string line, source, dest, protocol;
  unsigned port = 0;
  std::string verdict;
  /// By end: what decided there.
  std::map<std::string, std::string> ends;
};

struct GoldenCase {
  std::string policies;
  std::vector<GoldenFlow> flows;
};

GoldenFlow parse_flow(const std::string& line) {
  GoldenFlow flow;
  flow.line = line;
  std::istringstream words(line);
  std::string arrow, service, implies, word, end;
  words >> flow.source >> arrow >> flow.dest >> service >> implies >> flow.verdict;
  EXPECT_TRUE(arrow == "->" && implies == "=>") << line;
  flow.protocol = service.substr(0, service.find('/'));
  flow.port = static_cast<unsigned>(std::stoul(service.substr(service.find('/') + 1)));
  while (words >> word) {
    if (word == "egress" || word == "ingress") {
      end = word;
    } else {
      flow.ends[end] += (flow.ends[end].empty() ? "" : " ") + word;
    }
  }
  return flow;
}

GoldenCase read_case(const fs::path& path) {
  GoldenCase result;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("  ")) {
      result.policies += line.substr(2) + "\n";
    } else if (line.starts_with("flow: ")) {
      result.flows.push_back(parse_flow(line.substr(6)));
    } else {
      EXPECT_TRUE(line.starts_with("# ") || line == "policies:") << path << ": " << line;
    }
  }
  return result;
}

/// "0|default|knp:shop/web|allow|2" as a case says it: "web rule 2".
std::string in_words(element side) {
  if (side.is_null()) return "none";
  const std::string trace = trace_of(side, "enforced_policies");
  if (trace.starts_with("0|__PROFILE__|")) return "profile";
  const std::size_t name = trace.find('/') + 1;
  const std::string rule = trace.substr(trace.rfind('|') + 1);
  return trace.substr(name, trace.find('|', name) - name) + (rule == "-1" ? " default" : " rule " + rule);
}

std::string query_of(const GoldenFlow& flow) {
  std::string query = R"({"src":")" + flow.source + R"(","dst":")" + flow.dest + R"(","protocol":")" + flow.protocol;
  return query + (flow.protocol == "icmp" ? R"(","icmpType":)" : R"(","port":)") + std::to_string(flow.port) + "}";
}

TEST(PolicyCases, TextCasesHold) {
  const fs::path folder = fs::path(WEIR_SOURCE_DIR) / "tests/golden/policy";
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".case") continue;
    SCOPED_TRACE(entry.path().filename().string());
    ++cases;
    const GoldenCase golden = read_case(entry.path());
    ASSERT_FALSE(golden.flows.empty());
    cluster::ManifestNotes notes;
    auto objects = cluster::load_manifests(std::vector{(folder / "world.yaml").string()}, &notes);
    ASSERT_TRUE(objects.ok()) << objects.error().message;
    const Status read = cluster::read_manifest_text("policies", golden.policies, false, objects.value(), notes);
    ASSERT_TRUE(read.ok()) << read.error().message;
    Asker asker(std::move(objects).value());
    for (const GoldenFlow& flow : golden.flows) {
      SCOPED_TRACE(flow.line);
      const element answer = asker.ask(query_of(flow));
      EXPECT_EQ(answer["allowed"].get_bool().value() ? "allow" : "deny", flow.verdict);
      for (const auto& [end, want] : flow.ends) EXPECT_EQ(in_words(answer[end].value()), want) << end;
    }
  }
  EXPECT_GE(cases, 17);
}

// The shared verdict cases.

std::string query_of(element flow) {
  std::string query;
  for (const char* member : {"src", "dst", "protocol", "port", "srcPort", "icmpType", "icmpCode"}) {
    auto value = flow[member];
    if (value.error() != simdjson::SUCCESS) continue;
    query +=
        (query.empty() ? "{\"" : ",\"") + std::string(member) + "\":" + std::string(simdjson::minify(value.value()));
  }
  return query + "}";
}

/// An end that is not managed has no verdict of its own; the cases say "allow" with an empty trace.
std::string_view action_of(element side) { return side.is_null() ? "allow" : text(side, "action"); }

/// Kinds that the index lists beside policies change no verdict here.
constexpr std::array<std::string_view, 3> kDecidedKinds = {"NetworkPolicy", "Node", "ServiceAccount"};

bool only_network_policies(element listed) {
  const simdjson::dom::array kinds = array_of(listed["policyKinds"]);
  return std::all_of(kinds.begin(), kinds.end(), [](element kind) {
    return std::find(kDecidedKinds.begin(), kDecidedKinds.end(), kind.get_string().value()) != kDecidedKinds.end();
  });
}

/// Calls `check(flow, answer)` for every flow of one file of a case; returns their number.
template <typename Check>
std::size_t for_each_flow(Asker& asker, const fs::path& file, Check check) {
  if (!fs::exists(file)) return 0;
  simdjson::dom::parser parser;
  std::size_t count = 0;
  for (const element flow : array_of(parser.load(file.string()))) {
    const element answer = asker.ask(query_of(flow));
    ++count;
    check(flow, answer);
  }
  return count;
}

TEST(PolicyCases, SharedVerdictCasesOfNetworkPolicyAgree) {
  WEIR_REQUIRE_SHARED_DATA(data);
  simdjson::dom::parser parser;
  std::size_t cases = 0, flows = 0, traces = 0, ambiguous = 0;
  for (const element listed : array_of(parser.load((data / "policy/index.json").string())["verdict"])) {
    if (!only_network_policies(listed)) continue;
    SCOPED_TRACE(std::string(text(listed, "id")));
    ++cases;
    const fs::path folder = data / "policy/verdict" / std::string(text(listed, "id"));
    auto objects = cluster::load_manifests(std::vector{(folder / "manifests.yaml").string()}, nullptr);
    ASSERT_TRUE(objects.ok()) << objects.error().message;
    Asker asker(std::move(objects).value());
    flows += for_each_flow(asker, folder / "expected.json", [&](element want, element got) {
      EXPECT_EQ(got["allowed"].get_bool().value(), want["allowed"].get_bool().value()) << asker.answer();
      for (const char* end : {"egress", "ingress"}) {
        if (want[end].error() != simdjson::SUCCESS) continue;
        EXPECT_EQ(action_of(got[end].value()), text(want, end)) << asker.answer();
      }
    });
    traces += for_each_flow(asker, folder / "trace.json", [&](element want, element got) {
      for (const char* end : {"egress", "ingress"}) {
        EXPECT_EQ(action_of(got[end].value()), text(want[end].value(), "action")) << asker.answer();
        const std::string trace = trace_of(want[end].value(), "trace");
        EXPECT_EQ(trace_of(got[end].value(), "enforced_policies"), trace) << asker.answer();
        EXPECT_EQ(trace_of(got[end].value(), "pending_policies"), trace) << asker.answer();
      }
    });
    // Blocks match pods' addresses, as the default of the engine's option says.
    ambiguous += for_each_flow(asker, folder / "ambiguous.json", [&](element want, element got) {
      EXPECT_EQ(got["allowed"].get_bool().value(), want["ipBlockMatchesPods"].get_bool().value()) << asker.answer();
    });
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GE(cases, 220U);
  EXPECT_GE(flows, 75'343U);
  EXPECT_GE(traces, 7'731U);
  EXPECT_GE(ambiguous, 1U);
}

}  // namespace
}  // namespace weir::app
