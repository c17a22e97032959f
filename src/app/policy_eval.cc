#include "app/policy_eval.h"

#include <simdjson.h>

#include <optional>
#include <utility>
#include <vector>

#include "app/engine_inputs.h"
#include "app/policy_query.h"
#include "base/json.h"
#include "cluster/ledger.h"
#include "model/connection.h"
#include "model/protocol.h"

namespace weir::app {
namespace {

using Object = simdjson::dom::object;

Result<PolicyEnd> read_end(const cluster::Ledger& ledger, Object query, const char* field) {
  std::string_view text;
  if (query[field].get(text) != simdjson::SUCCESS) {
    return invalid_argument("\"" + std::string(field) + "\" is missing or no string");
  }
  auto end = find_policy_end(ledger, text);
  if (end.ok() || end.error().code == ErrorCode::kNotFound) return end;
  return invalid_argument("\"" + std::string(field) + "\": " + end.error().message);
}

/// A number from 0 to `max`; std::nullopt if it is missing or null.
Result<std::optional<std::uint16_t>> read_number(Object query, const char* field, std::uint16_t max) {
  const auto element = query[field];
  if (element.error() != simdjson::SUCCESS || element.is_null()) return std::optional<std::uint16_t>();
  std::uint64_t value = 0;
  if (element.get(value) != simdjson::SUCCESS || value > max) {
    return invalid_argument("\"" + std::string(field) + "\" is not a number from 0 to " + std::to_string(max));
  }
  return std::optional<std::uint16_t>(static_cast<std::uint16_t>(value));
}

/// A query and what it refers to, which is in the parsed line.
struct ParsedQuery {
  policy::Query query;
  std::vector<std::string_view> names;
  policy::HttpRequest http;
  bool has_http = false;
};

Status read_names(Object object, std::vector<std::string_view>& names) {
  const auto element = object["dstNames"];
  if (element.error() != simdjson::SUCCESS || element.is_null()) return {};
  simdjson::dom::array list;
  if (element.get(list) != simdjson::SUCCESS) return invalid_argument("\"dstNames\" is no list of names");
  for (const auto name : list) {
    if (name.get(names.emplace_back()) != simdjson::SUCCESS)
      return invalid_argument("\"dstNames\" is no list of names");
  }
  return {};
}

Status read_http(Object object, ParsedQuery& parsed) {
  const bool method = object["httpMethod"].error() == simdjson::SUCCESS;
  const bool path = object["httpPath"].error() == simdjson::SUCCESS;
  if (!method && !path) return {};
  if (object["httpMethod"].get(parsed.http.method) != simdjson::SUCCESS ||
      object["httpPath"].get(parsed.http.path) != simdjson::SUCCESS) {
    return invalid_argument("\"httpMethod\" and \"httpPath\" are not both strings");
  }
  parsed.has_http = true;
  return {};
}

Result<policy::Query> read_tuple(const cluster::Ledger& ledger, Object object) {
  TRY_ASSIGN(PolicyEnd source, read_end(ledger, object, "src"));
  TRY_ASSIGN(PolicyEnd dest, read_end(ledger, object, "dst"));
  choose_addresses(source, dest);
  policy::Query query{source.pod, dest.pod, source.ip, dest.ip, 0, 0, 0};

  std::string_view protocol_text;
  if (object["protocol"].get(protocol_text) != simdjson::SUCCESS) {
    return invalid_argument("\"protocol\" is missing or no string");
  }
  const int protocol = model::parse_protocol(protocol_text);
  if (protocol < 0) return invalid_argument("\"protocol\": '" + std::string(protocol_text) + "' is not known");
  query.protocol = static_cast<std::uint8_t>(protocol);
  TRY_ASSIGN(const auto port, read_number(object, "port", 65'535));
  TRY_ASSIGN(const auto source_port, read_number(object, "srcPort", 65'535));
  TRY_ASSIGN(const auto icmp_type, read_number(object, "icmpType", 255));
  TRY_ASSIGN(const auto icmp_code, read_number(object, "icmpCode", 255));
  query.source_port = source_port.value_or(0);
  if (protocol == model::kProtoIcmp || protocol == model::kProtoIcmp6) {
    query.dest_port = static_cast<std::uint16_t>(icmp_type.value_or(0) << 8 | icmp_code.value_or(0));
    return query;
  }
  const bool has_ports = protocol == model::kProtoTcp || protocol == model::kProtoUdp || protocol == model::kProtoSctp;
  if (has_ports && !port) return invalid_argument("\"port\" is missing");
  query.dest_port = port.value_or(0);
  return query;
}

/// Into `parsed`, which then must stay where it is: the query points into it.
Status read_query(const cluster::Ledger& ledger, Object object, ParsedQuery& parsed) {
  TRY_ASSIGN(parsed.query, read_tuple(ledger, object));
  TRY(read_names(object, parsed.names));
  TRY(read_http(object, parsed));
  parsed.query.dest_names = parsed.names;
  if (parsed.has_http) parsed.query.http = &parsed.http;
  return {};
}

/// The members of the query but those that the answer sets, with a comma after each.
void append_members(Object query, std::string& out) {
  for (const auto [key, value] : query) {
    if (key == "allowed" || key == "egress" || key == "ingress" || key == "error") continue;
    json::append_string(out, key);
    out += ':';
    out += simdjson::minify(value);
    out += ',';
  }
}

void append_uncertainty(std::string& out, std::uint8_t uncertainty) {
  if (uncertainty == policy::kExact) return;
  out += R"(,"uncertain":[)";
  const char* separator = "";
  for (const auto& [bit, name] : {std::pair{policy::kHttp, "http"}, std::pair{policy::kLayer7, "layer7"},
                                  std::pair{policy::kDomain, "domain"}, std::pair{policy::kSnat, "snat"}}) {
    if ((uncertainty & bit) == 0) continue;
    out += separator;
    json::append_string(out, name);
    separator = ",";
  }
  out += ']';
}

void append_miss(std::string& out, const policy::NearestMiss& miss) {
  out += R"(,"nearest_miss":{"tier":)";
  json::append_string(out, miss.tier);
  out += R"(,"policy":)";
  json::append_string(out, miss.policy);
  out += R"(,"rule":)" + std::to_string(miss.rule) + R"(,"term":)";
  json::append_string(out, miss.term);
  out += R"(,"wanted":)";
  json::append_string(out, miss.wanted);
  out += R"(,"other_terms":)" + std::to_string(miss.others) + "}";
}

void append_side(std::string& out, const policy::SideVerdict& side, const std::optional<policy::NearestMiss>& miss) {
  if (!side.managed) {
    out += "null";
    return;
  }
  const auto append_trace = [&](const model::PolicyTrace& trace) {
    out += '[';
    for (const std::string& entry : trace.entries) {
      if (&entry != trace.entries.data()) out += ',';
      json::append_string(out, entry);
    }
    out += ']';
  };
  out += R"({"action":")";
  out += model::to_string(side.action);
  out += R"(","enforced_policies":)";
  append_trace(*side.enforced);
  out += R"(,"pending_policies":)";
  append_trace(*side.pending);
  append_uncertainty(out, side.uncertainty);
  if (miss) append_miss(out, *miss);
  out += '}';
}

void append_error(std::string& out, std::string_view message) {
  out += R"("error":)";
  json::append_string(out, message);
  out += "}\n";
}

}  // namespace

struct PolicyEval::Impl {
  explicit Impl(cluster::ClusterObjects objects) : ledger(std::move(objects)) {}

  cluster::Ledger ledger;
  std::unique_ptr<policy::Engine> engine;
  simdjson::dom::parser parser;
  bool explain = false;
};

PolicyEval::PolicyEval(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PolicyEval::PolicyEval(PolicyEval&&) noexcept = default;
PolicyEval& PolicyEval::operator=(PolicyEval&&) noexcept = default;
PolicyEval::~PolicyEval() = default;

Result<PolicyEval> PolicyEval::create(cluster::ClusterObjects objects, const policy::EngineOptions& options,
                                      bool explain) {
  auto impl = std::make_unique<Impl>(std::move(objects));
  impl->explain = explain;
  TRY_ASSIGN(impl->engine, policy::Engine::create(options, engine_inputs(impl->ledger)));
  return PolicyEval(std::move(impl));
}

bool PolicyEval::answer(std::string_view line, std::uint64_t line_number, std::string& out) {
  const std::string where = "line " + std::to_string(line_number) + ": ";
  Object object;
  // simdjson copies from a null pointer if the line is an empty view of nothing.
  const std::string_view text = line.empty() ? std::string_view("") : line;
  const auto error = impl_->parser.parse(text.data(), text.size()).get(object);
  out += '{';
  if (error != simdjson::SUCCESS) {
    append_error(out, where + "not a JSON object: " + simdjson::error_message(error));
    return false;
  }
  append_members(object, out);
  ParsedQuery parsed;
  const Status read = read_query(impl_->ledger, object, parsed);
  if (!read.ok()) {
    const bool unknown = read.error().code == ErrorCode::kNotFound;
    append_error(out, unknown ? read.error().message : where + read.error().message);
    return false;
  }
  const policy::Verdict verdict = impl_->engine->evaluate(parsed.query);
  const auto miss = [&](const policy::SideVerdict& side, bool egress) -> std::optional<policy::NearestMiss> {
    if (!impl_->explain || side.action != model::Action::kDeny) return std::nullopt;
    return impl_->engine->nearest_miss(parsed.query, egress);
  };
  out += verdict.allowed() ? R"("allowed":true,"egress":)" : R"("allowed":false,"egress":)";
  append_side(out, verdict.egress, miss(verdict.egress, true));
  out += R"(,"ingress":)";
  append_side(out, verdict.ingress, miss(verdict.ingress, false));
  out += "}\n";
  return true;
}

}  // namespace weir::app
