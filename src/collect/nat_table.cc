#include "collect/nat_table.h"

#include <algorithm>

#include "base/hash.h"

namespace weir::collect {
namespace {

using model::Tuple;

bool is_icmp(std::uint8_t protocol) { return protocol == model::kProtoIcmp || protocol == model::kProtoIcmp6; }

Translation translation_of(const model::ConntrackEvent& e) {
  const Tuple &o = e.original, &r = e.reply;
  // ICMP's ports are the request's in both.
  const std::uint16_t dest_port = is_icmp(o.protocol) ? o.dest_port : r.source_port;
  const std::uint16_t source_port = is_icmp(o.protocol) ? o.source_port : r.dest_port;
  return {o,
          {o.source, r.source, o.source_port, dest_port, o.protocol},
          {r.dest, r.source, source_port, dest_port, o.protocol}};
}

}  // namespace

std::size_t TupleHash::operator()(const Tuple& t) const {
  const std::uint64_t ports = std::uint64_t{t.source_port} << 24 | std::uint64_t{t.dest_port} << 8 | t.protocol;
  const std::uint64_t hash = mix64(t.source.low() ^ ports, t.dest.low());
  return mix64(hash ^ t.source.high(), t.dest.high());
}

void NatTable::learn(const model::ConntrackEvent& event) {
  advance(event.time_ns);
  const Translation translation = translation_of(event);
  const auto found = entries_.find(event.original);
  if (event.kind == model::ConntrackEvent::Kind::kDestroy) {
    if (found == entries_.end() || (event.id != 0 && found->second.id != event.id)) return;
    if (found->second.forget_ns != 0) return;
    found->second.forget_ns = event.time_ns + options_.grace.count();
    gone_.push_back({event.original, found->second.forget_ns});
    return;
  }
  const bool translates = !(translation.received == event.original);
  if (found != entries_.end()) {
    Entry& entry = found->second;
    if (entry.translation == translation) {
      entry.id = event.id;
      entry.heard_ns = now_ns_;
      entry.forget_ns = 0;
      return;
    }
    // Another connection on the same ports.
    forget(found);
  }
  if (!translates) return;
  if (entries_.size() >= options_.max_entries) {
    ++stats_.no_room;
    return;
  }
  ++stats_.learned;
  entries_.emplace(event.original, Entry{translation, event.id, now_ns_, 0});
  by_flow_.insert_or_assign(translation.flow, event.original);
  if (!(translation.received == translation.flow)) by_received_.insert_or_assign(translation.received, event.original);
}

void NatTable::forget(Entries::iterator at) {
  const Translation translation = at->second.translation;
  const auto erase = [&](auto& index, const Tuple& key) {
    // A younger translation may have taken the place.
    const auto found = index.find(key);
    if (found != index.end() && found->second == translation.original) index.erase(found);
  };
  erase(by_flow_, translation.flow);
  erase(by_received_, translation.received);
  entries_.erase(at);
  ++stats_.forgotten;
}

void NatTable::advance(std::int64_t now_ns) {
  if (now_ns <= now_ns_) return;
  now_ns_ = now_ns;
  for (; front_ < gone_.size() && gone_[front_].forget_ns <= now_ns_; ++front_) {
    const auto found = entries_.find(gone_[front_].original);
    // Its ports may serve another connection by now, or that one may be gone in turn.
    if (found != entries_.end() && found->second.forget_ns == gone_[front_].forget_ns) forget(found);
  }
  if (front_ * 2 > gone_.size()) {
    gone_.erase(gone_.begin(), gone_.begin() + static_cast<std::ptrdiff_t>(front_));
    front_ = 0;
  }
  if (now_ns_ - swept_ns_ > options_.max_age.count() / 4) sweep();
}

void NatTable::sweep() {
  swept_ns_ = now_ns_;
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto next = std::next(at);
    if (now_ns_ - at->second.heard_ns > options_.max_age.count()) {
      forget(at);
      ++stats_.aged;
    }
    at = next;
  }
}

const Translation* NatTable::translated(const Tuple& before) const {
  const auto found = entries_.find(before);
  return found == entries_.end() ? nullptr : &found->second.translation;
}

const Translation* NatTable::original(const Tuple& after) const {
  auto found = by_flow_.find(after);
  if (found == by_flow_.end()) {
    found = by_received_.find(after);
    if (found == by_received_.end()) return nullptr;
  }
  return translated(found->second);
}

}  // namespace weir::collect
