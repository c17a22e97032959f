#include "meter/fragment_buffer.h"

#include <algorithm>
#include <cstring>

namespace weir::meter {
namespace {

constexpr std::uint32_t kUdpHeader = 8;
constexpr std::uint32_t kMaxBytes = 65'535;
constexpr std::size_t kMaxParts = 64;

}  // namespace

void FragmentBuffer::accept(const packet::DecodedPacket& packet) {
  const std::size_t index = find(packet);
  Partial& partial = partials_[index];
  if (!add(partial, packet)) return release(index, false);
  if (partial.has_first && partial.total != 0 && contiguous(partial) == partial.total) release(index, true);
}

void FragmentBuffer::finish() {
  while (!partials_.empty()) release(0, false);
}

std::size_t FragmentBuffer::find(const packet::DecodedPacket& packet) {
  for (std::size_t i = partials_.size(); i-- > 0;) {
    if (partials_[i].first_ns + kTimeoutNs < packet.time_ns) release(i, false);
  }
  for (std::size_t i = 0; i < partials_.size(); ++i) {
    const Partial& partial = partials_[i];
    if (partial.id == packet.fragment_id && partial.tuple.source == packet.tuple.source &&
        partial.tuple.dest == packet.tuple.dest) {
      return i;
    }
  }
  if (partials_.size() >= kMaxDatagrams) {
    const auto oldest = std::min_element(partials_.begin(), partials_.end(),
                                         [](const Partial& a, const Partial& b) { return a.first_ns < b.first_ns; });
    release(static_cast<std::size_t>(oldest - partials_.begin()), false);
  }
  Partial& partial = partials_.emplace_back();
  partial.tuple = packet.tuple;
  partial.id = packet.fragment_id;
  partial.first_ns = packet.time_ns;
  return partials_.size() - 1;
}

void FragmentBuffer::release(std::size_t index, bool whole) {
  Partial partial = std::move(partials_[index]);
  if (index + 1 != partials_.size()) partials_[index] = std::move(partials_.back());
  partials_.pop_back();
  if (!whole) ++dropped_;
  const std::uint32_t bytes = contiguous(partial);
  if (!partial.has_first || bytes <= kUdpHeader) return;
  ready_.push_back(
      {partial.tuple, partial.newest_ns, {partial.bytes.begin() + kUdpHeader, partial.bytes.begin() + bytes}});
}

bool FragmentBuffer::add(Partial& partial, const packet::DecodedPacket& packet) {
  // The decoder takes the UDP header off the first fragment; here it only keeps its place.
  if (packet.payload_captured < packet.payload_bytes) return false;
  const bool first = !packet.later_fragment;
  const std::uint32_t from = first ? 0 : packet.fragment_offset;
  const std::uint32_t data_from = first ? kUdpHeader : from;
  if (packet.payload_bytes > kMaxBytes) return false;
  const std::uint32_t to = data_from + packet.payload_bytes;
  if (to > kMaxBytes || partial.parts.size() >= kMaxParts) return false;
  if (first) {
    partial.has_first = true;
    partial.tuple = packet.tuple;
  }
  if (!packet.more_fragments) {
    if (partial.total != 0 && partial.total != to) return false;
    partial.total = to;
  }
  for (const auto& [part_from, part_to] : partial.parts) {
    if (part_from == from && part_to == to) return true;
    if (from < part_to && part_from < to) return false;
  }
  partial.newest_ns = packet.time_ns;
  partial.parts.emplace_back(from, to);
  if (partial.bytes.size() < to) partial.bytes.resize(to);
  if (packet.payload_bytes > 0) std::memcpy(partial.bytes.data() + data_from, packet.payload, packet.payload_bytes);
  return true;
}

std::uint32_t FragmentBuffer::contiguous(Partial& partial) {
  std::sort(partial.parts.begin(), partial.parts.end());
  std::uint32_t end = 0;
  for (const auto& [from, to] : partial.parts) {
    if (from > end) break;
    end = std::max(end, to);
  }
  return end;
}

}  // namespace weir::meter
