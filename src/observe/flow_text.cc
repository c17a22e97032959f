#include "observe/flow_text.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "model/connection.h"

namespace weir::observe {
namespace {

struct End {
  std::string_view type, namespace_name, name, name_aggr, workload;
  const std::optional<IpAddress>& ip;
  const std::optional<std::uint16_t>& port;
  std::span<const IpAddress> external;
  std::uint64_t num_external;
  std::span<const std::string_view> domains;
};

End source_of(const model::FlowRecord& r) {
  return {r.source_type, r.source_namespace, r.source_name,         r.source_name_aggr,        r.source_workload,
          r.source_ip,   r.source_port,      r.source_external_ips, r.num_source_external_ips, {}};
}

End dest_of(const model::FlowRecord& r) {
  return {r.dest_type, r.dest_namespace, r.dest_name,         r.dest_name_aggr,        r.dest_workload,
          r.dest_ip,   r.dest_port,      r.dest_external_ips, r.num_dest_external_ips, r.dest_domains};
}

std::string with_namespace(const End& end, std::string_view name) {
  return end.namespace_name == "-" ? std::string(name) : std::string(end.namespace_name) + "/" + std::string(name);
}

bool is_endpoint(const End& end) { return end.type == "wep" || end.type == "hep"; }

std::string end_text(const End& end) {
  const std::string address = end.ip ? end.ip->to_string() : addresses_text(end.external, end.num_external, 1);
  if (!end.domains.empty()) {
    return std::string(end.domains.front()) + (address.empty() ? "" : " (" + address + ")");
  }
  if (is_endpoint(end)) return with_namespace(end, end.workload != "-" ? end.workload : end.name_aggr);
  const std::string name = end.type == "ns" ? with_namespace(end, end.name_aggr) : std::string(end.name_aggr);
  return address.empty() ? name : name + " " + address;
}

/// "203.0.113.50", "203.0.113.50+2", "" if there is none.
std::string address_name(const End& end, bool bracketed) {
  if (!end.ip && end.external.empty()) return {};
  const IpAddress& ip = end.ip ? *end.ip : end.external.front();
  std::string text = bracketed && !ip.is_v4() ? "[" + ip.to_string() + "]" : ip.to_string();
  if (!end.ip && end.num_external > 1) text += "+" + std::to_string(end.num_external - 1);
  return text;
}

std::string end_name(const End& end, std::uint8_t protocol, bool numeric) {
  const bool has_port =
      end.port && (protocol == model::kProtoTcp || protocol == model::kProtoUdp || protocol == model::kProtoSctp);
  std::string text;
  if (numeric) text = address_name(end, has_port);
  if (text.empty()) {
    if (is_endpoint(end)) {
      text = with_namespace(end, end.name != "-" ? end.name : end.workload != "-" ? end.workload : end.name_aggr);
    } else if (!end.domains.empty()) {
      text = end.domains.front();
    } else if (end.type == "ns") {
      const std::string address = address_name(end, false);
      text = with_namespace(end, end.name_aggr) + (address.empty() ? "" : "(" + address + ")");
    } else {
      text = address_name(end, has_port);
      if (text.empty()) text = end.name_aggr;
    }
  }
  return has_port ? text + ":" + std::to_string(*end.port) : text;
}

}  // namespace

std::string addresses_text(std::span<const IpAddress> addresses, std::uint64_t number, std::size_t most) {
  std::string text;
  std::size_t shown = 0;
  for (; shown < addresses.size() && shown < most; ++shown) {
    if (shown > 0) text += ", ";
    text += addresses[shown].to_string();
  }
  if (number > shown) text += " +" + std::to_string(number - shown);
  return text;
}

std::string source_text(const model::FlowRecord& record) { return end_text(source_of(record)); }
std::string dest_text(const model::FlowRecord& record) { return end_text(dest_of(record)); }

std::string source_name(const model::FlowRecord& record, bool numeric) {
  return end_name(source_of(record), record.protocol, numeric);
}
std::string dest_name(const model::FlowRecord& record, bool numeric) {
  return end_name(dest_of(record), record.protocol, numeric);
}

TraceEntry parse_trace_entry(std::string_view entry) {
  std::array<std::string_view, 5> parts{};
  for (std::string_view& part : parts) {
    part = entry.substr(0, entry.find('|'));
    entry.remove_prefix(std::min(entry.size(), part.size() + 1));
  }
  return {parts[0], parts[1], parts[2], parts[3], parts[4]};
}

std::string rule_text_of(std::string_view entry) {
  const TraceEntry parts = parse_trace_entry(entry);
  if (parts.rule.empty()) return std::string(entry);  // another form: as it is
  if (parts.tier == "__PROFILE__") return parts.action == "allow" ? "no policy" : "no policy allows it";
  // A data plane that does not tell which of the policies came to the end of the tier.
  if (parts.policy == "__NO_MATCH__") return "no rule of any policy allows it";
  std::string name(parts.policy);
  constexpr std::string_view kKubernetes = "knp.default.";
  if (const std::size_t at = name.find(kKubernetes); at != std::string::npos) name.erase(at, kKubernetes.size());
  if (parts.tier != "default") name = std::string(parts.tier) + " " + name;
  if (parts.rule == "-1") return name + ": no rule allows it";
  return name + " rule " + std::string(parts.rule);
}

std::string rule_text(const model::FlowRecord& record) {
  if (record.policies.enforced == nullptr || record.policies.enforced->entries.empty()) return "-";
  return rule_text_of(record.policies.enforced->entries.back());
}

std::string outcome_text(const model::FlowRecord& record) {
  std::string text;
  const auto add = [&](std::uint64_t count, const char* word) {
    if (count > 0) text.append(text.empty() ? "" : "+").append(word);
  };
  add(record.num_flows_established, "established");
  add(record.num_flows_refused, "refused");
  add(record.num_flows_unanswered, "unanswered");
  return text.empty() ? "open" : text;
}

std::string port_text(std::string_view protocol, std::int64_t port) {
  std::string text(protocol);
  if (port < 0) return text;
  if (!protocol.starts_with("icmp")) return text + "/" + std::to_string(port);
  text += "/" + std::to_string(port / 256);
  return port % 256 == 0 ? text : text + ":" + std::to_string(port % 256);
}

bool is_audit(const model::FlowRecord& record) {
  const model::PolicyTrace* pending = record.policies.pending;
  if (pending == nullptr || pending->entries.empty()) return false;
  const bool denies = std::any_of(pending->entries.begin(), pending->entries.end(), [](const std::string& entry) {
    return entry.find("|deny|") != std::string::npos || entry.ends_with("|deny");
  });
  return denies != (record.action == "deny");
}

std::string_view verdict_text(const model::FlowRecord& record) {
  return record.action == "deny" ? "DROPPED" : "FORWARDED";
}

}  // namespace weir::observe
