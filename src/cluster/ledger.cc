#include "cluster/ledger.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <tuple>

#include "cluster/internal/identity.h"
#include "cluster/internal/network_set_table.h"
#include "cluster/internal/service_table.h"
#include "cluster/internal/tenures.h"
#include "model/private_networks.h"

namespace weir::cluster {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
/// A pod told to go may still talk while it shuts down, and clocks differ.
constexpr std::int64_t kDeletionGrace = 10 * kSecond;
constexpr std::string_view kNameLabel = "kubernetes.io/metadata.name=";

std::string key_of(std::string_view namespace_name, std::string_view name) {
  std::string key(namespace_name);
  return key.append("/").append(name);
}

std::int64_t start_of(const Pod& pod) { return pod.started_ns != kNoTime ? pod.started_ns : pod.meta.created_ns; }

std::int64_t end_of(const Pod& pod) {
  std::int64_t end = kForever;
  // The API's times have whole seconds: all of the last one is still the pod's.
  if (pod.finished) end = pod.finished_ns == kNoTime ? kNoTime : pod.finished_ns + kSecond;
  if (pod.meta.deleted_ns != kNoTime) end = std::min(end, pod.meta.deleted_ns + kDeletionGrace);
  return end;
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
  keep_last(objects.network_sets, by_meta);
  keep_last(objects.namespaces, [](const model::NamespaceInfo& info) { return info.name; });
  keep_last(objects.network_policies,
            [](const model::NetworkPolicy& policy) { return key_of(policy.namespace_name, policy.name); });
}

/// Whether records and policies can tell the two apart.
bool same_identity(const model::Endpoint& a, const model::Endpoint& b) {
  const auto same_port = [](const model::NamedPort& p, const model::NamedPort& q) {
    return p.name == q.name && p.port == q.port && p.protocol == q.protocol;
  };
  return std::tie(a.namespace_name, a.name, a.group, a.labels, a.ips, a.service_account, a.node, a.host_network) ==
             std::tie(b.namespace_name, b.name, b.group, b.labels, b.ips, b.service_account, b.node, b.host_network) &&
         std::equal(a.named_ports.begin(), a.named_ports.end(), b.named_ports.begin(), b.named_ports.end(), same_port);
}

}  // namespace

std::vector<IpPrefix> default_private_networks() {
  std::vector<IpPrefix> networks;
  for (const std::string_view text : model::kPrivateNetworks) {
    networks.push_back(IpPrefix::parse(text).value());
  }
  return networks;
}

struct Ledger::State {
  /// The newest pod of a name.
  struct NamedPod {
    std::string uid;
    const model::Endpoint* endpoint = nullptr;
    std::int64_t from_ns = kNoTime;
  };

  State(ClusterObjects objects, LedgerOptions given)
      : options(std::move(given)), identities(objects.workloads), services(objects.services, objects.backends) {
    pub = identities.keep(identities.address("pub"));
    pvt = identities.keep(identities.address("pvt"));
    for (const Pod& pod : objects.pods) put(pod, kNoTime);
    for (const Node& node : objects.nodes) add_node(node);
    if (options.network_sets) {
      for (const NetworkSet& set : objects.network_sets) add_network_set(set);
    }
    namespaces = std::move(objects.namespaces);
    complete_namespaces();
    policies = std::move(objects.network_policies);
    std::sort(policies.begin(), policies.end(), [](const model::NetworkPolicy& a, const model::NetworkPolicy& b) {
      return std::tie(a.namespace_name, a.name) < std::tie(b.namespace_name, b.name);
    });
  }

  void put(const Pod& pod, std::int64_t time_ns);
  void add_node(const Node& node);
  void add_network_set(const NetworkSet& set);
  void complete_namespaces();
  void end(const model::Endpoint& endpoint, std::int64_t time_ns) {
    for (const IpAddress& ip : endpoint.ips) tenures.end(ip, &endpoint, time_ns);
  }
  const model::Endpoint* outside(const IpAddress& ip, std::string_view context_namespace) const;

  LedgerOptions options;
  IdentityMaker identities;
  ServiceTable services;
  Tenures tenures;
  NetworkSetTable network_sets;
  absl::flat_hash_set<IpAddress> node_addresses;
  absl::flat_hash_map<std::string, NamedPod> named_pods;
  std::vector<const model::Endpoint*> pods;
  std::vector<model::NamespaceInfo> namespaces;
  std::vector<model::NetworkPolicy> policies;
  const model::Endpoint* pub = nullptr;
  const model::Endpoint* pvt = nullptr;
};

void Ledger::State::put(const Pod& pod, std::int64_t time_ns) {
  model::Endpoint made = identities.pod(pod);
  std::int64_t from = start_of(pod);
  NamedPod& named = named_pods[key_of(pod.meta.namespace_name, pod.meta.name)];
  const bool same_pod = named.endpoint != nullptr && named.uid == pod.meta.uid;
  if (same_pod && same_identity(made, *named.endpoint)) {
    const bool ended_unseen = pod.finished && pod.finished_ns == kNoTime;
    end(*named.endpoint, ended_unseen ? time_ns : end_of(pod));
    return;
  }
  if (same_pod) from = std::max(from, time_ns);
  // Manifests of several times may bring an earlier pod of the name after a later one.
  const bool newest = named.endpoint == nullptr || same_pod || from >= named.from_ns;
  if (named.endpoint != nullptr && newest) end(*named.endpoint, from);

  made.pod_index = static_cast<std::int32_t>(pods.size());
  const model::Endpoint* endpoint = identities.keep(std::move(made));
  pods.push_back(endpoint);
  if (newest) named = {pod.meta.uid, endpoint, from};
  if (pod.host_network) return;
  for (const IpAddress& ip : pod.ips) tenures.add(ip, from, end_of(pod), endpoint);
}

void Ledger::State::add_node(const Node& node) {
  const model::Endpoint* host = options.host_endpoints ? identities.keep(identities.host(node)) : nullptr;
  for (const IpAddress& ip : node.addresses) {
    node_addresses.insert(ip);
    if (host != nullptr) tenures.add(ip, node.meta.created_ns, kForever, host);
  }
}

void Ledger::State::add_network_set(const NetworkSet& set) {
  const model::Endpoint* endpoint = identities.keep(identities.network_set(set));
  for (const IpPrefix& prefix : set.nets) network_sets.add(prefix, endpoint);
}

void Ledger::State::complete_namespaces() {
  absl::flat_hash_set<std::string> known;
  for (const model::NamespaceInfo& info : namespaces) known.insert(info.name);
  for (const model::Endpoint* pod : pods) {
    if (!known.insert(pod->namespace_name).second) continue;
    namespaces.push_back({pod->namespace_name, {{std::string(kNameLabel) + pod->namespace_name}}});
  }
  std::sort(namespaces.begin(), namespaces.end(),
            [](const model::NamespaceInfo& a, const model::NamespaceInfo& b) { return a.name < b.name; });
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

bool Ledger::is_node_address(const IpAddress& ip) const { return state_->node_addresses.contains(ip); }

bool Ledger::is_local(const model::Endpoint& endpoint) const {
  if (endpoint.type != model::EndpointType::kWorkload && endpoint.type != model::EndpointType::kHost) return false;
  return state_->options.node.empty() || endpoint.node == state_->options.node;
}

std::span<const model::Endpoint* const> Ledger::pods() const { return state_->pods; }

const model::Endpoint* Ledger::pod_named(std::string_view namespace_name, std::string_view name) const {
  const auto found = state_->named_pods.find(key_of(namespace_name, name));
  return found == state_->named_pods.end() ? nullptr : found->second.endpoint;
}

std::span<const model::NamespaceInfo> Ledger::namespaces() const { return state_->namespaces; }
std::span<const model::NetworkPolicy> Ledger::network_policies() const { return state_->policies; }

void Ledger::put_pod(const Pod& pod, std::int64_t time_ns) { state_->put(pod, time_ns); }

void Ledger::remove_pod(std::string_view namespace_name, std::string_view name, std::int64_t time_ns) {
  const auto found = state_->named_pods.find(key_of(namespace_name, name));
  if (found == state_->named_pods.end()) return;
  state_->end(*found->second.endpoint, time_ns);
  state_->named_pods.erase(found);
}

}  // namespace weir::cluster
