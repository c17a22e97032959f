#include "policy/internal/evaluation.h"

#include <algorithm>

#include "policy/internal/http_match.h"

namespace weir::policy {
namespace {

/// The pod declares one of the names for the port.
bool names_match(const Compiled& code, const Span& names, std::uint32_t identity, std::uint8_t protocol,
                 std::uint16_t port) {
  if (identity == kNoPod || names.count == 0) return false;
  const Span& declared = code.identities[identity].named_ports;
  for (std::uint32_t i = declared.first; i < declared.end(); ++i) {
    const NamedPortCode& one = code.named_ports[i];
    if (one.port != port || one.protocol != protocol) continue;
    for (std::uint32_t name = names.first; name < names.end(); ++name) {
      if (code.rule_names[name] == one.name) return true;
    }
  }
  return false;
}

bool end_holds(const Compiled& code, std::uint32_t column, const End& end) {
  return BitMatrix::test(code.pod_sets.row(end.identity), column) ||
         BitMatrix::test(code.address_sets.row(end.address_class), column);
}

bool has_domains(const Compiled& code, std::uint32_t column) {
  return !code.domain_columns.empty() && BitMatrix::test(code.domain_columns.data(), column);
}

bool domain_holds(const Compiled& code, std::uint32_t column, const Facts& facts) {
  return facts.domains != nullptr && has_domains(code, column) && BitMatrix::test(facts.domains, column);
}

bool service_holds(const ServiceCode& service, const Facts& facts) {
  return std::any_of(service.subsets.begin(), service.subsets.end(), [&](const ServiceCode::Subset& subset) {
    const std::size_t classes = subset.address_classes.size();
    return subset.address_classes[facts.dest.address_class % classes] &&
           subset.traffic.contains(facts.protocol, facts.dest_port);
  });
}

bool positive_holds(const Compiled& code, const CheckCode& check, const Facts& facts, std::uint8_t& uncertainty) {
  switch (check.kind) {
    case Check::Kind::kSource:
      return end_holds(code, check.number, facts.source);
    case Check::Kind::kDest:
      if (end_holds(code, check.number, facts.dest) || domain_holds(code, check.number, facts)) return true;
      if (!facts.names_known && has_domains(code, check.number)) uncertainty |= kDomain;
      return false;
    case Check::Kind::kTraffic:
      return BitMatrix::test(code.traffic_sets.row(facts.traffic_class), check.number);
    case Check::Kind::kDestPort:
      return names_match(code, check.names, facts.dest.identity, facts.protocol, facts.dest_port);
    case Check::Kind::kSourcePort:
      return code.source_traffic[check.number].contains(facts.protocol, facts.source_port) ||
             names_match(code, check.names, facts.source.identity, facts.protocol, facts.source_port);
    case Check::Kind::kService:
      return service_holds(code.services[check.number], facts);
    case Check::Kind::kHttp:
      if (facts.http != nullptr) return http_matches(code.http_matches[check.number], *facts.http);
      uncertainty |= kHttp;
      return true;
  }
  return false;
}

bool checks_hold(const Compiled& code, const RuleCode& rule, const Facts& facts, std::uint8_t& uncertainty) {
  std::uint8_t reasons = kExact;
  for (std::uint32_t i = rule.checks.first; i < rule.checks.end(); ++i) {
    if (!check_holds(code, code.checks[i], facts, reasons)) {
      // An unknown name is why it does not match; that HTTP is unknown says nothing about a rule that fails elsewhere.
      uncertainty |= reasons & kDomain;
      return false;
    }
  }
  uncertainty |= reasons;
  return true;
}

}  // namespace

bool check_holds(const Compiled& code, const CheckCode& check, const Facts& facts, std::uint8_t& uncertainty) {
  return positive_holds(code, check, facts, uncertainty) != check.negate;
}

bool peer_holds(const Compiled& code, std::uint32_t column, const Facts& facts, Direction direction) {
  return end_holds(code, column, facts.far(direction)) ||
         (direction == Direction::kEgress && domain_holds(code, column, facts));
}

bool traffic_holds(const Compiled& code, const RuleCode& rule, const Facts& facts) {
  return BitMatrix::test(code.traffic_sets.row(facts.traffic_class), rule.traffic) ||
         names_match(code, rule.names, facts.dest.identity, facts.protocol, facts.dest_port);
}

const RuleCode* first_match(const Compiled& code, const TierCode& tier, const Facts& facts, Direction direction,
                            std::uint8_t& uncertainty) {
  const End& far = facts.far(direction);
  const std::uint64_t* const traffic = code.traffic_sets.row(facts.traffic_class);
  const std::uint64_t* const pods = code.pod_sets.row(far.identity);
  const std::uint64_t* const addresses = code.address_sets.row(far.address_class);
  const bool by_name = direction == Direction::kEgress && !code.domain_columns.empty();
  for (std::uint32_t i = tier.policies.first; i < tier.policies.end(); ++i) {
    const Span rules = code.policies[code.policy_refs[i]];
    for (std::uint32_t r = rules.first; r < rules.end(); ++r) {
      const RuleCode& rule = code.rules[r];
      const bool peer = BitMatrix::test(pods, rule.peers) || BitMatrix::test(addresses, rule.peers);
      if (!peer && !by_name) continue;
      if (!BitMatrix::test(traffic, rule.traffic) &&
          !names_match(code, rule.names, facts.dest.identity, facts.protocol, facts.dest_port)) {
        continue;
      }
      if (!peer && !domain_holds(code, rule.peers, facts)) {
        if (!facts.names_known && has_domains(code, rule.peers)) uncertainty |= kDomain;
        continue;
      }
      if (rule.checks.count > 0 && !checks_hold(code, rule, facts, uncertainty)) continue;
      if (rule.conditional) uncertainty |= kLayer7;
      return &rule;
    }
  }
  return nullptr;
}

}  // namespace weir::policy
