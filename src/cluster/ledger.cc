#include "cluster/ledger.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <tuple>

#include "cluster/internal/identity.h"
#include "cluster/internal/network_set_table.h"
#include "cluster/internal/pod_table.h"
#include "cluster/internal/policy_table.h"
#include "cluster/internal/service_table.h"
#include "cluster/internal/tenures.h"
#include "model/private_networks.h"

namespace weir::cluster {
namespace {

constexpr std::string_view kNameLabel = "kubernetes.io/metadata.name=";
/// How long the past is kept, and how often what is older is dropped.
constexpr std::int64_t kKeptPast = 3600 * kSecond;
constexpr std::int64_t kSweepPeriod = 600 * kSecond;

std::string key_of(std::string_view namespace_name, std::string_view name) {
  std::string key(namespace_name);
  return key.append("/").append(name);
}

/// Drops all but the last object of each key, and keeps the order of the rest.
template <typename Object, typename KeyOf>
void keep_last(std::vector<Object>& objects, KeyOf key) {
  absl::flat_hash_map<std::string, std::size_t> last;
  for (std::size_t i = 0; i < objects.size(); ++i) last[key(objects[i])] = i;
  if (last.size() == objects.size()) return;
  std::vector<Object> kept;
  kept.reserve(last.size());
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (last[key(objects[i])] == i) kept.push_back(std::move(objects[i]));
  }
  objects = std::move(kept);
}

void keep_last_of_each(ClusterObjects& objects) {
  const auto by_meta = [](const auto& object) { return key_of(object.meta.namespace_name, object.meta.name); };
  keep_last(objects.pods, [&](const Pod& pod) { return by_meta(pod) + "/" + pod.meta.uid; });
  keep_last(objects.nodes, by_meta);
  keep_last(objects.services, by_meta);
  keep_last(objects.backends, [](const ServiceBackends& part) { return object_key(part); });
  keep_last(objects.network_sets, by_meta);
  keep_last(objects.namespaces, [](const Namespace& object) { return object.info.name; });
  keep_last(objects.policies, [](const PolicyObject& object) { return object_key(object); });
}

const std::string& namespace_key(const model::NamespaceInfo& info) { return info.name; }

/// Puts the object into its place in a vector sorted by key. Returns whether that changed anything.
template <typename Object, typename KeyOf>
bool put_sorted(std::vector<Object>& objects, const Object& object, KeyOf key) {
  const auto before = [&](const Object& a, const Object& b) { return key(a) < key(b); };
  const auto at = std::lower_bound(objects.begin(), objects.end(), object, before);
  if (at == objects.end() || key(*at) != key(object)) {
    objects.insert(at, object);
    return true;
  }
  if (*at == object) return false;
  *at = object;
  return true;
}

template <typename Object, typename KeyOf>
bool erase_sorted(std::vector<Object>& objects, const Object& object, KeyOf key) {
  return std::erase_if(objects, [&](const Object& o) { return key(o) == key(object); }) > 0;
}

model::NamespaceInfo implied_namespace(const std::string& name) { return {name, {{std::string(kNameLabel) + name}}}; }

}  // namespace

std::vector<IpPrefix> default_private_networks() {
  std::vector<IpPrefix> networks;
  networks.reserve(std::size(model::kPrivateNetworks));
  for (const std::string_view text : model::kPrivateNetworks) {
    networks.push_back(IpPrefix::parse(text).value());
  }
  return networks;
}

struct Ledger::State {
  struct KnownNode {
    std::vector<IpAddress> addresses;
    const model::Endpoint* host = nullptr;
  };
  struct KnownSet {
    std::vector<IpPrefix> nets;
    const model::Endpoint* endpoint = nullptr;
  };

  State(ClusterObjects objects, LedgerOptions given);

  // One for each kind: whether an answer changed.
  bool put(const Pod& pod, const ObjectChange& change);
  bool put(const Namespace& object, const ObjectChange& change);
  bool put(const Node& node, const ObjectChange& change);
  bool put(const Service& service, const ObjectChange& change);
  bool put(const ServiceBackends& part, const ObjectChange& change);
  bool put(const Workload& workload, const ObjectChange& change);
  bool put(const PolicyObject& object, const ObjectChange& change);
  bool put(const NetworkSet& set, const ObjectChange& change);
  bool remove(const Pod& pod, const ObjectChange& change);
  bool remove(const Namespace& object, const ObjectChange& change);
  bool remove(const Node& node, const ObjectChange& change);
  bool remove(const Service& service, const ObjectChange& change);
  bool remove(const ServiceBackends& part, const ObjectChange& change);
  bool remove(const Workload& workload, const ObjectChange& change);
  bool remove(const PolicyObject& object, const ObjectChange& change);
  bool remove(const NetworkSet& set, const ObjectChange& change);

  bool policy_inputs_moved(bool moved) {
    if (moved) ++policy_inputs_version;
    return moved;
  }
  bool forget_node(const Node& node, const ObjectChange& change);
  /// Rules may name services.
  bool services_moved(bool moved, const ObjectChange& change) {
    if (moved) policy_inputs_moved(policy_table.services_changed(change));
    return moved;
  }
  void fill_network_sets();
  void forget(std::int64_t time_ns);
  const model::Endpoint* outside(const IpAddress& ip, std::string_view context_namespace) const;

  LedgerOptions options;
  IdentityMaker identities;
  Tenures tenures;
  PodTable pods{identities, tenures};
  ServiceTable services;
  NetworkSetTable network_sets;
  absl::flat_hash_map<std::string, KnownSet> known_sets;
  absl::flat_hash_map<std::string, KnownNode> nodes;
  /// Of how many nodes it is an address.
  absl::flat_hash_map<IpAddress, std::uint32_t> node_addresses;
  /// Those that pods are in too.
  std::vector<model::NamespaceInfo> namespaces;
  PolicyTable policy_table{services};
  const model::Endpoint* pub = nullptr;
  const model::Endpoint* pvt = nullptr;
  std::uint64_t policy_inputs_version = 0;
  std::uint64_t version = 0;
  std::int64_t next_sweep_ns = kNoTime;
};

Ledger::State::State(ClusterObjects objects, LedgerOptions given) : options(std::move(given)) {
  pub = identities.keep(identities.address("pub"));
  pvt = identities.keep(identities.address("pvt"));
  const ObjectChange from_the_start;
  const auto put_all = [&](const auto& list) {
    for (const auto& object : list) put(object, from_the_start);
  };
  put_all(objects.namespaces);
  put_all(objects.workloads);
  put_all(objects.pods);
  put_all(objects.nodes);
  put_all(objects.services);
  put_all(objects.backends);
  put_all(objects.network_sets);
  put_all(objects.policies);
}

bool Ledger::State::put(const Pod& pod, const ObjectChange& change) {
  if (!pods.put(pod, change.time_ns, change.live)) return false;
  const model::NamespaceInfo implied = implied_namespace(pod.meta.namespace_name);
  const auto at = std::lower_bound(namespaces.begin(), namespaces.end(), implied,
                                   [](const auto& a, const auto& b) { return a.name < b.name; });
  if (at == namespaces.end() || at->name != implied.name) namespaces.insert(at, implied);
  return policy_inputs_moved(true);
}

bool Ledger::State::remove(const Pod& pod, const ObjectChange& change) {
  return pods.remove(pod, change.time_ns, change.live);
}

bool Ledger::State::put(const Namespace& object, const ObjectChange& change) {
  const bool known = put_sorted(namespaces, object.info, namespace_key);
  return policy_inputs_moved(policy_table.put(object, change) || known);
}

bool Ledger::State::remove(const Namespace& object, const ObjectChange& change) {
  const bool known = policy_table.remove(object, change);
  const bool listed = pods.any_in(object.info.name)
                          ? put_sorted(namespaces, implied_namespace(object.info.name), namespace_key)
                          : erase_sorted(namespaces, object.info, namespace_key);
  return policy_inputs_moved(known || listed);
}

bool Ledger::State::put(const Node& node, const ObjectChange& change) {
  const bool moved = policy_inputs_moved(policy_table.put(node, change));
  const auto [it, fresh] = nodes.try_emplace(node.meta.name);
  KnownNode& known = it->second;
  model::Endpoint made = identities.host(node);
  const bool same_labels = known.host == nullptr || known.host->labels == made.labels;
  if (!fresh && known.addresses == node.addresses && same_labels) return moved;
  std::int64_t from = begin_of(node.meta.created_ns, change.time_ns, change.live);
  if (!fresh) {
    forget_node(node, change);
    from = change.time_ns;
  }
  KnownNode& entry = nodes[node.meta.name];
  entry.addresses = node.addresses;
  for (const IpAddress& ip : node.addresses) ++node_addresses[ip];
  if (!options.host_endpoints) return true;
  entry.host = identities.keep(std::move(made));
  for (const IpAddress& ip : node.addresses) tenures.add(ip, from, kForever, entry.host);
  return true;
}

bool Ledger::State::remove(const Node& node, const ObjectChange& change) {
  policy_inputs_moved(policy_table.remove(node, change));
  return forget_node(node, change);
}

bool Ledger::State::forget_node(const Node& node, const ObjectChange& change) {
  const auto found = nodes.find(node.meta.name);
  if (found == nodes.end()) return false;
  for (const IpAddress& ip : found->second.addresses) {
    if (--node_addresses[ip] == 0) node_addresses.erase(ip);
    if (found->second.host != nullptr) tenures.end(ip, found->second.host, change.time_ns);
  }
  nodes.erase(found);
  return true;
}

bool Ledger::State::put(const Service& service, const ObjectChange& change) {
  return services_moved(services.put_service(service, change.time_ns, change.live), change);
}
bool Ledger::State::remove(const Service& service, const ObjectChange& change) {
  return services_moved(services.remove_service(service, change.time_ns), change);
}
bool Ledger::State::put(const ServiceBackends& part, const ObjectChange& change) {
  return services_moved(services.put_backends(part, change.time_ns, change.live), change);
}
bool Ledger::State::remove(const ServiceBackends& part, const ObjectChange& change) {
  return services_moved(services.remove_backends(part, change.time_ns), change);
}

bool Ledger::State::put(const Workload& workload, const ObjectChange& change) {
  return identities.put_workload(workload) && policy_inputs_moved(pods.regroup(workload, change.time_ns));
}
bool Ledger::State::remove(const Workload& workload, const ObjectChange&) {
  // Its pods stay what they are: who deletes a Deployment has its ReplicaSet deleted before the pods.
  identities.remove_workload(workload);
  return false;
}

bool Ledger::State::put(const PolicyObject& object, const ObjectChange& change) {
  return policy_inputs_moved(policy_table.put(object, change));
}
bool Ledger::State::remove(const PolicyObject& object, const ObjectChange& change) {
  return policy_inputs_moved(policy_table.remove(object, change));
}

bool Ledger::State::put(const NetworkSet& set, const ObjectChange& change) {
  const bool moved = policy_inputs_moved(policy_table.put(set, change));
  if (!options.network_sets) return moved;
  KnownSet& known = known_sets[key_of(set.meta.namespace_name, set.meta.name)];
  model::Endpoint made = identities.network_set(set);
  const bool fresh = known.endpoint == nullptr;
  if (!fresh && known.nets == set.nets && known.endpoint->labels == made.labels) return moved;
  known = {set.nets, identities.keep(std::move(made))};
  if (fresh) {
    for (const IpPrefix& prefix : set.nets) network_sets.add(prefix, known.endpoint);
  } else {
    fill_network_sets();
  }
  return true;
}

bool Ledger::State::remove(const NetworkSet& set, const ObjectChange& change) {
  const bool moved = policy_inputs_moved(policy_table.remove(set, change));
  if (known_sets.erase(key_of(set.meta.namespace_name, set.meta.name)) == 0) return moved;
  fill_network_sets();
  return true;
}

void Ledger::State::fill_network_sets() {
  network_sets.clear();
  for (const auto& [key, set] : known_sets) {
    for (const IpPrefix& prefix : set.nets) network_sets.add(prefix, set.endpoint);
  }
}

void Ledger::State::forget(std::int64_t time_ns) {
  if (time_ns == kNoTime || time_ns < next_sweep_ns) return;
  if (next_sweep_ns != kNoTime) {
    tenures.forget(time_ns - kKeptPast);
    services.forget(time_ns - kKeptPast);
    policy_table.forget(time_ns - kKeptPast);
    pods.forget();
  }
  next_sweep_ns = time_ns + kSweepPeriod;
}

const model::Endpoint* Ledger::State::outside(const IpAddress& ip, std::string_view context_namespace) const {
  const model::Endpoint* set = network_sets.find(ip, context_namespace);
  if (set != nullptr) return set;
  for (const IpPrefix& network : options.private_networks) {
    if (network.contains(ip)) return pvt;
  }
  return pub;
}

Ledger::Ledger(ClusterObjects objects, LedgerOptions options) {
  keep_last_of_each(objects);
  state_ = std::make_unique<State>(std::move(objects), std::move(options));
}
Ledger::~Ledger() = default;

const model::Endpoint* Ledger::endpoint_at(const IpAddress& ip, std::int64_t time_ns) const {
  return state_->tenures.at(ip, time_ns);
}

const model::Endpoint* Ledger::resolve(const IpAddress& ip, std::string_view context_namespace,
                                       std::int64_t time_ns) const {
  const model::Endpoint* owner = state_->tenures.at(ip, time_ns);
  return owner != nullptr ? owner : state_->outside(ip, context_namespace);
}

Ledger::Ends Ledger::resolve_ends(const IpAddress& source, const IpAddress& dest, std::int64_t time_ns) const {
  const auto context = [](const model::Endpoint* peer) {
    const bool pod = peer != nullptr && peer->type == model::EndpointType::kWorkload;
    return pod ? std::string_view(peer->namespace_name) : std::string_view();
  };
  const model::Endpoint* source_owner = state_->tenures.at(source, time_ns);
  const model::Endpoint* dest_owner = state_->tenures.at(dest, time_ns);
  return {source_owner != nullptr ? source_owner : state_->outside(source, context(dest_owner)),
          dest_owner != nullptr ? dest_owner : state_->outside(dest, context(source_owner))};
}

const model::ServiceRef* Ledger::service_at(const IpAddress& dest, std::uint16_t port, std::uint8_t protocol,
                                            std::int64_t time_ns) const {
  const model::ServiceRef* ref = state_->services.by_address(dest, port, protocol, time_ns);
  if (ref != nullptr || !is_node_address(dest)) return ref;
  return state_->services.by_node_port(port, protocol, time_ns);
}

const model::Endpoint* Ledger::owner_since(const IpAddress& ip, std::int64_t interface_since_ns,
                                           std::int64_t time_ns) const {
  return state_->pods.owner_since(ip, interface_since_ns, time_ns);
}

void Ledger::backends(const IpAddress& dest, std::uint16_t port, std::uint8_t protocol, std::int64_t time_ns,
                      std::vector<Backend>& out) const {
  std::vector<ServiceTable::Backend> found;
  state_->services.backends(dest, port, protocol, time_ns, found);
  if (found.empty() && is_node_address(dest)) {
    state_->services.backends(IpAddress(), port, protocol, time_ns, found);
  }
  for (const ServiceTable::Backend& backend : found) {
    out.push_back({endpoint_at(backend.ip, time_ns), backend.ip, backend.port});
  }
}

bool Ledger::is_node_address(const IpAddress& ip) const { return state_->node_addresses.contains(ip); }

bool Ledger::is_local(const model::Endpoint& endpoint) const {
  if (endpoint.type != model::EndpointType::kWorkload && endpoint.type != model::EndpointType::kHost) return false;
  return state_->options.node.empty() || endpoint.node == state_->options.node;
}

std::span<const model::Endpoint* const> Ledger::pods() const { return state_->pods.pods(); }

const model::Endpoint* Ledger::pod_named(std::string_view namespace_name, std::string_view name) const {
  return state_->pods.named(namespace_name, name);
}

std::span<const model::NamespaceInfo> Ledger::namespaces() const { return state_->namespaces; }
model::SharedList<model::NetworkPolicy> Ledger::network_policies() const {
  model::SharedList<model::NetworkPolicy> enforced;
  for (const auto& policy : policy_set().network_policies) {
    if (policy->staged == model::StagedAction::kNone) enforced.push_back(policy);
  }
  std::sort(enforced.begin(), enforced.end(), [](const auto& a, const auto& b) {
    return std::tie(a->namespace_name, a->name) < std::tie(b->namespace_name, b->name);
  });
  return enforced;
}
const model::PolicySet& Ledger::policy_set() const { return state_->policy_table.now(); }
model::PolicySet Ledger::policy_set_at(std::int64_t time_ns) const { return state_->policy_table.at(time_ns); }
std::int64_t Ledger::policy_set_since(std::int64_t time_ns) const { return state_->policy_table.since(time_ns); }

bool Ledger::apply(const ObjectChange& change) {
  state_->forget(change.time_ns);
  const bool put = change.action == ObjectChange::Action::kPut;
  const bool changed =
      std::visit([&](const auto& object) { return put ? state_->put(object, change) : state_->remove(object, change); },
                 change.object);
  if (changed) ++state_->version;
  return changed;
}

std::uint64_t Ledger::policy_inputs_version() const { return state_->policy_inputs_version; }
std::uint64_t Ledger::version() const { return state_->version; }

}  // namespace weir::cluster
