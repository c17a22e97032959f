#include "cluster/internal/pod_table.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/hash.h"

namespace weir::cluster {
namespace {

/// A pod told to go may still talk while it shuts down, and clocks differ.
constexpr std::int64_t kDeletionGrace = 10 * kSecond;

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

/// The kubelet runs a static pod before the API knows of it.
bool is_static(const Pod& pod) { return pod.meta.controller && pod.meta.controller->kind == "Node"; }

/// Whether records and policies can tell the two apart.
bool same_identity(const model::Endpoint& a, const model::Endpoint& b) {
  return std::tie(a.namespace_name, a.name, a.group, a.labels, a.ips, a.service_account, a.node, a.host_network,
                  a.named_ports) == std::tie(b.namespace_name, b.name, b.group, b.labels, b.ips, b.service_account,
                                             b.node, b.host_network, b.named_ports);
}

}  // namespace

bool PodTable::put(const Pod& pod, std::int64_t time_ns, bool live) {
  const std::uint64_t uid = hash_bytes(pod.meta.uid.data(), pod.meta.uid.size());
  const auto [it, fresh] = named_.try_emplace(key_of(pod.meta.namespace_name, pod.meta.name));
  NamedPod& named = it->second;
  const bool same_pod = !fresh && named.uid == uid;
  std::int64_t born = named.born_ns;
  if (!same_pod) born = is_static(pod) ? start_of(pod) : begin_of(start_of(pod), time_ns, live);

  if (time_ns != kNoTime && pod.ips.empty() && (!same_pod || named.endpoint == nullptr)) {
    // Nothing to own yet. That we saw it bounds when it can have got its address.
    if (!same_pod && named.endpoint != nullptr) end(*named.endpoint, time_ns);
    named = {nullptr, uid, born, born};
    return false;
  }
  model::Endpoint made = identities_.pod(pod);
  std::int64_t to = end_of(pod);
  if (same_pod && named.endpoint != nullptr) {
    if (same_identity(made, *named.endpoint)) {
      const bool ended_unseen = pod.finished && pod.finished_ns == kNoTime;
      end(*named.endpoint, ended_unseen ? time_ns : to);
      return false;
    }
    if (pod.finished && pod.finished_ns == kNoTime) to = time_ns;
  }
  std::int64_t from = std::max(born, start_of(pod));
  if (same_pod && named.endpoint != nullptr) from = std::max(from, time_ns);
  if (time_ns != kNoTime) from = std::min(from, time_ns);

  Life life{pod.meta.created_ns, born, to, kNoTime, static_cast<std::int32_t>(pods_.size())};
  if (same_pod && named.endpoint != nullptr) life.first_index = lives_[named.endpoint->pod_index].first_index;
  if (is_static(pod)) life.created_ns = life.born_ns = kNoTime;
  // Manifests of several times may bring an earlier pod of the name after a later one.
  const bool newest = fresh || same_pod || time_ns != kNoTime || from >= named.from_ns;
  if (named.endpoint != nullptr && newest) end(*named.endpoint, from);
  NamedPod passed_over;
  NamedPod& entry = newest ? named : passed_over;
  entry = {nullptr, uid, from, born};
  add(entry, std::move(made), from, to, pod.meta.controller ? &*pod.meta.controller : nullptr, life);
  return true;
}

void PodTable::add(NamedPod& named, model::Endpoint made, std::int64_t from_ns, std::int64_t to_ns,
                   const OwnerRef* owner, Life life) {
  made.pod_index = static_cast<std::int32_t>(pods_.size());
  const model::Endpoint* endpoint = identities_.keep(std::move(made));
  pods_.push_back(endpoint);
  lives_.push_back(life);
  named.endpoint = endpoint;
  named.from_ns = from_ns;
  if (owner != nullptr && IdentityMaker::in_a_chain(*owner)) {
    owned_[IdentityMaker::owner_key(owner->kind, endpoint->namespace_name, owner->name)].push_back(endpoint->pod_index);
  }
  if (endpoint->host_network) return;
  for (const IpAddress& ip : endpoint->ips) {
    std::int64_t from = from_ns;
    bool youngest = true;
    tenures_.each(ip, [&](const Tenures::Tenure& held) {
      // It cannot have had the address while we saw that another had it.
      if (!std::exchange(youngest, false) || held.endpoint->pod_index < 0) return;
      const Life& other = lives_[held.endpoint->pod_index];
      if (other.first_index != life.first_index) from = std::max(from, other.released_ns);
    });
    tenures_.add(ip, from, to_ns, endpoint);
  }
}

void PodTable::end(const model::Endpoint& endpoint, std::int64_t time_ns) {
  Life& life = lives_[endpoint.pod_index];
  life.to_ns = std::min(life.to_ns, time_ns);
  if (endpoint.host_network) return;
  for (const IpAddress& ip : endpoint.ips) tenures_.end(ip, &endpoint, time_ns);
}

bool PodTable::remove(const Pod& pod, std::int64_t time_ns, bool live) {
  const auto found = named_.find(key_of(pod.meta.namespace_name, pod.meta.name));
  if (found == named_.end()) return false;
  const NamedPod named = found->second;
  if (!pod.meta.uid.empty() && named.uid != hash_bytes(pod.meta.uid.data(), pod.meta.uid.size())) return false;
  named_.erase(found);
  if (named.endpoint == nullptr) return false;
  end(*named.endpoint, time_ns == kNoTime ? kNoTime : time_ns + kDeletionGrace);
  if (live) lives_[named.endpoint->pod_index].released_ns = time_ns;
  return true;
}

bool PodTable::regroup(const Workload& owner, std::int64_t time_ns) {
  const auto found = owned_.find(IdentityMaker::owner_key(owner.kind, owner.meta.namespace_name, owner.meta.name));
  if (found == owned_.end()) return false;
  const OwnerRef controller{owner.kind, owner.meta.name};
  std::vector<std::int32_t> before;
  before.swap(found->second);
  bool changed = false;
  for (const std::int32_t index : before) {
    const model::Endpoint& pod = *pods_[index];
    if (!is_current(pod)) continue;
    NamedPod& named = named_.find(key_of(pod.namespace_name, pod.name))->second;
    const model::EndpointGroup* group = identities_.pod_group(pod, controller);
    if (group == pod.group) {
      found->second.push_back(index);
      continue;
    }
    changed = true;
    model::Endpoint made = pod;
    made.group = group;
    const Life life = lives_[index];
    const std::int64_t from = std::max(named.from_ns, time_ns);
    end(pod, from);
    add(named, std::move(made), from, life.to_ns, nullptr, life);
    found->second.push_back(named.endpoint->pod_index);
  }
  if (found->second.empty()) owned_.erase(found);
  return changed;
}

bool PodTable::is_current(const model::Endpoint& endpoint) const {
  const auto named = named_.find(key_of(endpoint.namespace_name, endpoint.name));
  return named != named_.end() && named->second.endpoint == &endpoint;
}

void PodTable::forget() {
  for (auto it = owned_.begin(); it != owned_.end();) {
    std::erase_if(it->second, [&](std::int32_t index) { return !is_current(*pods_[index]); });
    if (it->second.empty()) {
      owned_.erase(it++);
    } else {
      ++it;
    }
  }
}

const PodTable::Life* PodTable::life_since(const IpAddress& ip, std::int64_t interface_since_ns) const {
  // A doubt is left: a pod that we saw only just after its interface, as its whole seconds or a slow watch have it.
  const Life* sure = nullptr;
  const Life* doubtful = nullptr;
  const auto take_younger = [](const Life*& best, const Life& life) {
    if (best == nullptr || life.born_ns > best->born_ns) best = &life;
  };
  tenures_.each(ip, [&](const Tenures::Tenure& tenure) {
    if (tenure.endpoint->pod_index < 0) return;
    const Life& life = lives_[tenure.endpoint->pod_index];
    if (life.born_ns <= interface_since_ns) {
      take_younger(sure, life);
    } else if (life.created_ns <= interface_since_ns && life.born_ns - interface_since_ns < kSecond) {
      take_younger(doubtful, life);
    }
  });
  if (sure == nullptr || doubtful == nullptr) return sure != nullptr ? sure : doubtful;
  // An interface follows its pod closely: it is the younger pod's, unless the older one just began too.
  return sure->born_ns > interface_since_ns - kSecond ? sure : doubtful;
}

const model::Endpoint* PodTable::owner_since(const IpAddress& ip, std::int64_t interface_since_ns,
                                             std::int64_t time_ns) const {
  if (interface_since_ns == 0) return tenures_.at(ip, time_ns);
  const Life* life = life_since(ip, interface_since_ns);
  if (life == nullptr) return nullptr;
  // Of one pod, as it was at the time.
  const model::Endpoint* owner = nullptr;
  bool begun = false;
  tenures_.each(ip, [&](const Tenures::Tenure& tenure) {
    if (begun || tenure.endpoint->pod_index < 0) return;
    if (lives_[tenure.endpoint->pod_index].first_index != life->first_index) return;
    owner = tenure.endpoint;
    begun = tenure.from_ns <= time_ns;
  });
  return owner;
}

const model::Endpoint* PodTable::named(std::string_view namespace_name, std::string_view name) const {
  const auto found = named_.find(key_of(namespace_name, name));
  return found == named_.end() ? nullptr : found->second.endpoint;
}

bool PodTable::any_in(std::string_view namespace_name) const {
  return std::any_of(named_.begin(), named_.end(), [&](const auto& entry) {
    const std::string& key = entry.first;
    return key.size() > namespace_name.size() && key.starts_with(namespace_name) && key[namespace_name.size()] == '/';
  });
}

}  // namespace weir::cluster
