#include "policy/hit_text.h"

#include <string_view>
#include <tuple>
#include <utility>

namespace weir::policy {
namespace {

constexpr std::string_view kDefaultTier = "default", kProfiles = "__PROFILE__", kNoMatch = "__NO_MATCH__";
constexpr std::string_view kKubernetesPrefix = "knp.default.";

struct PolicyId {
  std::string_view kind, namespace_name, name;
};

/// "knp/shop/web" or "gnp/name".
PolicyId split_id(std::string_view id) {
  PolicyId parts;
  const std::size_t kind_end = id.find('/');
  if (kind_end == std::string_view::npos) return {{}, {}, id};
  parts.kind = id.substr(0, kind_end);
  id.remove_prefix(kind_end + 1);
  const std::size_t namespace_end = id.find('/');
  if (namespace_end != std::string_view::npos) {
    parts.namespace_name = id.substr(0, namespace_end);
    id.remove_prefix(namespace_end + 1);
  }
  parts.name = id;
  // Older data planes knew Kubernetes policies as their own kind with a prefixed name.
  if (parts.kind == "np" && parts.name.starts_with(kKubernetesPrefix)) {
    parts.kind = "knp";
    parts.name.remove_prefix(kKubernetesPrefix.size());
  }
  return parts;
}

/// The tier and the name of a rule's policy.
std::pair<std::string, std::string> policy_names(std::string_view id, TraceNames names) {
  const PolicyId parts = split_id(id);
  const std::string space = parts.namespace_name.empty() ? "" : std::string(parts.namespace_name) + "/";
  const std::string name(parts.name);
  const bool kubernetes = parts.kind == "knp" || parts.kind == "sknp";
  // The tier stands in front of a policy's name, and names without one are of the default tier.
  const std::size_t dot = kubernetes ? std::string::npos : name.find('.');
  const std::string tier = dot == std::string::npos ? std::string(kDefaultTier) : name.substr(0, dot);
  if (names == TraceNames::kKind) {
    const std::string bare = dot == std::string::npos ? name : name.substr(dot + 1);
    return {tier, (parts.kind.empty() ? "" : std::string(parts.kind) + ":") + space + bare};
  }
  const std::string staged = parts.kind.starts_with('s') ? "staged:" : "";
  if (kubernetes) return {tier, space + staged + std::string(kKubernetesPrefix) + name};
  return {tier, space + staged + (dot == std::string::npos ? tier + "." + name : name)};
}

}  // namespace

std::string hit_text(const model::PolicyHit& hit, TraceNames names) {
  const bool by_kind = names == TraceNames::kKind;
  std::string tier, policy;
  switch (hit.kind) {
    case model::HitKind::kPolicyRule:
      std::tie(tier, policy) = policy_names(hit.id, names);
      break;
    case model::HitKind::kProfileRule:
      tier = kProfiles;
      policy = (by_kind ? "pro:" : "__PROFILE__.") + hit.id;
      break;
    case model::HitKind::kTierEnd:
      tier = hit.id;
      policy = (by_kind ? "eot:" : "") + std::string(kNoMatch);
      break;
    case model::HitKind::kNoProfile:
      tier = kProfiles;
      policy = (by_kind ? "pro:" : "") + std::string(kNoMatch);
      break;
  }
  return tier + "|" + policy + "|" + model::to_string(hit.action) + "|" + std::to_string(hit.rule);
}

}  // namespace weir::policy
