#include "app/policy_trace.h"

#include <charconv>
#include <limits>

#include "app/engine_inputs.h"
#include "app/policy_query.h"
#include "app/policy_trace_text.h"
#include "model/connection.h"

namespace weir::app {
namespace {

/// Now: later than anything an object tells, so that the newest owner of an address counts.
constexpr std::int64_t kNow = std::numeric_limits<std::int64_t>::max() - 1;

struct Address {
  std::string host;
  std::uint16_t port = 0;
};

/// "host:port", "[v6]:port"; without ports, the host alone.
Result<Address> split_address(const std::string& text, bool has_port) {
  Address address{text, 0};
  if (has_port) {
    const std::size_t colon = text.rfind(':');
    const std::string_view digits =
        colon == std::string::npos ? std::string_view() : std::string_view(text).substr(colon + 1);
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
    if (digits.empty() || failed != std::errc() || end != digits.data() + digits.size() || address.port == 0) {
      return invalid_argument("'" + text + "': the destination wants a port behind a colon, as in shop/db-0:5432");
    }
    address.host = text.substr(0, colon);
  }
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  return address;
}

/// Finds the ends of the question in the ledger.
class EndFinder {
 public:
  EndFinder(const cluster::Ledger& ledger, std::optional<std::int64_t> time_ns)
      : ledger_(ledger), time_ns_(time_ns.value_or(kNow)), now_(!time_ns) {}

  Result<PolicyEnd> find(const std::string& text) const {
    const std::size_t slash = text.find('/');
    if (slash != std::string::npos && !now_) {
      const model::Endpoint* pod = pod_named_at(ledger_, text.substr(0, slash), text.substr(slash + 1), time_ns_);
      if (pod == nullptr) return Error{ErrorCode::kNotFound, "no pod " + text + " had an address then"};
      return PolicyEnd{pod, {}};
    }
    TRY_ASSIGN(PolicyEnd end, find_policy_end(ledger_, text));
    if (end.pod == nullptr) end.pod = owner(end.ip);
    return end;
  }

  /// Where the destination is a service's address, the first pod behind it takes its place.
  void pass_service(PolicyEnd& dest, std::uint16_t& port, std::uint8_t protocol, TraceStory& story) const {
    if (dest.pod != nullptr) return;
    const model::ServiceRef* service = ledger_.service_at(dest.ip, port, protocol, time_ns_);
    if (service == nullptr) return;
    const std::string name = service->namespace_name + "/" + service->name;
    std::vector<cluster::Ledger::Backend> backends;
    ledger_.backends(dest.ip, port, protocol, time_ns_, backends);
    if (backends.empty()) {
      story.notes.push_back(dest.ip.to_string() + " is service " + name + ", which nobody is behind");
      return;
    }
    story.notes.push_back(dest.ip.to_string() + " is service " + name +
                          ": policies see the pods behind it; this is the first of " + std::to_string(backends.size()));
    dest = {owner(backends[0].ip), backends[0].ip};
    port = backends[0].port;
  }

 private:
  const model::Endpoint* owner(const IpAddress& ip) const {
    const model::Endpoint* endpoint = ledger_.endpoint_at(ip, time_ns_);
    return endpoint != nullptr && endpoint->type == model::EndpointType::kWorkload ? endpoint : nullptr;
  }

  const cluster::Ledger& ledger_;
  std::int64_t time_ns_;
  bool now_;
};

TraceEnd describe(const PolicyEnd& end) {
  TraceEnd told;
  told.ip = end.ip.is_none() ? "" : end.ip.to_string();
  if (end.pod != nullptr) told.pod = end.pod->namespace_name + "/" + end.pod->name;
  told.host_network = end.pod != nullptr && end.pod->host_network;
  return told;
}

TraceSide tell_side(policy::Engine& engine, const policy::Query& query, const policy::SideVerdict& verdict, bool egress,
                    bool staged) {
  TraceSide side;
  side.verdict = verdict;
  if (!verdict.managed) return side;
  side.story = engine.explain(query, egress, staged);
  side.nearest = engine.nearest_miss(query, egress);
  return side;
}

bool has_port(std::uint8_t protocol) {
  return protocol == model::kProtoTcp || protocol == model::kProtoUdp || protocol == model::kProtoSctp;
}

}  // namespace

Status check_addresses(const TraceQuestion& question) {
  TRY(split_address(question.dest, has_port(question.protocol)));
  return {};
}

Result<std::string> trace_policies(cluster::ClusterObjects objects, const TraceQuestion& question) {
  const cluster::Ledger ledger(std::move(objects));
  policy::EngineInputs inputs = engine_inputs(ledger);
  if (question.time_ns) inputs.policies = ledger.policy_set_at(*question.time_ns);
  TRY_ASSIGN(const auto engine, policy::Engine::create(question.engine, inputs));

  const bool has_ports = has_port(question.protocol);
  TRY_ASSIGN(const Address source_text, split_address(question.source, false));
  TRY_ASSIGN(Address dest_text, split_address(question.dest, has_ports));
  const EndFinder finder(ledger, question.time_ns);
  TraceStory story;
  TRY_ASSIGN(PolicyEnd source, finder.find(source_text.host));
  TRY_ASSIGN(PolicyEnd dest, finder.find(dest_text.host));
  finder.pass_service(dest, dest_text.port, question.protocol, story);
  choose_addresses(source, dest);

  policy::Query query{source.pod, dest.pod, source.ip, dest.ip, question.protocol, 0, dest_text.port};
  // An echo request is what people mean by a connection.
  if (question.protocol == model::kProtoIcmp) query.dest_port = 8 << 8;
  if (question.protocol == model::kProtoIcmp6) query.dest_port = 128 << 8;
  const policy::Verdict verdict = engine->evaluate(query);
  story.source = describe(source);
  story.dest = describe(dest);
  story.protocol = question.protocol;
  story.port = has_ports ? dest_text.port : std::uint16_t{0};
  story.staged = question.staged;
  story.egress = tell_side(*engine, query, verdict.egress, true, question.staged);
  story.ingress = tell_side(*engine, query, verdict.ingress, false, question.staged);
  std::string text;
  question.json ? append_trace_json(text, story) : append_trace_text(text, story);
  return text;
}

}  // namespace weir::app
