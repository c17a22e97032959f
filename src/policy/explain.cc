// Which rule came closest to allowing what was denied: the one of which the fewest terms failed, and of those the
// first.

#include "policy/internal/explain.h"

#include <string>
#include <vector>

namespace weir::policy {
namespace {

std::string join(const std::vector<std::string>& parts, const char* separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

std::string words(const TrafficSet& set) {
  static constexpr const char* kNames[kPortedProtocols] = {"TCP", "UDP", "SCTP", "ICMP", "ICMPv6"};
  std::vector<std::string> parts;
  for (std::size_t slot = 0; slot < kPortedProtocols; ++slot) {
    const bool icmp = slot >= 3;
    const auto number = [&](std::uint16_t port) {
      return icmp ? std::to_string(port >> 8) + "/" + std::to_string(port & 0xFF) : std::to_string(port);
    };
    for (const PortSpan& span : set.ported()[slot]) {
      std::string part = kNames[slot];
      if (span.first > 0 || span.last < 65'535) {
        part += " " + number(span.first) + (span.last > span.first ? "-" + number(span.last) : "");
      }
      parts.push_back(std::move(part));
    }
  }
  if (set.whole().count() > 100) {
    parts.emplace_back("other protocols");
  } else {
    for (std::size_t protocol = 0; protocol < 256; ++protocol) {
      if (set.whole().test(protocol)) parts.push_back("protocol " + std::to_string(protocol));
    }
  }
  return parts.empty() ? "nothing" : join(parts, ", ");
}

std::string words(const AddressSet& set) {
  std::vector<std::string> include, except;
  for (const IpPrefix& prefix : set.include) include.push_back(prefix.to_string());
  for (const IpPrefix& prefix : set.except) except.push_back(prefix.to_string());
  return join(include, ", ") + (except.empty() ? "" : " except " + join(except, ", "));
}

std::string words(const PeerSet& peers) {
  std::vector<std::string> parts;
  for (const EntitySelector& selector : peers.entities) {
    const char* who = selector.over == EntitySelector::Over::kPods    ? "pods "
                      : selector.over == EntitySelector::Over::kNodes ? "nodes "
                                                                      : "endpoints ";
    parts.push_back(who + selector.selector.canonical());
  }
  for (const AddressSet& set : peers.addresses) parts.push_back(words(set));
  for (const ServiceKey& service : peers.services) {
    parts.push_back("service " + service.namespace_name + "/" + service.name);
  }
  parts.insert(parts.end(), peers.domains.begin(), peers.domains.end());
  return parts.empty() ? "nobody" : join(parts, " or ");
}

std::string words(const std::vector<PortName>& names) {
  std::vector<std::string> parts;
  for (const PortName& name : names) parts.push_back("port '" + name.name + "'");
  return join(parts, ", ");
}

std::string words(const Check& check) {
  std::string text = check.negate ? "not " : "";
  switch (check.kind) {
    case Check::Kind::kSource:
    case Check::Kind::kDest:
      return text + words(check.peers);
    case Check::Kind::kTraffic:
      return text + words(check.traffic);
    case Check::Kind::kDestPort:
      return text + words(check.names);
    case Check::Kind::kSourcePort:
      return text + words(check.traffic) + (check.names.empty() ? "" : ", " + words(check.names));
    case Check::Kind::kService:
      return text + "service " + check.service.namespace_name + "/" + check.service.name;
    case Check::Kind::kHttp:
      return text + "another method or path";
  }
  return text;
}

}  // namespace

std::vector<FailedTerm> failed_terms(const Compiled& code, const RuleCode& compiled, const Rule& rule,
                                     const Facts& facts, Direction direction) {
  std::vector<FailedTerm> failed;
  if (rule.peers && !peer_holds(code, compiled.peers, facts, direction)) {
    failed.push_back({"peer", words(*rule.peers)});
  }
  if (!traffic_holds(code, compiled, facts)) {
    const bool protocol = !rule.traffic.contains(facts.protocol, facts.dest_port) && [&] {
      TrafficSet same = TrafficSet::protocol(facts.protocol);
      same.intersect(rule.traffic);
      return same.empty() && rule.port_names.empty();
    }();
    std::string wanted = rule.traffic.empty() ? "" : words(rule.traffic);
    if (!rule.port_names.empty()) wanted += (wanted.empty() ? "" : ", ") + words(rule.port_names);
    failed.push_back({protocol ? "protocol" : "ports", wanted.empty() ? "nothing" : wanted});
  }
  std::uint8_t ignored = kExact;
  for (std::uint32_t i = 0; i < compiled.checks.count; ++i) {
    if (check_holds(code, code.checks[compiled.checks.first + i], facts, ignored)) continue;
    failed.push_back({rule.checks[i].term, words(rule.checks[i])});
  }
  return failed;
}

std::optional<NearestMiss> find_nearest_miss(const Compiler& compiler, const Facts& facts, Direction direction) {
  const Compiled& code = compiler.code();
  const End& subject = direction == Direction::kEgress ? facts.source : facts.dest;
  if (subject.identity == kNoPod) return std::nullopt;
  const auto at = static_cast<std::size_t>(direction);
  const Span tiers = code.programs[code.identities[subject.identity].programs[0][at]];
  std::optional<NearestMiss> nearest;
  const auto consider = [&](const Policy& policy, const Rule& rule, std::vector<FailedTerm> failed) {
    if (failed.empty() || (nearest && nearest->others < failed.size())) return;
    nearest = {policy.tier, policy.name, rule.index, failed[0].name, failed[0].wanted, failed.size() - 1};
  };
  for (std::uint32_t i = tiers.first; i < tiers.end(); ++i) {
    const TierCode& tier = code.tiers[i];
    std::uint8_t ignored = kExact;
    const RuleCode* decided = first_match(code, tier, facts, direction, ignored);
    for (std::uint32_t p = tier.policies.first; p < tier.policies.end(); ++p) {
      const std::uint32_t number = code.policy_refs[p];
      const Policy* policy = compiler.origin(number).policy;
      const Span rules = code.policies[number];
      bool reached = false;
      for (std::uint32_t r = 0; r < rules.count && !reached; ++r) {
        const RuleCode& compiled = code.rules[rules.first + r];
        reached = &compiled == decided;
        if (reached || compiled.action != model::Action::kAllow) continue;
        const Rule& rule = (*policy->rules[at])[r];
        consider(*policy, rule, failed_terms(code, compiled, rule, facts, direction));
      }
      // What stands behind the rule that decided could not have helped.
      if (reached) break;
    }
    const bool passes = decided != nullptr ? decided->action == model::Action::kPass
                                           : tier.default_hit == kNoHit || tier.default_action == model::Action::kPass;
    if (passes) continue;
    const bool denies = (decided != nullptr ? decided->action : tier.default_action) == model::Action::kDeny;
    return denies ? nearest : std::nullopt;
  }
  // The profiles decided.
  return std::nullopt;
}

}  // namespace weir::policy
