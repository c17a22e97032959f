#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "model/flow_record.h"

/// What a person reads of a flow record.
namespace weir::observe {

/// "shop/frontend", "known-scanners 203.0.113.99", "api.example (198.51.100.20)", "pub 203.0.113.50 +2".
std::string source_text(const model::FlowRecord& record);
std::string dest_text(const model::FlowRecord& record);
/// The first `most` of them, and of `number` in all those that are not shown: "203.0.113.50, 203.0.113.51 +2".
std::string addresses_text(std::span<const IpAddress> addresses, std::uint64_t number, std::size_t most);

/// One end as Hubble writes it, with its port where the record has one: "shop/frontend-7d4b9:43210",
/// "shop/frontend-*", "203.0.113.50:443", "203.0.113.50+2", "api.example:443", "[2001:db8::1]:443".
/// `numeric`: addresses instead of names where the record has them.
std::string source_name(const model::FlowRecord& record, bool numeric);
std::string dest_name(const model::FlowRecord& record, bool numeric);

/// Of the last enforced entry, in words: "shop/frontend rule 0", "shop/default-deny: no rule allows it", "no policy".
std::string rule_text(const model::FlowRecord& record);
/// The same of any entry, "0|default|shop/knp.default.frontend|allow|0".
std::string rule_text_of(std::string_view entry);
/// "established", "refused", "unanswered", joined by '+'; "open" if none is known yet.
std::string outcome_text(const model::FlowRecord& record);

/// "tcp/443"; of ICMP the type, and the code unless it is 0: "icmp/8", "icmp/3:1"; "tcp" without a port (-1).
std::string port_text(std::string_view protocol, std::int64_t port);

/// A staged policy would decide otherwise than the enforced ones did.
bool is_audit(const model::FlowRecord& record);
/// "FORWARDED" or "DROPPED".
std::string_view verdict_text(const model::FlowRecord& record);

/// A trace entry taken apart; of other forms than five parts `rule` is empty.
struct TraceEntry {
  std::string_view index, tier, policy, action, rule;
};
TraceEntry parse_trace_entry(std::string_view entry);

}  // namespace weir::observe
