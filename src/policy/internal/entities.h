#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "model/endpoint.h"
#include "model/policy_set.h"
#include "policy/internal/compiled.h"
#include "policy/internal/lowered.h"

namespace weir::policy {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return hash_bytes(text.data(), text.size()); }
};
template <typename Value>
using TextMap = absl::flat_hash_map<std::string, Value, TextHash, std::equal_to<>>;
using TextSet = absl::flat_hash_set<std::string, TextHash, std::equal_to<>>;

/// The profiles of a pod, in order, and what labels it has from them.
struct ProfileList {
  std::vector<std::string> names;
  /// It hands down the labels of the pod's namespace, and of its service account.
  bool of_namespace = true, of_account = true;
};

/// Who owns addresses, and whom a selector selects.
///
/// Pods are grouped to identities by what policies can tell of them: those labels, port names and profiles that some
/// policy names. Whoever may name labels or ports says so first (intern(), port_name()); then refresh() takes the pods.
/// A refresh costs what changed since the last one, unless a label key or port name is new to it.
class Entities {
 public:
  struct Identity {
    std::uint32_t namespace_number = 0, account = 0, profiles = 0;
    /// Own labels of one of its pods (they differ in nothing that matters), and all effective ones.
    model::LabelSet own, labels;
    std::vector<NamedPortCode> named_ports;
  };
  /// An owner of addresses that is no pod.
  struct Owner {
    EntitySelector::Over over = EntitySelector::Over::kEndpoints;
    model::LabelSet labels;
    std::vector<IpPrefix> nets;
    std::vector<std::string> domains;
  };
  struct Change {
    /// Every identity is another than before.
    bool rebuilt = false;
    /// New identities, and those whose labels changed.
    std::vector<std::uint32_t> identities;
    /// Owners are others than before.
    bool owners = false;
  };

  /// The number of a selector; equal ones have one.
  std::uint32_t intern(const EntitySelector& selector);
  /// The number of a port name.
  std::uint32_t port_name(const PortName& name);

  Result<Change> refresh(const model::PolicySet& set, std::span<const model::Endpoint* const> pods,
                         std::vector<PodCode>& codes);

  /// Identities that the selector selects, ascending; kNoPod is never among them.
  const std::vector<std::uint32_t>& members(std::uint32_t selector);
  /// Elements of owners(), ascending.
  std::vector<std::uint32_t> owners_of(std::uint32_t selector) const;
  bool selects(std::uint32_t selector, const model::LabelSet& labels) const {
    const EntitySelector& by = selectors_[selector].selector;
    return by.over != EntitySelector::Over::kNodes && by.selector.matches(labels);
  }

  const std::vector<Identity>& identities() const { return identities_; }
  const std::vector<Owner>& owners() const { return owners_; }
  const std::vector<ProfileList>& profile_lists() const { return profile_lists_; }
  /// Effective labels of a host endpoint.
  static model::LabelSet host_labels(const model::PolicySet& set, const model::HostEndpoint& host);

 private:
  /// A namespace or a service account: the labels that its pods have from it and that matter.
  struct Group {
    std::string namespace_name, name;
    std::vector<std::string> pairs;
    std::vector<std::uint32_t> identities;
  };
  struct SelectorEntry {
    EntitySelector selector;
    bool evaluated = false;
    std::vector<std::uint32_t> members;
  };

  Status rebuild(std::span<const model::Endpoint* const> pods, std::vector<PodCode>& codes);
  Status place(std::size_t position, const model::Endpoint* pod, std::vector<PodCode>& codes);
  Status move_pods(std::span<const model::Endpoint* const> pods, std::vector<PodCode>& codes, Change& change);
  void relabel_groups(Change& change);
  void rebuild_owners();
  std::vector<std::string> namespace_pairs(const std::string& name) const;
  std::vector<std::string> account_pairs(const std::string& namespace_name, const std::string& name) const;
  std::uint32_t namespace_of(const std::string& name);
  std::uint32_t account_of(const std::string& namespace_name, const std::string& name);
  std::uint32_t profiles_of(const model::Endpoint& pod);
  std::vector<NamedPortCode> named_ports(const model::Endpoint& pod) const;
  std::uint32_t identity_of(const model::Endpoint& pod);
  model::LabelSet effective(const Identity& identity) const;
  void index(std::uint32_t number);
  /// Selectors already answered hear of an identity that is new or has other labels.
  void reconsider(std::uint32_t number);
  void evaluate(SelectorEntry& entry);

  TextSet label_keys_;
  bool accounts_matter_ = false;
  TextMap<std::uint32_t> port_names_;
  bool new_words_ = true;

  std::vector<SelectorEntry> selectors_;
  TextMap<std::uint32_t> selector_numbers_;

  /// What refresh() was given last.
  model::PolicySet set_;
  std::vector<const model::Endpoint*> pods_;
  std::vector<std::int32_t> pod_indices_;
  /// By name and by "namespace/name".
  TextMap<const model::NamespaceInfo*> namespace_infos_;
  TextMap<const model::ServiceAccountInfo*> account_infos_;
  TextMap<const model::WorkloadEndpoint*> overrides_;
  TextMap<const model::Profile*> profiles_;

  std::vector<Group> namespaces_, accounts_;
  TextMap<std::uint32_t> namespace_numbers_, account_numbers_;
  std::vector<ProfileList> profile_lists_;
  TextMap<std::uint32_t> profile_numbers_;
  std::vector<Identity> identities_;
  std::vector<std::uint32_t> every_identity_;
  TextMap<std::uint32_t> identity_numbers_;
  /// Identities by "key=value", and by key; some may not have it any more.
  TextMap<std::vector<std::uint32_t>> with_pair_, with_key_;
  std::vector<Owner> owners_;
};

}  // namespace weir::policy
