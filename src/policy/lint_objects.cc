// Checks of single objects: what they say, against what it means.

#include <algorithm>
#include <map>

#include "policy/internal/lint.h"

namespace weir::policy {
namespace {

void check_types(const model::NetworkPolicy& policy, const std::string& object, Findings& findings) {
  const auto add = [&](const char* path, const char* what, const char* repair) {
    findings.push_back({Severity::kWarning, "policy-types", object, path, what, repair});
  };
  if (!policy.applies_ingress && !policy.ingress.empty()) {
    add("spec.ingress", "its rules mean nothing, since policyTypes does not list Ingress",
        "add Ingress to policyTypes");
  }
  if (!policy.applies_egress && !policy.egress.empty()) {
    add("spec.egress", "its rules mean nothing, since policyTypes does not list Egress", "add Egress to policyTypes");
  }
  if (policy.types_given) return;
  if (!policy.egress.empty() && policy.ingress.empty()) {
    add("spec.policyTypes",
        "without policyTypes the policy is for ingress too, and it has no ingress rule: nobody may connect to its pods",
        "set policyTypes to [Egress], or to [Ingress, Egress] if that is meant");
  }
  if (policy.egress_given && policy.egress.empty()) {
    add("spec.egress", "an empty list without policyTypes does not isolate egress", "set policyTypes to [Egress]");
  }
}

void check_types(const model::CalicoPolicy& policy, const std::string& object, Findings& findings) {
  if (!policy.applies_ingress && !policy.ingress.empty()) {
    findings.push_back({Severity::kWarning, "policy-types", object, "spec.ingress",
                        "its rules mean nothing, since types does not list Ingress", "add Ingress to types"});
  }
  if (!policy.applies_egress && !policy.egress.empty()) {
    findings.push_back({Severity::kWarning, "policy-types", object, "spec.egress",
                        "its rules mean nothing, since types does not list Egress", "add Egress to types"});
  }
}

void check_peers(const std::vector<model::NetworkPolicyRule>& rules, const char* path, const std::string& object,
                 Findings& findings) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    for (std::size_t j = 0; j < rules[i].peers.size(); ++j) {
      const model::NetworkPolicyPeer& peer = rules[i].peers[j];
      if (peer.pod_selector || peer.namespace_selector || peer.ip_block) continue;
      findings.push_back({Severity::kError, "empty-peer", object,
                          std::string(path) + "[" + std::to_string(i) + "] peer " + std::to_string(j),
                          "a peer without selector and ipBlock matches nobody",
                          "leave out the list for anybody, or say podSelector: {} for all pods of the namespace"});
    }
  }
}

void check_malformed(const std::vector<model::AdminRule>& rules, const char* path, const std::string& object,
                     Findings& findings) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (!rules[i].malformed) continue;
    const bool allow = rules[i].action == model::Action::kAllow;
    findings.push_back({Severity::kError, "fails-closed", object, std::string(path) + "[" + std::to_string(i) + "]",
                        std::string("something of the rule is not understood, so that it ") +
                            (allow ? "allows nothing" : "denies everything"),
                        "see the remark about it when the manifests are read"});
  }
}

void check_tiers(const LintWorld& world, Findings& findings) {
  for (const LintUnit& unit : world.units()) {
    if (world.tier_rank(unit.policy.tier) != std::string::npos) continue;
    findings.push_back({Severity::kError, "no-tier", unit.object, "spec.tier",
                        "there is no tier '" + unit.policy.tier + "'", "create the tier, or name one that there is"});
  }
}

/// Admin policies of equal priority have no order.
void check_priorities(const LintWorld& world, Findings& findings) {
  std::map<std::pair<std::string, double>, std::vector<const LintUnit*>> groups;
  for (const LintUnit& unit : world.units()) {
    const bool admin = unit.policy.tier == "kube-admin" || unit.policy.tier == "kube-baseline";
    if (admin && !unit.staged()) groups[{unit.policy.tier, unit.policy.order}].push_back(&unit);
  }
  const auto meet = [](const LintUnit& a, const LintUnit& b) {
    for (std::size_t at = 0; at < kDirections; ++at) {
      if (a.policy.rules[at] && b.policy.rules[at]) return true;
    }
    return false;
  };
  for (const auto& [key, units] : groups) {
    for (std::size_t i = 1; i < units.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (units[i]->object == units[j]->object || !meet(*units[i], *units[j])) continue;
        if (!overlap(world.selected(units[i]->policy.subject), world.selected(units[j]->policy.subject))) continue;
        findings.push_back({Severity::kWarning, "equal-priority", units[i]->object, "spec.priority",
                            "it has the priority of " + units[j]->object +
                                " and pods in common with it: which of them is asked first is not defined",
                            "give one of them another priority"});
      }
    }
  }
}

/// A staged deletion wants something to delete.
void check_deletions(const LintWorld& world, Findings& findings) {
  const model::PolicySet& set = world.inputs().policies;
  for (const auto& staged : set.network_policies) {
    if (staged->staged != model::StagedAction::kDelete) continue;
    const bool found = std::any_of(set.network_policies.begin(), set.network_policies.end(), [&](const auto& other) {
      return other->staged == model::StagedAction::kNone && other->name == staged->name &&
             other->namespace_name == staged->namespace_name;
    });
    if (found) continue;
    findings.push_back({Severity::kWarning, "deletes-nothing",
                        "StagedKubernetesNetworkPolicy " + staged->namespace_name + "/" + staged->name,
                        "spec.stagedAction", "there is no NetworkPolicy of that name to delete", "remove it"});
  }
  for (const auto& staged : set.calico_policies) {
    if (staged->staged != model::StagedAction::kDelete) continue;
    const bool found = std::any_of(set.calico_policies.begin(), set.calico_policies.end(), [&](const auto& other) {
      return other->staged == model::StagedAction::kNone && other->name == staged->name &&
             other->namespace_name == staged->namespace_name;
    });
    if (found) continue;
    const std::string object = staged->namespace_name
                                   ? "StagedNetworkPolicy " + *staged->namespace_name + "/" + staged->name
                                   : "StagedGlobalNetworkPolicy " + staged->name;
    findings.push_back({Severity::kWarning, "deletes-nothing", object, "spec.stagedAction",
                        "there is no policy of that name to delete", "remove it"});
  }
}

}  // namespace

void lint_objects(const LintWorld& world, Findings& findings) {
  const model::PolicySet& set = world.inputs().policies;
  for (const auto& policy : set.network_policies) {
    if (policy->staged == model::StagedAction::kDelete) continue;
    const std::string object = object_name(*policy);
    check_types(*policy, object, findings);
    check_peers(policy->ingress, "spec.ingress", object, findings);
    check_peers(policy->egress, "spec.egress", object, findings);
  }
  for (const auto& policy : set.calico_policies) check_types(*policy, object_name(*policy), findings);
  for (const auto& policy : set.admin_policies) {
    const std::string object = object_name(*policy);
    if (policy->malformed) {
      findings.push_back({Severity::kError, "fails-closed", object, "spec",
                          "its tier or subject is not understood, so that it does nothing",
                          "see the remark about it when the manifests are read"});
    }
    check_malformed(policy->ingress, "spec.ingress", object, findings);
    check_malformed(policy->egress, "spec.egress", object, findings);
  }
  check_tiers(world, findings);
  check_priorities(world, findings);
  check_deletions(world, findings);
}

}  // namespace weir::policy
