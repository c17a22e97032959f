#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "policy/oracle_match.h"

namespace weir::policy {

/// The slow, obvious evaluator that the engine must agree with: reads the objects as they are, for every question anew.
/// For test targets and benchmarks only.
class Oracle {
 public:
  struct Side {
    bool managed = false;
    model::Action action = model::Action::kAllow;
    std::vector<std::string> trace, pending;
    model::Action pending_action = model::Action::kAllow;
  };
  struct Answer {
    Side egress, ingress;
  };

  Oracle(const EngineOptions& options, EngineInputs inputs) : options_(options), inputs_(std::move(inputs)) {
    enforced_ = tiers_of(false);
    pending_ = tiers_of(true);
  }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  Answer evaluate(const Query& query) const {
    if (OracleMatch::managed(query.source) && query.source == query.dest) return {};
    return {side(query, query.source, true), side(query, query.dest, false)};
  }

 private:
  using Object = std::variant<const model::NetworkPolicy*, const model::AdminPolicy*, const model::CalicoPolicy*>;
  struct Ref {
    double order = 0;
    std::string tie, name;
    Object object;
  };
  struct Tier {
    double order = 0;
    std::string name;
    model::Action default_action = model::Action::kDeny;
    std::vector<Ref> policies;
  };
  struct Decision {
    model::Action action = model::Action::kAllow;
    std::int32_t rule = -1;
  };
  static constexpr double kLast = std::numeric_limits<double>::infinity();

  bool kind_names() const { return options_.trace_names == TraceNames::kKind; }

  template <typename T>
  static std::string where(const T& policy) {
    if constexpr (std::is_same_v<T, model::NetworkPolicy>) return policy.namespace_name;
    if constexpr (std::is_same_v<T, model::CalicoPolicy>) return policy.namespace_name.value_or("");
    return "";
  }
  /// Whether a staged policy takes the place of `policy`, or removes it.
  template <typename T>
  static bool overridden(const T& policy, const model::SharedList<T>& all) {
    return std::any_of(all.begin(), all.end(), [&](const auto& other) {
      const bool replaces = other->staged == model::StagedAction::kSet || other->staged == model::StagedAction::kDelete;
      return replaces && other->name == policy.name && where(*other) == where(policy);
    });
  }
  template <typename T>
  bool in_scope(const T& policy, const model::SharedList<T>& all, bool pending) const {
    if (policy.staged != model::StagedAction::kNone) return pending && policy.staged == model::StagedAction::kSet;
    return !pending || options_.calico_compatible || !overridden(policy, all);
  }

  std::vector<Tier> tiers_of(bool pending) const {
    std::map<std::string, Tier> tiers;
    tiers["kube-admin"] = {1'000, "kube-admin", model::Action::kPass, {}};
    tiers["default"] = {1'000'000, "default", model::Action::kDeny, {}};
    tiers["kube-baseline"] = {10'000'000, "kube-baseline", model::Action::kPass, {}};
    for (const auto& tier : inputs_.policies.tiers) {
      tiers[tier->name] = {tier->order.value_or(kLast), tier->name, tier->default_action, {}};
    }
    add_kubernetes(pending, tiers);
    add_admin(tiers);
    add_calico(pending, tiers);
    std::vector<Tier> ordered;
    for (auto& [name, tier] : tiers) {
      std::sort(tier.policies.begin(), tier.policies.end(),
                [](const Ref& a, const Ref& b) { return std::tie(a.order, a.tie) < std::tie(b.order, b.tie); });
      ordered.push_back(std::move(tier));
    }
    std::sort(ordered.begin(), ordered.end(),
              [](const Tier& a, const Tier& b) { return std::tie(a.order, a.name) < std::tie(b.order, b.name); });
    return ordered;
  }

  void add_kubernetes(bool pending, std::map<std::string, Tier>& tiers) const {
    const model::PolicySet& set = inputs_.policies;
    for (const auto& policy : set.network_policies) {
      if (!in_scope(*policy, set.network_policies, pending)) continue;
      const bool staged = policy->staged != model::StagedAction::kNone;
      const std::string name =
          kind_names() ? (staged ? "sknp:" : "knp:") + policy->namespace_name + "/" + policy->name
                       : policy->namespace_name + (staged ? "/staged:" : "/") + "knp.default." + policy->name;
      const std::string kind = staged ? "StagedKubernetesNetworkPolicy" : "KubernetesNetworkPolicy";
      tiers["default"].policies.push_back(
          {1'000, policy->name + "/" + policy->namespace_name + "/" + kind, name, policy.get()});
    }
  }
  void add_admin(std::map<std::string, Tier>& tiers) const {
    const model::PolicySet& set = inputs_.policies;
    for (const auto& policy : set.admin_policies) {
      if (policy->malformed) continue;
      using Kind = model::AdminPolicy::Kind;
      const bool baseline = policy->baseline || policy->kind == Kind::kBaseline;
      const std::string tier = baseline ? "kube-baseline" : "kube-admin";
      const bool cluster = policy->kind == Kind::kCluster, admin = policy->kind == Kind::kAdmin;
      const std::string prefix = kind_names() ? (cluster ? "kcnp:"
                                                 : admin ? "anp:"
                                                         : "banp:")
                                 : cluster    ? "kcnp." + tier + "."
                                 : admin      ? "kanp.adminnetworkpolicy."
                                              : "kbanp.baselineadminnetworkpolicy.";
      const std::string kind = cluster ? "Cluster" : admin ? "Admin" : "BaselineAdmin";
      tiers[tier].policies.push_back({policy->kind == Kind::kBaseline ? 0.0 : policy->priority,
                                      policy->name + "//Kubernetes" + kind + "NetworkPolicy", prefix + policy->name,
                                      policy.get()});
    }
  }
  void add_calico(bool pending, std::map<std::string, Tier>& tiers) const {
    const model::PolicySet& set = inputs_.policies;
    for (const auto& policy : set.calico_policies) {
      if (!in_scope(*policy, set.calico_policies, pending) || policy->do_not_track || policy->pre_dnat) continue;
      tiers.try_emplace(policy->tier, Tier{kLast, policy->tier, model::Action::kDeny, {}});
      const std::string kind = std::string(policy->staged == model::StagedAction::kNone ? "" : "Staged") +
                               (policy->namespace_name ? "NetworkPolicy" : "GlobalNetworkPolicy");
      tiers[policy->tier].policies.push_back({policy->order.value_or(kLast),
                                              policy->name + "/" + policy->namespace_name.value_or("") + "/" + kind,
                                              calico_name(*policy), policy.get()});
    }
  }

  std::string calico_name(const model::CalicoPolicy& policy) const {
    const bool staged = policy.staged != model::StagedAction::kNone;
    const std::string ns = policy.namespace_name ? *policy.namespace_name + "/" : "";
    if (kind_names())
      return std::string(staged ? "s" : "") + (policy.namespace_name ? "np:" : "gnp:") + ns + policy.name;
    const bool prefixed = policy.name.rfind(policy.tier + ".", 0) == 0;
    return ns + policy.tier + "." + (staged ? "staged:" : "") +
           (prefixed ? policy.name.substr(policy.tier.size() + 1) : policy.name);
  }

  Side side(const Query& query, const model::Endpoint* subject, bool egress) const {
    if (!OracleMatch::managed(subject)) return {};
    Side side;
    side.managed = true;
    side.action = walk(enforced_, query, *subject, egress, side.trace);
    side.pending_action = walk(pending_, query, *subject, egress, side.pending);
    return side;
  }

  model::Action walk(const std::vector<Tier>& tiers, const Query& query, const model::Endpoint& subject, bool egress,
                     std::vector<std::string>& trace) const {
    const OracleMatch::Entity& pod = match_.entity_of(subject);
    const auto add = [&](const std::string& tier, const std::string& name, model::Action action, std::int32_t rule) {
      trace.push_back(std::to_string(trace.size()) + "|" + tier + "|" + name + "|" + model::to_string(action) + "|" +
                      std::to_string(rule));
    };
    for (const Tier& tier : tiers) {
      const Ref* first = nullptr;
      std::optional<Decision> decision;
      const Ref* decided = nullptr;
      for (const Ref& ref : tier.policies) {
        if (!applies(ref.object, pod, egress)) continue;
        if (first == nullptr) first = &ref;
        decision = decide(ref.object, query, egress);
        decided = &ref;
        if (decision) break;
      }
      if (first == nullptr) continue;
      if (!decision) {
        decision = Decision{tier.default_action, -1};
        decided = first;
      }
      add(tier.name, decided->name, decision->action, decision->rule);
      if (decision->action != model::Action::kPass) return decision->action;
    }
    const std::vector<std::string> profiles = match_.profiles_of(subject);
    for (const std::string& name : profiles) {
      const std::string shown = (kind_names() ? "pro:" : "__PROFILE__.") + name;
      const model::Profile* object = match_.profile(name);
      if (object == nullptr && !name.starts_with("kns.")) continue;
      auto decision = object != nullptr
                          ? decide_rules(std::nullopt, egress ? object->egress : object->ingress, query, egress)
                          : Decision{model::Action::kAllow, 0};
      if (!decision) continue;
      if (decision->action == model::Action::kPass) decision->action = model::Action::kDeny;
      add("__PROFILE__", shown, decision->action, decision->rule);
      return decision->action;
    }
    const std::string nobody = profiles.empty() && kind_names() ? "pro:__PROFILE__"
                               : kind_names()                   ? "pro:__NO_MATCH__"
                                                                : "__NO_MATCH__";
    add("__PROFILE__", nobody, model::Action::kDeny, -1);
    return model::Action::kDeny;
  }

  bool applies(const Object& object, const OracleMatch::Entity& pod, bool egress) const {
    if (const auto* knp = std::get_if<0>(&object)) {
      return (egress ? (*knp)->applies_egress : (*knp)->applies_ingress) && match_.selects(**knp, pod);
    }
    if (const auto* admin = std::get_if<1>(&object)) {
      return !(egress ? (*admin)->egress : (*admin)->ingress).empty() && match_.selects((*admin)->subject, pod);
    }
    const model::CalicoPolicy& policy = *std::get<2>(object);
    return (egress ? policy.applies_egress : policy.applies_ingress) && match_.selects(policy, pod);
  }

  std::optional<Decision> decide(const Object& object, const Query& query, bool egress) const {
    if (const auto* knp = std::get_if<0>(&object)) {
      const auto& rules = egress ? (*knp)->egress : (*knp)->ingress;
      for (std::size_t i = 0; i < rules.size(); ++i) {
        if (match_.matches(**knp, rules[i], query, egress)) {
          return Decision{model::Action::kAllow, static_cast<std::int32_t>(i)};
        }
      }
      return std::nullopt;
    }
    if (const auto* admin = std::get_if<1>(&object)) {
      const auto& rules = egress ? (*admin)->egress : (*admin)->ingress;
      for (std::size_t i = 0; i < rules.size(); ++i) {
        const auto index = static_cast<std::int32_t>(i);
        if (!OracleMatch::understood(rules[i])) {
          if (rules[i].action == model::Action::kAllow) continue;
          return Decision{model::Action::kDeny, index};
        }
        if (match_.matches(rules[i], query, egress)) return Decision{rules[i].action, index};
      }
      return std::nullopt;
    }
    const model::CalicoPolicy& policy = *std::get<2>(object);
    return decide_rules(policy.namespace_name, egress ? policy.egress : policy.ingress, query, egress);
  }

  std::optional<Decision> decide_rules(const std::optional<std::string>& ns,
                                       const std::vector<model::CalicoRule>& rules, const Query& query,
                                       bool egress) const {
    constexpr std::array<model::Action, 3> kActions = {model::Action::kAllow, model::Action::kDeny,
                                                       model::Action::kPass};
    for (std::size_t i = 0; i < rules.size(); ++i) {
      if (rules[i].action == model::RuleAction::kLog || !match_.matches(ns, rules[i], query, egress)) continue;
      return Decision{kActions[static_cast<std::size_t>(rules[i].action)], static_cast<std::int32_t>(i)};
    }
    return std::nullopt;
  }

  EngineOptions options_;
  EngineInputs inputs_;
  OracleMatch match_{options_, inputs_};
  std::vector<Tier> enforced_, pending_;
};

}  // namespace weir::policy
