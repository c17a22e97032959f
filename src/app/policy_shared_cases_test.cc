// The shared policy cases: verdicts, traces, previews, relations. Every one of them, no exceptions.

#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "app/engine_inputs.h"
#include "app/policy_cases_support.h"
#include "model/protocol.h"
#include "tests/support/shared_data.h"

namespace weir::app {
namespace {

namespace fs = std::filesystem;

/// Protocol, destination port, source port.
using Service = std::tuple<std::uint8_t, std::uint16_t, std::uint16_t>;

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

bool allowed(element answer) { return answer["allowed"].get_bool().value(); }

Asker asker_of(const fs::path& manifests, const policy::EngineOptions& options = {}) {
  auto objects = cluster::load_manifests(std::vector{manifests.string()}, nullptr);
  EXPECT_TRUE(objects.ok()) << objects.error().message;
  return Asker(std::move(objects).value(), options);
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

std::string joined(simdjson::dom::array entries) {
  std::string text;
  for (const element entry : entries) text += (text.empty() ? "" : " ") + std::string(entry.get_string().value());
  return text;
}

std::size_t check_traces(Asker& asker, const fs::path& file) {
  return for_each_flow(asker, file, [&](element want, element got) {
    element pending = want;
    if (want["pending"].error() == simdjson::SUCCESS) pending = want["pending"].value();
    for (const char* end : {"egress", "ingress"}) {
      const element side = got[end].value();
      EXPECT_EQ(action_of(side), text(want[end].value(), "action")) << asker.answer();
      EXPECT_EQ(trace_of(side, "enforced_policies"), trace_of(want[end].value(), "trace")) << asker.answer();
      EXPECT_EQ(trace_of(side, "pending_policies"), trace_of(pending[end].value(), "trace")) << asker.answer();
    }
  });
}

std::size_t check_reporter_traces(Asker& asker, const fs::path& file) {
  return for_each_flow(asker, file, [&](element want, element got) {
    const element side = got[text(want, "reporter") == "src" ? "egress" : "ingress"].value();
    EXPECT_EQ(trace_of(side, "enforced_policies"), joined(array_of(want["enforced"]))) << asker.answer();
    EXPECT_EQ(trace_of(side, "pending_policies"), joined(array_of(want["pending"]))) << asker.answer();
  });
}

TEST(PolicySharedCases, EveryVerdictAndTraceAgrees) {
  WEIR_REQUIRE_SHARED_DATA(data);
  simdjson::dom::parser parser;
  std::size_t cases = 0, flows = 0, traces = 0, reported = 0;
  for (const element listed : array_of(parser.load((data / "policy/index.json").string())["verdict"])) {
    SCOPED_TRACE(std::string(text(listed, "id")));
    ++cases;
    const fs::path folder = data / "policy/verdict" / std::string(text(listed, "id"));
    Asker asker = asker_of(folder / "manifests.yaml");
    flows += for_each_flow(asker, folder / "expected.json", [&](element want, element got) {
      EXPECT_EQ(allowed(got), want["allowed"].get_bool().value()) << asker.answer();
      for (const char* end : {"egress", "ingress"}) {
        if (want[end].error() != simdjson::SUCCESS) continue;
        EXPECT_EQ(action_of(got[end].value()), text(want, end)) << asker.answer();
      }
    });
    traces += check_traces(asker, folder / "trace.json");
    reported += check_reporter_traces(asker, folder / "expected-trace.json");
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_EQ(cases, 369U);
  EXPECT_EQ(flows, 105'163U);
  EXPECT_EQ(traces, 11'459U);
  EXPECT_EQ(reported, 11U);
}

TEST(PolicySharedCases, AmbiguousFlowsFollowTheSwitch) {
  WEIR_REQUIRE_SHARED_DATA(data);
  std::size_t flows = 0;
  for (const auto& entry : fs::directory_iterator(data / "policy/verdict")) {
    if (!fs::exists(entry.path() / "ambiguous.json")) continue;
    SCOPED_TRACE(entry.path().filename().string());
    for (const bool match_pods : {true, false}) {
      policy::EngineOptions options;
      options.ip_block_matches_pods = match_pods;
      Asker asker = asker_of(entry.path() / "manifests.yaml", options);
      flows += for_each_flow(asker, entry.path() / "ambiguous.json", [&](element want, element got) {
        const char* member = match_pods ? "ipBlockMatchesPods" : "ipBlockExternalOnly";
        EXPECT_EQ(allowed(got), want[member].get_bool().value()) << member << " " << asker.answer();
      });
    }
  }
  EXPECT_EQ(flows, 2 * 202U);
}

TEST(PolicySharedCases, PreviewsAgreeBeforeAndAfter) {
  WEIR_REQUIRE_SHARED_DATA(data);
  std::size_t cases = 0, flows = 0;
  for (const auto& entry : fs::directory_iterator(data / "policy/preview")) {
    SCOPED_TRACE(entry.path().filename().string());
    ++cases;
    for (const std::string when : {"before", "after"}) {
      Asker asker = asker_of(entry.path() / (when + ".yaml"));
      flows += for_each_flow(asker, entry.path() / "expected.json", [&](element want, element got) {
        EXPECT_EQ(allowed(got), want[when].get_bool().value()) << when << " " << asker.answer();
      });
    }
  }
  EXPECT_EQ(cases, 28U);
  EXPECT_EQ(flows, 2 * 16'034U);
}

/// One cluster, asked without JSON.
class Cluster {
 public:
  explicit Cluster(const fs::path& manifests)
      : ledger_(cluster::load_manifests(std::vector{manifests.string()}, nullptr).value()),
        engine_(policy::Engine::create({}, engine_inputs(ledger_)).value()) {}

  /// Every pair of the ends, by every service.
  std::vector<bool> allowed(const std::set<std::string>& ends, const std::set<Service>& services) {
    std::vector<bool> result;
    for (const std::string& source : ends) {
      for (const std::string& dest : ends) {
        if (source == dest) continue;
        for (const auto& [protocol, dest_port, source_port] : services) {
          policy::Query query;
          set_end(source, query.source, query.source_ip);
          set_end(dest, query.dest, query.dest_ip);
          query.protocol = protocol;
          query.dest_port = dest_port;
          query.source_port = source_port;
          result.push_back(engine_->evaluate(query).allowed());
        }
      }
    }
    return result;
  }

 private:
  void set_end(const std::string& text, const model::Endpoint*& pod, IpAddress& ip) const {
    const std::size_t slash = text.find('/');
    if (slash == std::string::npos) {
      ip = IpAddress::parse(text).value();
      return;
    }
    pod = ledger_.pod_named(text.substr(0, slash), text.substr(slash + 1));
    if (pod != nullptr && !pod->ips.empty()) ip = pod->ips[0];
  }

  cluster::Ledger ledger_;
  std::unique_ptr<policy::Engine> engine_;
};

std::uint16_t number_of(element flow, const char* member) {
  std::uint64_t number = 0;
  return flow[member].get(number) == simdjson::SUCCESS ? static_cast<std::uint16_t>(number) : std::uint16_t{0};
}

/// What each case of a relation allows, of all pairs of ends by all services that any of them lists.
std::vector<std::vector<bool>> allowed_of(const fs::path& verdicts, const std::vector<std::string>& ids) {
  std::set<std::string> ends;
  std::set<Service> services;
  for (const std::string& id : ids) {
    simdjson::dom::parser parser;
    for (const element flow : array_of(parser.load((verdicts / id / "expected.json").string()))) {
      ends.emplace(text(flow, "src"));
      ends.emplace(text(flow, "dst"));
      const int icmp = number_of(flow, "icmpType") << 8 | number_of(flow, "icmpCode");
      const auto protocol = static_cast<std::uint8_t>(model::parse_protocol(text(flow, "protocol")));
      const bool has_icmp = flow["icmpType"].error() == simdjson::SUCCESS;
      const std::uint16_t port = has_icmp ? static_cast<std::uint16_t>(icmp) : number_of(flow, "port");
      services.emplace(protocol, port, number_of(flow, "srcPort"));
    }
  }
  std::vector<std::vector<bool>> result;
  for (const std::string& id : ids) result.push_back(Cluster(verdicts / id / "manifests.yaml").allowed(ends, services));
  return result;
}

/// `a` allows nothing that `b` does not.
bool within(const std::vector<bool>& a, const std::vector<bool>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] && !b[i]) return false;
  }
  return true;
}

std::int64_t relation_of(std::string_view relation, const std::vector<std::vector<bool>>& allowed) {
  std::int64_t result = 0;
  if (relation == "equivalence") {
    for (std::size_t i = 0; i < allowed.size(); ++i) {
      for (std::size_t j = i + 1; j < allowed.size(); ++j) result += allowed[i] != allowed[j] ? 1 : 0;
    }
  } else if (relation == "containment") {
    for (std::size_t i = 1; i < allowed.size(); ++i) result += within(allowed[i], allowed[0]) ? 1 : 0;
  } else {
    const bool first_in_second = within(allowed[0], allowed[1]), second_in_first = within(allowed[1], allowed[0]);
    result = (first_in_second ? 2 : 0) + (second_in_first ? 1 : 0);
  }
  return result;
}

TEST(PolicySharedCases, RelationsBetweenCasesHold) {
  WEIR_REQUIRE_SHARED_DATA(data);
  simdjson::dom::parser parser;
  std::size_t count = 0;
  for (const element relation : array_of(parser.load((data / "policy/relations.json").string()))) {
    std::vector<std::string> ids;
    for (const element id : array_of(relation["cases"])) ids.emplace_back(id.get_string().value());
    SCOPED_TRACE(std::string(text(relation, "relation")) + " " + ids[0] + " " + ids[1]);
    ++count;
    EXPECT_EQ(relation_of(text(relation, "relation"), allowed_of(data / "policy/verdict", ids)),
              relation["expected"].get_int64().value());
  }
  EXPECT_EQ(count, 57U);
}

TEST(PolicySharedCases, HttpPathsAgree) {
  WEIR_REQUIRE_SHARED_DATA(data);
  simdjson::dom::parser parser;
  std::size_t count = 0;
  model::Endpoint client, server;
  const model::LabelSet labels;
  for (model::Endpoint* pod : {&client, &server}) {
    pod->type = model::EndpointType::kWorkload;
    pod->namespace_name = "ns";
    pod->labels = &labels;
    pod->pod_index = pod == &client ? 0 : 1;
  }
  const auto vectors = parser.load((data / "policy/vectors/calico-http-paths.json").string());
  for (const element vector : array_of(vectors["paths"])) {
    SCOPED_TRACE(std::string(text(vector, "title")));
    ++count;
    model::CalicoPolicy policy;
    policy.namespace_name = "ns";
    policy.ingress.resize(1);
    model::HttpMatch& http = policy.ingress[0].http.emplace();
    for (const element path : array_of(vector["paths"])) {
      const bool prefix = path["prefix"].error() == simdjson::SUCCESS;
      http.paths.push_back({std::string(text(path, prefix ? "prefix" : "exact")), prefix});
    }
    policy::EngineInputs inputs;
    inputs.policies.calico_policies = {std::make_shared<const model::CalicoPolicy>(policy)};
    inputs.pods = {&client, &server};
    const auto engine = policy::Engine::create({}, inputs).value();
    const policy::HttpRequest request{"GET", text(vector, "request")};
    policy::Query query{&client, &server, {}, {}, 6, 40'000, 80};
    query.http = &request;
    EXPECT_EQ(engine->evaluate(query).allowed(), vector["match"].get_bool().value());
  }
  EXPECT_EQ(count, 16U);
}

}  // namespace
}  // namespace weir::app
