#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "model/endpoint.h"
#include "model/network_policy.h"
#include "policy/internal/compiled.h"
#include "policy/internal/tiers.h"

namespace weir::policy {

/// Groups pods by what policies can tell of them, and finds the groups that a selector selects.
class Identities {
 public:
  struct Identity {
    std::uint32_t namespace_index = 0;
    /// Of one of its pods: selectors cannot tell its pods apart. Null for identity kNoPod.
    const model::LabelSet* labels = nullptr;
    std::vector<NamedPortCode> named_ports;
  };

  /// Learns which labels and port names matter. `tiers` must outlive this.
  explicit Identities(const std::vector<Tier>& tiers);

  /// `namespaces` and the pods' labels must outlive this.
  Status add_pods(const std::vector<model::NamespaceInfo>& namespaces, const std::vector<const model::Endpoint*>& pods,
                  std::vector<PodCode>& codes);

  /// Identities in ascending order; kNoPod is never among them.
  const std::vector<std::uint32_t>& select(const PodSelector& selector);

  const std::vector<Identity>& all() const { return identities_; }
  const std::string& namespace_name(const Identity& identity) const {
    return namespaces_[identity.namespace_index].name;
  }
  /// The number of a port name that some rule names.
  std::uint32_t port_name(const PortName& name) const { return port_names_.at({name.name, name.protocol}); }

 private:
  struct Namespace {
    std::string name;
    model::LabelSet labels;
    std::vector<std::uint32_t> identities;
  };

  void learn(const model::LabelSelector* selector);
  void add_namespace(const std::string& name, const model::LabelSet* labels);
  std::vector<NamedPortCode> named_ports(const model::Endpoint& pod) const;
  std::uint32_t identity_of(const model::Endpoint& pod);
  /// A superset of what the selector selects, as small as an index gives.
  std::span<const std::uint32_t> candidates(const PodSelector& selector) const;
  const std::vector<bool>& namespaces_matching(const model::LabelSelector& selector);

  std::set<std::string, std::less<>> label_keys_;
  std::map<std::pair<std::string, std::uint8_t>, std::uint32_t> port_names_;
  std::vector<Namespace> namespaces_;
  std::unordered_map<std::string, std::uint32_t> namespace_numbers_;
  std::vector<Identity> identities_;
  std::vector<std::uint32_t> every_identity_;
  std::unordered_map<std::string, std::uint32_t> identity_numbers_;
  /// By "key=value", for the keys that matter.
  std::unordered_map<std::string, std::vector<std::uint32_t>> with_label_;
  /// Selectors already answered, by their canonical text.
  std::unordered_map<std::string, std::vector<std::uint32_t>> selected_;
  std::unordered_map<std::string, std::vector<bool>> selected_namespaces_;
};

}  // namespace weir::policy
