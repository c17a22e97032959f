// What a refresh of the compiled form does, and how rules become numbers. See internal/compiler.h.

#include "policy/internal/compiler.h"

#include <algorithm>

namespace weir::policy {
namespace {

/// Garbage that is never worth a start from nothing.
constexpr std::size_t kTolerated = 1'000;

std::string text_of(const TrafficSet& set) {
  std::string text = set.whole().to_string();
  for (const PortSpans& spans : set.ported()) {
    text += '/';
    for (const PortSpan& span : spans) text += std::to_string(span.first) + "-" + std::to_string(span.last) + ",";
  }
  return text;
}

void keep_blocks_outside(Policy& policy) {
  for (auto& rules : policy.rules) {
    if (!rules) continue;
    for (Rule& rule : *rules) {
      if (rule.peers) rule.peers->outside_only = true;
    }
  }
}

}  // namespace

Compiler::Compiler(const EngineOptions& options) : options_(options) {}

void Compiler::start_anew() {
  const std::uint64_t anew = anew_ + 1;
  Compiler fresh(options_);
  *this = std::move(fresh);
  anew_ = anew;
  // Column 0 holds everything.
  traffic_.push_back(TrafficSet::all());
  traffic_numbers_.emplace(text_of(TrafficSet::all()), kAnything);
}

Status Compiler::refresh(const EngineInputs& inputs) {
  if (!sound_ || garbage_ > units_ + kTolerated) start_anew();
  sound_ = false;
  ++round_;
  const model::PolicySet& set = inputs.policies;
  const bool endpoints_changed = set.services != set_.services;
  policies_moved_ |= set.tiers != set_.tiers;
  if (set.profiles != set_.profiles) profile_codes_.clear();
  set_ = set;
  lower_all(set_.network_policies);
  lower_all(set_.admin_policies);
  lower_all(set_.calico_policies);
  lower_all(set_.cilium_policies);
  drop_gone();
  // Their selectors may name labels that matter to nobody else.
  for (const auto& profile : set_.profiles) {
    for (const Direction direction : {Direction::kEgress, Direction::kIngress}) profile_code(profile->name, direction);
  }
  PeerSet nodes;
  nodes.entities.push_back({EntitySelector::Over::kNodes, {}});
  code_.node_column = set_.nodes.empty() ? kAnything : intern_peers(nodes);
  TRY_ASSIGN(const Entities::Change change, entities_.refresh(set_, inputs.pods, code_.pods));
  build_profile_codes();
  refresh_traffic(change);
  refresh_pod_sets(change);
  refresh_address_sets(change.owners || endpoints_changed);
  refresh_services();
  refresh_domains();
  order_policies();
  build_programs();
  policies_moved_ = false;
  sound_ = true;
  return {};
}

template <typename T>
void Compiler::lower_all(const model::SharedList<T>& objects) {
  for (const std::shared_ptr<const T>& object : objects) {
    Lowered& lowered = lowered_[object.get()];
    lowered.round = round_;
    if (lowered.object != nullptr) continue;
    lowered.object = object;
    policies_moved_ = true;
    for (Policy& policy : lower(*object, options_.trace_names)) {
      if constexpr (std::is_same_v<T, model::NetworkPolicy> || std::is_same_v<T, model::AdminPolicy>) {
        if (!options_.ip_block_matches_pods) keep_blocks_outside(policy);
      }
      auto unit = std::make_unique<Unit>();
      unit->policy = std::move(policy);
      compile_unit(*unit);
      lowered.units.push_back(std::move(unit));
      ++units_;
    }
  }
}

void Compiler::drop_gone() {
  for (auto it = lowered_.begin(); it != lowered_.end();) {
    if (it->second.round == round_) {
      ++it;
      continue;
    }
    units_ -= it->second.units.size();
    garbage_ += it->second.units.size();
    policies_moved_ = true;
    lowered_.erase(it++);
  }
}

void Compiler::compile_unit(Unit& unit) {
  unit.subject = entities_.intern(unit.policy.subject);
  for (std::size_t direction = 0; direction < kDirections; ++direction) {
    if (!unit.policy.rules[direction]) continue;
    unit.codes[direction] = compile_rules(unit.policy.tier, unit.policy.name, *unit.policy.rules[direction]);
    origins_.push_back({&unit.policy, static_cast<Direction>(direction)});
  }
}

std::uint32_t Compiler::compile_rules(const std::string& tier, const std::string& name,
                                      const std::vector<Rule>& rules) {
  std::vector<RuleCode> codes;
  codes.reserve(rules.size());
  for (const Rule& rule : rules) codes.push_back(compile_rule(tier, name, rule));
  code_.policies.push_back({static_cast<std::uint32_t>(code_.rules.size()), static_cast<std::uint32_t>(codes.size())});
  code_.rules.insert(code_.rules.end(), codes.begin(), codes.end());
  return static_cast<std::uint32_t>(code_.policies.size()) - 1;
}

RuleCode Compiler::compile_rule(const std::string& tier, const std::string& name, const Rule& rule) {
  RuleCode code;
  code.action = rule.action;
  code.conditional = rule.conditional;
  code.hit = hit(tier, name, rule.action, rule.index);
  code.traffic = intern_traffic(rule.traffic);
  code.names = compile_names(rule.port_names);
  if (rule.peers) code.peers = intern_peers(*rule.peers);
  code.checks = {static_cast<std::uint32_t>(code_.checks.size()), static_cast<std::uint32_t>(rule.checks.size())};
  for (const Check& check : rule.checks) code_.checks.push_back(compile_check(check));
  return code;
}

Span Compiler::compile_names(const std::vector<PortName>& names) {
  const Span span{static_cast<std::uint32_t>(code_.rule_names.size()), static_cast<std::uint32_t>(names.size())};
  for (const PortName& name : names) code_.rule_names.push_back(entities_.port_name(name));
  return span;
}

CheckCode Compiler::compile_check(const Check& check) {
  CheckCode code;
  code.kind = check.kind;
  code.negate = check.negate;
  code.names = compile_names(check.names);
  switch (check.kind) {
    case Check::Kind::kSource:
    case Check::Kind::kDest:
      code.number = intern_peers(check.peers);
      break;
    case Check::Kind::kTraffic:
      code.number = intern_traffic(check.traffic);
      break;
    case Check::Kind::kDestPort:
      break;
    case Check::Kind::kSourcePort:
      code.number = static_cast<std::uint32_t>(code_.source_traffic.size());
      code_.source_traffic.push_back(check.traffic);
      break;
    case Check::Kind::kService:
      code.number = static_cast<std::uint32_t>(services_.size());
      services_.push_back(check.service);
      break;
    case Check::Kind::kHttp:
      code.number = static_cast<std::uint32_t>(code_.http_matches.size());
      code_.http_matches.push_back(check.http);
      break;
  }
  return code;
}

std::uint32_t Compiler::hit(const std::string& tier, const std::string& policy, model::Action action,
                            std::int32_t rule) {
  std::string text = tier + "|" + policy + "|" + model::to_string(action) + "|" + std::to_string(rule);
  const auto number = static_cast<std::uint32_t>(code_.hits.size());
  const auto [known, added] = hit_numbers_.try_emplace(text, number);
  if (added) code_.hits.push_back({std::move(text), action});
  return known->second;
}

std::uint32_t Compiler::default_hit(Unit& unit, model::Action action) {
  std::uint32_t& known = unit.default_hits[static_cast<std::size_t>(action)];
  if (known == kNoHit) known = hit(unit.policy.tier, unit.policy.name, action, -1);
  return known;
}

std::uint32_t Compiler::intern_peers(const PeerSet& peers) {
  const auto next = static_cast<std::uint32_t>(peers_.size() + 1);
  const auto [known, added] = peer_numbers_.try_emplace(peers.canonical(), next);
  if (!added) return known->second;
  PeerEntry entry{peers, {}, {}};
  for (const EntitySelector& selector : peers.entities) entry.selectors.push_back(entities_.intern(selector));
  peers_.push_back(std::move(entry));
  return next;
}

std::uint32_t Compiler::intern_traffic(const TrafficSet& set) {
  const auto next = static_cast<std::uint32_t>(traffic_.size());
  const auto [known, added] = traffic_numbers_.try_emplace(text_of(set), next);
  if (!added) return known->second;
  traffic_.push_back(set);
  cut_ |= code_.traffic_classes.cut(set);
  return next;
}

std::uint32_t Compiler::intern_addresses(AddressSet set) {
  std::sort(set.include.begin(), set.include.end());
  std::sort(set.except.begin(), set.except.end());
  const auto next = static_cast<std::uint32_t>(address_sets_.size());
  const auto [known, added] = address_numbers_.try_emplace(std::move(set), next);
  if (added) address_sets_.push_back(known->first);
  return known->second;
}

std::size_t Compiler::bytes() const {
  const auto of = [](const auto& table) { return table.capacity() * sizeof(table[0]); };
  std::size_t bytes = code_.traffic_sets.bytes() + code_.pod_sets.bytes() + code_.address_sets.bytes();
  bytes += of(code_.pods) + of(code_.identities) + of(code_.programs) + of(code_.tiers) + of(code_.policy_refs) +
           of(code_.policies) + of(code_.rules) + of(code_.checks) + of(code_.rule_names) + of(code_.named_ports);
  bytes += kPortedProtocols * 65'536 * sizeof(std::uint32_t);
  for (const auto& lists : applicable_) {
    for (const Applicable& list : lists) bytes += list.capacity() * sizeof(Unit*);
  }
  for (const Hit& hit : code_.hits) bytes += sizeof(Hit) + hit.text.capacity();
  return bytes;
}

}  // namespace weir::policy
