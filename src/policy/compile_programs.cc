// Compiler: the order of policies, and the programs of identities and hosts.

#include <algorithm>

#include "policy/internal/compiler.h"

namespace weir::policy {
namespace {

constexpr const char* kProfileTier = "__PROFILE__";
constexpr std::uint32_t kWithoutDefaults = 0xFFFFFFFF;

bool of_stage(const Policy& policy, HostStage stage) {
  switch (stage) {
    case HostStage::kUntracked:
      return policy.untracked;
    case HostStage::kPreDnat:
      return policy.pre_dnat;
    case HostStage::kForward:
      return policy.forward && !policy.untracked && !policy.pre_dnat;
    case HostStage::kLocal:
      break;
  }
  return !policy.untracked && !policy.pre_dnat;
}

}  // namespace

void Compiler::order_policies() {
  if (!policies_moved_) return;
  struct Named {
    double order;
    std::string name;
    model::Action default_action;
    bool silent;
  };
  std::map<std::string, Named> named;
  // Deny rules of Cilium's policies come before everything that allows; it knows no tiers, so nothing tells of this
  // one.
  named["cilium"] = {-kNoOrder, "cilium", model::Action::kPass, true};
  named["kube-admin"] = {1'000, "kube-admin", model::Action::kPass, false};
  named["default"] = {1'000'000, "default", model::Action::kDeny, false};
  named["kube-baseline"] = {10'000'000, "kube-baseline", model::Action::kPass, false};
  for (const auto& tier : set_.tiers) {
    named[tier->name] = {tier->order.value_or(kNoOrder), tier->name, tier->default_action, false};
  }
  ordered_.clear();
  for (auto& [object, lowered] : lowered_) {
    for (const auto& unit : lowered.units) {
      ordered_.push_back(unit.get());
      const std::string& tier = unit->policy.tier;
      named.try_emplace(tier, Named{kNoOrder, tier, model::Action::kDeny, false});
    }
  }
  std::vector<const Named*> tiers;
  for (const auto& [name, tier] : named) tiers.push_back(&tier);
  std::sort(tiers.begin(), tiers.end(), [](const Named* a, const Named* b) {
    return a->order != b->order ? a->order < b->order : a->name < b->name;
  });
  tiers_.clear();
  for (std::uint32_t rank = 0; rank < tiers.size(); ++rank) {
    tiers_[tiers[rank]->name] = {rank, tiers[rank]->default_action, tiers[rank]->silent};
  }
  for (Unit* unit : ordered_) unit->tier_rank = tiers_.at(unit->policy.tier).rank;
  std::sort(ordered_.begin(), ordered_.end(), [](const Unit* a, const Unit* b) {
    if (a->tier_rank != b->tier_rank) return a->tier_rank < b->tier_rank;
    if (a->policy.order != b->policy.order) return a->policy.order < b->policy.order;
    return a->policy.tie < b->policy.tie;
  });
  choose_scopes();
}

void Compiler::choose_scopes() {
  using model::StagedAction;
  TextSet replaced;
  staged_ = false;
  for (const Unit* unit : ordered_) {
    const StagedAction staged = unit->policy.staged;
    const bool replaces = staged == StagedAction::kSet || staged == StagedAction::kDelete;
    staged_ |= replaces;
    if (replaces && !options_.calico_compatible) replaced.insert(unit->policy.identity);
  }
  for (Unit* unit : ordered_) {
    const StagedAction staged = unit->policy.staged;
    const bool enforced = staged == StagedAction::kNone;
    unit->in_scope[static_cast<std::size_t>(Scope::kEnforced)] = enforced;
    unit->in_scope[static_cast<std::size_t>(Scope::kPending)] =
        enforced ? !replaced.contains(unit->policy.identity) : staged == StagedAction::kSet;
  }
}

void Compiler::build_programs() {
  const std::size_t count = entities_.identities().size();
  code_.tiers.clear();
  code_.policy_refs.clear();
  code_.programs.clear();
  code_.named_ports.clear();
  code_.identities.assign(count, {});
  program_numbers_.clear();
  profile_tiers_.clear();
  for (std::size_t i = 1; i < count; ++i) {
    const std::vector<NamedPortCode>& ports = entities_.identities()[i].named_ports;
    code_.identities[i].named_ports = {static_cast<std::uint32_t>(code_.named_ports.size()),
                                       static_cast<std::uint32_t>(ports.size())};
    code_.named_ports.insert(code_.named_ports.end(), ports.begin(), ports.end());
  }
  for (const Scope scope : {Scope::kEnforced, Scope::kPending}) {
    const bool other = scope == Scope::kEnforced || staged_;
    if (other) list_applicable(scope);
    for (std::size_t i = 1; i < count; ++i) {
      auto& programs = code_.identities[i].programs;
      for (std::size_t direction = 0; direction < kDirections; ++direction) {
        programs[static_cast<std::size_t>(scope)][direction] =
            other ? program(applicable_[direction][i], static_cast<Direction>(direction), true)
                  : programs[0][direction];
      }
    }
  }
  build_profiles();
  build_hosts();
}

void Compiler::list_applicable(Scope scope) {
  for (std::vector<Applicable>& lists : applicable_) {
    lists.resize(entities_.identities().size());
    for (Applicable& list : lists) list.clear();
  }
  for (Unit* unit : ordered_) {
    if (!unit->policy.pods || !unit->in_scope[static_cast<std::size_t>(scope)]) continue;
    for (std::size_t direction = 0; direction < kDirections; ++direction) {
      if (!unit->policy.rules[direction]) continue;
      for (const std::uint32_t identity : entities_.members(unit->subject)) {
        applicable_[direction][identity].push_back(unit);
      }
    }
  }
}

std::uint32_t Compiler::program(const Applicable& applicable, Direction direction, bool defaults) {
  std::vector<std::uint32_t> key;
  key.reserve(applicable.size() + 1);
  for (const Unit* unit : applicable) key.push_back(unit->codes[static_cast<std::size_t>(direction)]);
  if (!defaults) key.push_back(kWithoutDefaults);
  const auto number = static_cast<std::uint32_t>(code_.programs.size());
  const auto [known, added] = program_numbers_.try_emplace(std::move(key), number);
  if (!added) return known->second;
  const auto first = static_cast<std::uint32_t>(code_.tiers.size());
  for (std::size_t next = 0; next < applicable.size();) add_tier(applicable, next, direction, defaults);
  code_.programs.push_back({first, static_cast<std::uint32_t>(code_.tiers.size()) - first});
  return number;
}

void Compiler::add_tier(const Applicable& applicable, std::size_t& next, Direction direction, bool defaults) {
  const std::uint32_t rank = applicable[next]->tier_rank;
  const TierInfo& tier = tiers_.at(applicable[next]->policy.tier);
  TierCode code;
  code.policies.first = static_cast<std::uint32_t>(code_.policy_refs.size());
  Unit* carrier = nullptr;
  for (; next < applicable.size() && applicable[next]->tier_rank == rank; ++next) {
    Unit* unit = applicable[next];
    code_.policy_refs.push_back(unit->codes[static_cast<std::size_t>(direction)]);
    ++code.policies.count;
    if (carrier == nullptr && unit->policy.isolates[static_cast<std::size_t>(direction)]) carrier = unit;
  }
  code.default_action = tier.default_action;
  code.default_hit = kNoHit;
  if (carrier != nullptr && defaults && !tier.silent) code.default_hit = default_hit(*carrier, tier.default_action);
  code_.tiers.push_back(code);
}

void Compiler::build_profile_codes() {
  for (const ProfileList& list : entities_.profile_lists()) {
    for (const std::string& name : list.names) {
      for (const Direction direction : {Direction::kEgress, Direction::kIngress}) profile_code(name, direction);
    }
  }
  for (const auto& host : set_.host_endpoints) {
    for (const std::string& name : host->profiles) {
      for (const Direction direction : {Direction::kEgress, Direction::kIngress}) profile_code(name, direction);
    }
  }
}

std::uint32_t Compiler::profile_code(const std::string& name, Direction direction) {
  const auto [known, added] = profile_codes_.try_emplace({name, direction}, 0);
  if (!added) return known->second;
  std::vector<Rule> rules;
  const auto object = std::find_if(set_.profiles.begin(), set_.profiles.end(),
                                   [&](const auto& profile) { return profile->name == name; });
  if (object != set_.profiles.end()) {
    rules = lower_profile(**object, direction);
  } else if (name.starts_with("kns.") || name == "projectcalico-default-allow") {
    rules.emplace_back();
  }
  known->second = compile_rules(kProfileTier, profile_trace_name(name, options_.trace_names), rules);
  origins_.push_back({nullptr, direction});
  return known->second;
}

std::uint32_t Compiler::profile_tier(const std::vector<std::string>& names, Direction direction) {
  const auto [known, added] = profile_tiers_.try_emplace({names, direction}, 0);
  if (!added) return known->second;
  TierCode code;
  code.policies = {static_cast<std::uint32_t>(code_.policy_refs.size()), static_cast<std::uint32_t>(names.size())};
  for (const std::string& name : names) code_.policy_refs.push_back(profile_code(name, direction));
  // Calico names "no profile at all" like a profile.
  const bool kind = options_.trace_names == TraceNames::kKind;
  const std::string nobody = names.empty() && kind ? "pro:__PROFILE__" : profile_trace_name("", options_.trace_names);
  code.default_hit = hit(kProfileTier, nobody, model::Action::kDeny, -1);
  known->second = static_cast<std::uint32_t>(code_.tiers.size());
  code_.tiers.push_back(code);
  return known->second;
}

void Compiler::build_profiles() {
  for (std::size_t i = 1; i < code_.identities.size(); ++i) {
    const ProfileList& list = entities_.profile_lists()[entities_.identities()[i].profiles];
    for (std::size_t direction = 0; direction < kDirections; ++direction) {
      code_.identities[i].profiles[direction] = profile_tier(list.names, static_cast<Direction>(direction));
    }
  }
}

void Compiler::build_hosts() {
  code_.hosts.clear();
  for (const auto& endpoint : set_.host_endpoints) {
    HostCode host;
    host.endpoint = endpoint.get();
    const model::LabelSet labels = Entities::host_labels(set_, *endpoint);
    for (const HostStage stage : {HostStage::kLocal, HostStage::kForward, HostStage::kPreDnat, HostStage::kUntracked}) {
      for (const Scope scope : {Scope::kEnforced, Scope::kPending}) {
        host.programs[static_cast<std::size_t>(stage)][static_cast<std::size_t>(scope)] =
            host_programs(labels, stage, scope);
      }
    }
    for (std::size_t direction = 0; direction < kDirections; ++direction) {
      host.profiles[direction] = profile_tier(endpoint->profiles, static_cast<Direction>(direction));
    }
    code_.hosts.push_back(host);
  }
}

ProgramPair Compiler::host_programs(const model::LabelSet& labels, HostStage stage, Scope scope) {
  std::array<Applicable, kDirections> applicable;
  for (Unit* unit : ordered_) {
    const Policy& policy = unit->policy;
    if (!policy.hosts || !unit->in_scope[static_cast<std::size_t>(scope)] || !of_stage(policy, stage)) continue;
    if (!policy.subject.selector.matches(labels)) continue;
    for (std::size_t direction = 0; direction < kDirections; ++direction) {
      if (policy.rules[direction]) applicable[direction].push_back(unit);
    }
  }
  const bool defaults = stage == HostStage::kLocal || stage == HostStage::kForward;
  return {program(applicable[0], Direction::kEgress, defaults), program(applicable[1], Direction::kIngress, defaults)};
}

}  // namespace weir::policy
