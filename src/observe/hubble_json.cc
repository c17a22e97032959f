#include "observe/hubble_json.h"

#include <cstdio>

#include "base/hash.h"
#include "base/json.h"
#include "base/text_table.h"
#include "model/connection.h"
#include "model/protocol.h"
#include "observe/flow_text.h"
#include "observe/time_text.h"

namespace weir::observe {
namespace {

// Of Cilium: reserved identities, event types of its monitor, DropReason.
constexpr int kIdentityHost = 1, kIdentityWorld = 2;
constexpr int kEventDrop = 1, kEventTrace = 4;
constexpr int kPolicyDenied = 133;

/// Writes the members of one object.
class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  std::string& key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    json::append_string(out_, name);
    out_ += ':';
    return out_;
  }
  void text(std::string_view name, std::string_view value) { json::append_string(key(name), value); }
  void number(std::string_view name, std::uint64_t value) { json::append_uint(key(name), value); }
  /// Protobuf's JSON leaves out what has its default.
  void known_text(std::string_view name, std::string_view value) {
    if (!value.empty() && value != "-") text(name, value);
  }
  void close() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};

struct End {
  std::string_view type, namespace_name, name, name_aggr, workload, kind;
  const model::LabelSet* labels;
};

void append_labels(std::string& out, const End& end) {
  char separator = '[';
  const auto add = [&](const std::string& label) {
    out += separator;
    json::append_string(out, label);
    separator = ',';
  };
  if (end.type == "net") add("reserved:world");
  if (end.type == "hep") add("reserved:host");
  if (end.labels != nullptr) {
    for (const std::string& pair : end.labels->pairs) add("k8s:" + pair);
  }
  out += separator == '[' ? "[]" : "]";
}

void append_end(std::string& out, const End& end) {
  Object object(out);
  if (end.type == "hep") object.number("identity", kIdentityHost);
  if (end.type == "net") object.number("identity", kIdentityWorld);
  object.known_text("namespace", end.namespace_name);
  if (end.type == "net" || end.type == "hep" || end.labels != nullptr) append_labels(object.key("labels"), end);
  if (end.type == "wep") object.text("pod_name", end.name != "-" ? end.name : end.name_aggr);
  if (end.workload != "-") {
    object.key("workloads") += '[';
    Object workload(out);
    workload.text("name", end.workload);
    workload.known_text("kind", end.kind);
    workload.close();
    out += ']';
  }
  object.close();
}

void append_ip(Object& flow, std::string& out, const model::FlowRecord& r) {
  if (!r.source_ip && !r.dest_ip) return;
  flow.key("IP");
  Object ip(out);
  if (r.source_ip) ip.text("source", r.source_ip->to_string());
  if (r.dest_ip) ip.text("destination", r.dest_ip->to_string());
  ip.text("ipVersion", (r.source_ip ? r.source_ip : r.dest_ip)->is_v4() ? "IPv4" : "IPv6");
  ip.close();
}

void append_l4(Object& flow, std::string& out, const model::FlowRecord& r) {
  const char* name = r.protocol == model::kProtoTcp     ? "TCP"
                     : r.protocol == model::kProtoUdp   ? "UDP"
                     : r.protocol == model::kProtoSctp  ? "SCTP"
                     : r.protocol == model::kProtoIcmp  ? "ICMPv4"
                     : r.protocol == model::kProtoIcmp6 ? "ICMPv6"
                                                        : nullptr;
  if (name == nullptr) return;
  flow.key("l4");
  Object l4(out);
  l4.key(name);
  Object layer(out);
  if (r.protocol == model::kProtoIcmp || r.protocol == model::kProtoIcmp6) {
    if (r.dest_port && *r.dest_port / 256 != 0) layer.number("type", *r.dest_port / 256u);
    if (r.dest_port && *r.dest_port % 256 != 0) layer.number("code", *r.dest_port % 256u);
  } else {
    if (r.source_port) layer.number("source_port", *r.source_port);
    if (r.dest_port) layer.number("destination_port", *r.dest_port);
  }
  layer.close();
  l4.close();
}

/// "shop/knp.default.web" → NetworkPolicy web in shop.
void append_policy(std::string& out, const TraceEntry& entry) {
  std::string_view name = entry.policy, namespace_name;
  if (const std::size_t slash = name.find('/'); slash != std::string_view::npos) {
    namespace_name = name.substr(0, slash);
    name.remove_prefix(slash + 1);
  }
  std::string_view kind = namespace_name.empty() ? "GlobalNetworkPolicy" : "NetworkPolicy";
  constexpr std::string_view kKubernetes = "knp.default.";
  if (name.starts_with(kKubernetes)) name.remove_prefix(kKubernetes.size());
  Object policy(out);
  policy.text("name", name);
  policy.known_text("namespace", namespace_name);
  policy.text("kind", kind);
  policy.close();
}

/// What decided, as Hubble names it: "ingress_denied_by" and so on.
void append_policies(Object& flow, std::string& out, const model::FlowRecord& r) {
  if (r.policies.enforced == nullptr || r.policies.enforced->entries.empty()) return;
  const TraceEntry entry = parse_trace_entry(r.policies.enforced->entries.back());
  if (entry.policy.empty() || entry.tier == "__PROFILE__" || entry.policy == "__NO_MATCH__") return;
  const std::string name =
      std::string(r.reporter == "dst" ? "ingress" : "egress") + (r.action == "deny" ? "_denied_by" : "_allowed_by");
  flow.key(name) += '[';
  append_policy(out, entry);
  out += ']';
}

/// The same for the same line, as no two flows of Hubble have one.
std::string uuid_of(std::string_view line) {
  const std::uint64_t high = hash_bytes(line.data(), line.size());
  const std::uint64_t low = mix64(high, line.size());
  char text[40];
  // Version 8 (RFC 9562): made by a rule of our own.
  std::snprintf(text, sizeof text, "%08x-%04x-8%03x-%04x-%012llx", static_cast<unsigned>(high >> 32),
                static_cast<unsigned>(high >> 16 & 0xFFFF), static_cast<unsigned>(high & 0xFFF),
                static_cast<unsigned>(0x8000 | (low >> 48 & 0x3FFF)),
                static_cast<unsigned long long>(low & 0xFFFF'FFFF'FFFFULL));
  return text;
}

std::string summary_of(const model::FlowRecord& r) {
  return model::protocol_name(r.protocol) + "; " + std::to_string(r.num_flows) +
         (r.num_flows == 1 ? " flow, " : " flows, ") + short_count(r.bytes_in + r.bytes_out) + " bytes, " +
         outcome_text(r);
}

void append_flow(std::string& out, const model::FlowRecord& r, std::string_view node, std::string_view line) {
  const bool denied = r.action == "deny", ingress = r.reporter == "dst";
  Object flow(out);
  flow.text("time", rfc3339_utc(r.start_time));
  flow.text("uuid", uuid_of(line));
  flow.text("verdict", verdict_text(r));
  if (denied) flow.number("drop_reason", kPolicyDenied);
  append_ip(flow, out, r);
  append_l4(flow, out, r);
  flow.key("source");
  append_end(out, {r.source_type, r.source_namespace, r.source_name, r.source_name_aggr, r.source_workload,
                   r.source_workload_kind, r.source_labels});
  flow.key("destination");
  append_end(out, {r.dest_type, r.dest_namespace, r.dest_name, r.dest_name_aggr, r.dest_workload, r.dest_workload_kind,
                   r.dest_labels});
  flow.text("Type", "L3_L4");
  flow.known_text("node_name", node);
  if (!r.dest_domains.empty()) {
    char separator = '[';
    std::string& names = flow.key("destination_names");
    for (const std::string_view name : r.dest_domains) {
      names += separator;
      json::append_string(names, name);
      separator = ',';
    }
    names += ']';
  }
  Object event(flow.key("event_type"));
  event.number("type", denied ? kEventDrop : kEventTrace);
  event.close();
  if (r.dest_service_name != "-") {
    Object service(flow.key("destination_service"));
    service.text("name", r.dest_service_name);
    service.known_text("namespace", r.dest_service_namespace);
    service.close();
  }
  flow.text("traffic_direction", ingress ? "INGRESS" : "EGRESS");
  if (denied) flow.text("drop_reason_desc", "POLICY_DENIED");
  if (!denied) flow.text("trace_observation_point", ingress ? "TO_ENDPOINT" : "FROM_ENDPOINT");
  flow.key("is_reply") += "false";
  flow.text("Summary", summary_of(r));
  append_policies(flow, out, r);
  Object aggregate(flow.key("aggregate"));
  if (r.num_flows > 0) aggregate.number(ingress ? "ingress_flow_count" : "egress_flow_count", r.num_flows);
  aggregate.close();
  flow.close();
}

}  // namespace

void append_hubble_json(std::string& out, const model::FlowRecord& record, std::string_view node,
                        std::string_view line) {
  Object response(out);
  response.key("flow");
  append_flow(out, record, node, line);
  response.known_text("node_name", node);
  response.text("time", rfc3339_utc(record.start_time));
  response.close();
}

}  // namespace weir::observe
