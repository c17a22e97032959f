#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "policy/internal/compiled.h"
#include "policy/internal/entities.h"

namespace weir::policy {

/// Compiles policies against the pods of a cluster, and compiles anew what a change touches.
///
/// An object of a PolicySet is lowered and its rules are compiled once, when it is first seen. Selectors are answered
/// once. What each refresh makes anew are the lists of policies that apply to each identity. What is gone leaves
/// garbage in the tables; when that is half of them, everything is compiled from nothing.
class Compiler {
 public:
  explicit Compiler(const EngineOptions& options);

  /// Borrows the pods, keeps the objects. After an error, the next refresh starts from nothing.
  Status refresh(const EngineInputs& inputs);

  /// Valid until the next refresh, except `hits`, which only grows until compiled_anew() moves.
  const Compiled& code() const { return code_; }
  std::uint64_t compiled_anew() const { return anew_; }
  /// Of the largest tables, about.
  std::size_t bytes() const;

  // For explanations.

  /// A policy as it applies in one direction: the lowered form behind an element of Compiled::policies.
  struct Origin {
    const Policy* policy = nullptr;
    Direction direction = Direction::kEgress;
  };
  /// Null policy: a profile.
  Origin origin(std::uint32_t policy_code) const { return origins_[policy_code]; }

 private:
  /// One lowered policy.
  struct Unit {
    Policy policy;
    std::uint32_t subject = 0;
    /// By Direction: an element of Compiled::policies.
    std::array<std::uint32_t, kDirections> codes{};
    /// By Action: what its tier's default leaves in traces; kNoHit until it is asked for.
    std::array<std::uint32_t, 3> default_hits{kNoHit, kNoHit, kNoHit};
    std::uint32_t tier_rank = 0;
    std::array<bool, kScopes> in_scope{};
  };
  struct Lowered {
    std::shared_ptr<const void> object;
    std::vector<std::unique_ptr<Unit>> units;
    std::uint64_t round = 0;
  };
  struct PeerEntry {
    PeerSet peers;
    std::vector<std::uint32_t> selectors;
    /// Elements of address_sets_.
    std::vector<std::uint32_t> addresses;
  };
  using Applicable = std::vector<Unit*>;

  void start_anew();
  template <typename T>
  void lower_all(const model::SharedList<T>& objects);
  void drop_gone();
  void compile_unit(Unit& unit);
  std::uint32_t compile_rules(const std::string& tier, const std::string& name, const std::vector<Rule>& rules);
  RuleCode compile_rule(const std::string& tier, const std::string& name, const Rule& rule);
  CheckCode compile_check(const Check& check);
  Span compile_names(const std::vector<PortName>& names);
  std::uint32_t hit(const std::string& tier, const std::string& policy, model::Action action, std::int32_t rule);
  std::uint32_t default_hit(Unit& unit, model::Action action);
  std::uint32_t intern_peers(const PeerSet& peers);
  std::uint32_t intern_traffic(const TrafficSet& set);
  std::uint32_t intern_addresses(AddressSet set);

  void refresh_traffic(const Entities::Change& change);
  void refresh_pod_sets(const Entities::Change& change);
  void refresh_address_sets(bool changed);
  void resolve(PeerEntry& entry);
  void fill_address_columns(std::uint32_t first);
  void refresh_services();
  void refresh_domains();

  void order_policies();
  void choose_scopes();
  void build_programs();
  void list_applicable(Scope scope);
  /// Without `defaults`, what no rule of a tier matches goes on to the next.
  std::uint32_t program(const Applicable& applicable, Direction direction, bool defaults);
  void add_tier(const Applicable& applicable, std::size_t& next, Direction direction, bool defaults);
  void build_profile_codes();
  void build_profiles();
  std::uint32_t profile_tier(const std::vector<std::string>& names, Direction direction);
  std::uint32_t profile_code(const std::string& name, Direction direction);
  void build_hosts();
  ProgramPair host_programs(const model::LabelSet& labels, HostStage stage, Scope scope);

  EngineOptions options_;
  Compiled code_;
  Entities entities_;
  model::PolicySet set_;
  std::uint64_t round_ = 0, anew_ = 0;
  bool sound_ = false;

  absl::flat_hash_map<const void*, Lowered> lowered_;
  std::size_t units_ = 0, garbage_ = 0;
  std::vector<Unit*> ordered_;
  bool staged_ = false, policies_moved_ = true;
  std::vector<Origin> origins_;

  TextMap<std::uint32_t> hit_numbers_;
  std::vector<PeerEntry> peers_;
  TextMap<std::uint32_t> peer_numbers_;
  std::size_t filled_peers_ = 0, addressed_peers_ = 0;
  std::vector<AddressSet> address_sets_;
  std::map<AddressSet, std::uint32_t> address_numbers_;
  std::size_t classified_addresses_ = 0;
  /// How many address sets were in use when those that were not were last dropped.
  std::size_t live_addresses_ = 0;
  std::vector<TrafficSet> traffic_;
  TextMap<std::uint32_t> traffic_numbers_;
  std::size_t filled_traffic_ = 0;
  bool cut_ = true;
  std::vector<ServiceKey> services_;
  /// By element of services_, and subset: an element of address_sets_.
  std::vector<std::vector<std::uint32_t>> service_addresses_;
  std::map<ServiceKey, const model::ServiceEndpoints*> endpoints_;
  std::vector<IpPrefix> node_addresses_;

  struct TierInfo {
    std::uint32_t rank = 0;
    model::Action default_action = model::Action::kDeny;
    bool silent = false;
  };
  std::map<std::string, TierInfo> tiers_;
  /// By identity.
  std::array<std::vector<Applicable>, kDirections> applicable_;
  absl::flat_hash_map<std::vector<std::uint32_t>, std::uint32_t> program_numbers_;
  std::map<std::pair<std::vector<std::string>, Direction>, std::uint32_t> profile_tiers_;
  std::map<std::pair<std::string, Direction>, std::uint32_t> profile_codes_;
};

}  // namespace weir::policy
