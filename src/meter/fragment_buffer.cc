#include "meter/fragment_buffer.h"

#include <algorithm>
#include <cstring>

namespace weir::meter {
namespace {

constexpr std::uint32_t kUdpHeader = 8;
constexpr std::uint32_t kMaxBytes = 65'535;
constexpr std::size_t kMaxParts = 64;

}  // namespace

FragmentBuffer::Datagram FragmentBuffer::accept(const packet::DecodedPacket& packet) {
  Partial& partial = find(packet);
  const bool good = packet.payload_captured >= packet.payload_bytes && add(partial, packet);
  Datagram result;
  if (good && !whole(partial)) return result;
  if (good) {
    done_ = std::move(partial.bytes);
    done_.resize(partial.total);
    result = {partial.tuple, std::span<const std::uint8_t>(done_).subspan(kUdpHeader)};
  } else {
    ++dropped_;
  }
  if (&partial != &partials_.back()) partial = std::move(partials_.back());
  partials_.pop_back();
  return result;
}

FragmentBuffer::Partial& FragmentBuffer::find(const packet::DecodedPacket& packet) {
  dropped_ += std::erase_if(partials_, [&](const Partial& p) { return p.time_ns + kTimeoutNs < packet.time_ns; });
  for (Partial& partial : partials_) {
    if (partial.id == packet.fragment_id && partial.tuple.source == packet.tuple.source &&
        partial.tuple.dest == packet.tuple.dest) {
      return partial;
    }
  }
  if (partials_.size() >= kMaxDatagrams) {
    ++dropped_;
    partials_.erase(std::min_element(partials_.begin(), partials_.end(),
                                     [](const Partial& a, const Partial& b) { return a.time_ns < b.time_ns; }));
  }
  Partial& partial = partials_.emplace_back();
  partial.tuple = packet.tuple;
  partial.id = packet.fragment_id;
  partial.time_ns = packet.time_ns;
  return partial;
}

bool FragmentBuffer::add(Partial& partial, const packet::DecodedPacket& packet) {
  // The decoder takes the UDP header off the first fragment; here it only keeps its place.
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
  partial.parts.emplace_back(from, to);
  if (partial.bytes.size() < to) partial.bytes.resize(to);
  if (packet.payload_bytes > 0) std::memcpy(partial.bytes.data() + data_from, packet.payload, packet.payload_bytes);
  return true;
}

bool FragmentBuffer::whole(const Partial& partial) {
  if (!partial.has_first || partial.total < kUdpHeader) return false;
  std::uint32_t received = 0;
  for (const auto& [from, to] : partial.parts) {
    if (to > partial.total) return false;
    received += to - from;
  }
  return received == partial.total;
}

}  // namespace weir::meter
