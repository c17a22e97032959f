// Compiles tiers of policies against the pods of a cluster.
//
// Selectors become sets of identities, ipBlocks sets of address classes, port lists sets of port classes; equal sets
// are shared. What applies to an identity is found from the policies' side, so identities with the same list of
// policies share one program.

#include <algorithm>
#include <map>

#include "policy/internal/compiled.h"
#include "policy/internal/identities.h"

namespace weir::policy {
namespace {

constexpr std::int32_t kTierDefault = -1;

class Compiler {
 public:
  Compiler(const EngineOptions& options, const std::vector<Tier>& tiers)
      : options_(options), tiers_(tiers), identities_(tiers) {}

  Result<Compiled> run(const EngineInputs& inputs) {
    TRY(identities_.add_pods(inputs.namespaces, inputs.pods, out_.pods));
    number_blocks();
    number_ports();
    compile_policies();
    compile_identities();
    out_.port_sets = port_sets_.matrix(out_.port_classes.size());
    out_.pod_sets = pod_sets_.matrix(out_.identities.size());
    out_.block_sets = block_sets_.matrix(out_.address_classes.size());
    return std::move(out_);
  }

 private:
  /// Calls `visit` with every rule.
  template <typename Visit>
  void for_each_rule(Visit visit) const {
    for (const Tier& tier : tiers_) {
      for (const Policy& policy : tier.policies) {
        for (const auto& rules : policy.rules) {
          if (rules) std::for_each(rules->begin(), rules->end(), visit);
        }
      }
    }
  }

  void number_blocks();
  void number_ports();
  std::uint32_t hit(const std::string& tier, const std::string& policy, model::Action action, std::int32_t rule);
  RuleCode compile_rule(const Tier& tier, const Policy& policy, const Rule& rule);
  void compile_policies();
  void compile_identities();
  std::uint32_t program(const std::vector<std::uint32_t>& applicable);

  const EngineOptions& options_;
  const std::vector<Tier>& tiers_;
  Identities identities_;
  Compiled out_;

  SetInterner port_sets_, pod_sets_, block_sets_;
  std::map<std::pair<IpPrefix, std::vector<IpPrefix>>, std::uint32_t> block_numbers_;
  std::map<std::string, std::uint32_t> hit_numbers_;
  /// By compiled policy (an element of Compiled::policies): where it came from.
  struct Origin {
    std::uint32_t tier;
    const Policy* policy;
  };
  std::vector<Origin> origins_;
  /// By identity and Direction: the policies that apply, in order.
  std::vector<std::array<std::vector<std::uint32_t>, 2>> applicable_;
  std::map<std::vector<std::uint32_t>, std::uint32_t> program_numbers_;
};

void Compiler::number_blocks() {
  std::vector<const model::IpBlock*> distinct;
  for_each_rule([&](const Rule& rule) {
    for (const model::IpBlock* block : rule.blocks) {
      const auto next = static_cast<std::uint32_t>(distinct.size());
      if (block_numbers_.try_emplace({block->cidr, block->except}, next).second) distinct.push_back(block);
    }
  });
  out_.address_classes = PrefixClasses(distinct);
}

void Compiler::number_ports() {
  for_each_rule([&](const Rule& rule) {
    for (const PortRange& range : rule.ports) out_.port_classes.cut(range.protocol, range.first, range.last);
  });
  for (const Identities::Identity& identity : identities_.all()) {
    for (const NamedPortCode& port : identity.named_ports) {
      out_.port_classes.cut(port.protocol, port.port, port.port);
    }
  }
  out_.port_classes.number();
}

std::uint32_t Compiler::hit(const std::string& tier, const std::string& policy, model::Action action,
                            std::int32_t rule) {
  std::string text = tier + "|" + policy + "|" + model::to_string(action) + "|" + std::to_string(rule);
  const auto number = static_cast<std::uint32_t>(out_.hits.size());
  const auto [known, added] = hit_numbers_.try_emplace(text, number);
  if (added) out_.hits.push_back({std::move(text), action});
  return known->second;
}

void sort_distinct(std::vector<std::uint32_t>& numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}

RuleCode Compiler::compile_rule(const Tier& tier, const Policy& policy, const Rule& rule) {
  RuleCode code;
  code.action = rule.action;
  code.hit = hit(tier.name, policy.name, rule.action, rule.index);
  std::vector<std::uint32_t> members;
  if (!rule.any_port) {
    for (const PortRange& range : rule.ports) {
      const std::uint32_t last = out_.port_classes.classify(range.protocol, range.last);
      for (std::uint32_t one = out_.port_classes.classify(range.protocol, range.first); one <= last; ++one) {
        members.push_back(one);
      }
    }
    sort_distinct(members);
    code.ports = port_sets_.intern(members);
    code.names = {static_cast<std::uint32_t>(out_.rule_names.size()),
                  static_cast<std::uint32_t>(rule.port_names.size())};
    for (const PortName& name : rule.port_names) out_.rule_names.push_back(identities_.port_name(name));
  }
  if (rule.any_peer) return code;
  members.clear();
  for (const PodSelector& selector : rule.pods) {
    const std::vector<std::uint32_t>& selected = identities_.select(selector);
    members.insert(members.end(), selected.begin(), selected.end());
  }
  sort_distinct(members);
  code.pods = pod_sets_.intern(members);
  members.clear();
  for (const model::IpBlock* block : rule.blocks) {
    const auto& classes = out_.address_classes.classes_of(block_numbers_.at({block->cidr, block->except}));
    members.insert(members.end(), classes.begin(), classes.end());
  }
  sort_distinct(members);
  code.blocks = block_sets_.intern(members);
  return code;
}

void Compiler::compile_policies() {
  applicable_.resize(identities_.all().size());
  for (std::uint32_t tier = 0; tier < tiers_.size(); ++tier) {
    for (const Policy& policy : tiers_[tier].policies) {
      const std::vector<std::uint32_t>& subjects = identities_.select(policy.subject);
      if (subjects.empty()) continue;
      for (std::size_t direction = 0; direction < policy.rules.size(); ++direction) {
        if (!policy.rules[direction]) continue;
        const auto number = static_cast<std::uint32_t>(out_.policies.size());
        out_.policies.push_back({static_cast<std::uint32_t>(out_.rules.size()),
                                 static_cast<std::uint32_t>(policy.rules[direction]->size())});
        origins_.push_back({tier, &policy});
        for (const Rule& rule : *policy.rules[direction]) {
          out_.rules.push_back(compile_rule(tiers_[tier], policy, rule));
        }
        for (const std::uint32_t subject : subjects) applicable_[subject][direction].push_back(number);
      }
    }
  }
}

void Compiler::compile_identities() {
  out_.identities.resize(identities_.all().size());
  for (std::uint32_t number = 1; number < out_.identities.size(); ++number) {
    const Identities::Identity& identity = identities_.all()[number];
    IdentityCode& code = out_.identities[number];
    for (std::size_t direction = 0; direction < code.programs.size(); ++direction) {
      code.programs[direction] = program(applicable_[number][direction]);
    }
    const std::string profile = namespace_profile_name(identities_.namespace_name(identity), options_.trace_names);
    code.profile_hit = hit("__PROFILE__", profile, model::Action::kAllow, 0);
    code.named_ports = {static_cast<std::uint32_t>(out_.named_ports.size()),
                        static_cast<std::uint32_t>(identity.named_ports.size())};
    out_.named_ports.insert(out_.named_ports.end(), identity.named_ports.begin(), identity.named_ports.end());
  }
}

std::uint32_t Compiler::program(const std::vector<std::uint32_t>& applicable) {
  const auto number = static_cast<std::uint32_t>(out_.programs.size());
  const auto [known, added] = program_numbers_.try_emplace(applicable, number);
  if (!added) return known->second;
  const auto first_tier = static_cast<std::uint32_t>(out_.tiers.size());
  for (std::size_t i = 0; i < applicable.size();) {
    const Origin& origin = origins_[applicable[i]];
    const Tier& tier = tiers_[origin.tier];
    TierCode code;
    code.policies.first = static_cast<std::uint32_t>(out_.policy_refs.size());
    code.default_action = tier.default_action;
    code.default_hit = hit(tier.name, origin.policy->name, tier.default_action, kTierDefault);
    for (; i < applicable.size() && origins_[applicable[i]].tier == origin.tier; ++i) {
      out_.policy_refs.push_back(applicable[i]);
      ++code.policies.count;
    }
    out_.tiers.push_back(code);
  }
  out_.programs.push_back({first_tier, static_cast<std::uint32_t>(out_.tiers.size()) - first_tier});
  return number;
}

}  // namespace

Result<Compiled> compile(const EngineOptions& options, const EngineInputs& inputs) {
  const std::vector<Tier> tiers = {lower_network_policies(inputs.network_policies, options.trace_names)};
  return Compiler(options, tiers).run(inputs);
}

}  // namespace weir::policy
