// The text cases of tests/golden/policy.
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
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "app/policy_cases_support.h"
#include "cluster/manifest_reader.h"

namespace weir::app {
namespace {

namespace fs = std::filesystem;

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

}  // namespace
}  // namespace weir::app
