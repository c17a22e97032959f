#include "aggregate/process_groups.h"

#include <algorithm>

#include "aggregate/process_names.h"

namespace weir::aggregate {

void ProcessGroups::build(const FlowStore& store, std::uint32_t limit) {
  roles_.clear();
  next_.clear();
  for (std::uint32_t position = 0; position < store.size(); ++position) {
    if (store.entry(position).key.process() != ProcessNames::kNone) add(store, position, limit);
  }
  absl::flat_hash_map<std::uint64_t, Group>().swap(groups_);
}

void ProcessGroups::add(const FlowStore& store, std::uint32_t position, std::uint32_t limit) {
  if (roles_.empty()) {
    roles_.assign(store.size(), Role::kAlone);
    next_.assign(store.size(), FlowStore::kNone);
  }
  const FlowKey key = store.entry(position).key.without_process();
  const KeyAddresses& addresses = store.identity(position).addresses;
  Group& group = groups_.try_emplace(hash_key(key, addresses), Group{position}).first->second;
  // Two keys of one hash: the later one's names are all told.
  if (store.entry(group.first).key.without_process() != key || store.identity(group.first).addresses != addresses)
    return;
  if (store.entry(position).key.process() != ProcessNames::kSeveral && group.alone < limit) {
    ++group.alone;
    return;
  }
  roles_[position] = group.last == FlowStore::kNone ? Role::kLeader : Role::kFollower;
  if (group.last != FlowStore::kNone) next_[group.last] = position;
  group.last = position;
}

namespace {

/// The lesser of two figures, 0 standing for none.
template <typename T>
T least(T a, T b) {
  return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b);
}

void merge_tcp(TcpTotals& into, const TcpTotals& other) {
  into.smooth_rtt_sum += other.smooth_rtt_sum;
  into.smooth_rtt_samples += other.smooth_rtt_samples;
  into.smooth_rtt_max = std::max(into.smooth_rtt_max, other.smooth_rtt_max);
  into.min_rtt_sum += other.min_rtt_sum;
  into.min_rtt_samples += other.min_rtt_samples;
  into.min_rtt_max = std::max(into.min_rtt_max, other.min_rtt_max);
  into.mss_sum += other.mss_sum;
  into.mss_samples += other.mss_samples;
  into.mss_min = least(into.mss_min, other.mss_min);
  into.window_sum += other.window_sum;
  into.window_samples += other.window_samples;
  into.window_min = least(into.window_min, other.window_min);
  into.retransmissions += other.retransmissions;
  into.resets += other.resets;
  into.lost += other.lost;
  into.timeouts += other.timeouts;
}

}  // namespace

void MergedFlow::clear() {
  entry = {};
  identity = {};
  tcp = {};
  details.clear();
  names = 0;
}

void MergedFlow::add(const FlowEntry& other, const FlowIdentity& its_identity, const TcpTotals& its_tcp,
                     const DetailLimits& limits, std::size_t most_distinct) {
  if (names == 0) entry.key = other.key;
  ++names;
  entry.open += other.open;
  entry.flows += other.flows;
  entry.started += other.started;
  entry.completed += other.completed;
  entry.packets_in += other.packets_in;
  entry.packets_out += other.packets_out;
  entry.bytes_in += other.bytes_in;
  entry.bytes_out += other.bytes_out;
  for (std::size_t i = 0; i < entry.outcomes.size(); ++i) entry.outcomes[i] += other.outcomes[i];
  if (other.window >= entry.window) {
    entry.window = other.window;
    entry.pending = other.pending;
    identity.source = its_identity.source;
    identity.dest = its_identity.dest;
    identity.service = its_identity.service;
    identity.addresses = its_identity.addresses;
  }
  merge_tcp(tcp, its_tcp);
  if (its_identity.details != nullptr) details.merge(*its_identity.details, limits, most_distinct);
  if (its_tcp.process_id != 0 && details.process_ids.size() < most_distinct)
    details.process_ids.add(its_tcp.process_id);
}

}  // namespace weir::aggregate
