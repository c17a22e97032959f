#include "policy/internal/traffic_set.h"

#include <algorithm>

namespace weir::policy {
namespace {

constexpr std::array<std::uint8_t, kPortedProtocols> kProtocolOfSlot = {
    model::kProtoTcp, model::kProtoUdp, model::kProtoSctp, model::kProtoIcmp, model::kProtoIcmp6};

PortSpans complement_of(const PortSpans& spans) {
  PortSpans result;
  std::uint32_t next = 0;
  for (const PortSpan& span : spans) {
    if (span.first > next)
      result.push_back({static_cast<std::uint16_t>(next), static_cast<std::uint16_t>(span.first - 1)});
    next = std::uint32_t{span.last} + 1;
  }
  if (next <= 65'535) result.push_back({static_cast<std::uint16_t>(next), 65'535});
  return result;
}

PortSpans united(PortSpans spans, const PortSpans& more) {
  spans.insert(spans.end(), more.begin(), more.end());
  std::sort(spans.begin(), spans.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  PortSpans result;
  for (const PortSpan& span : spans) {
    if (!result.empty() && span.first <= std::uint32_t{result.back().last} + 1) {
      result.back().last = std::max(result.back().last, span.last);
    } else {
      result.push_back(span);
    }
  }
  return result;
}

}  // namespace

TrafficSet TrafficSet::all() {
  TrafficSet set;
  set.complement();
  return set;
}

TrafficSet TrafficSet::protocol(std::uint8_t protocol) { return ports(protocol, 0, 65'535); }

TrafficSet TrafficSet::ports(std::uint8_t protocol, std::uint16_t first, std::uint16_t last) {
  TrafficSet set;
  const int slot = ported_slot(protocol);
  if (slot < 0) {
    set.whole_.set(protocol);
  } else if (first <= last) {
    set.ported_[static_cast<std::size_t>(slot)].push_back({first, last});
  }
  return set;
}

void TrafficSet::unite(const TrafficSet& other) {
  for (std::size_t slot = 0; slot < ported_.size(); ++slot) {
    ported_[slot] = united(std::move(ported_[slot]), other.ported_[slot]);
  }
  whole_ |= other.whole_;
}

void TrafficSet::complement() {
  for (PortSpans& spans : ported_) spans = complement_of(spans);
  whole_.flip();
  for (const std::uint8_t protocol : kProtocolOfSlot) whole_.reset(protocol);
}

void TrafficSet::subtract(TrafficSet other) {
  other.complement();
  intersect(other);
}

void TrafficSet::intersect(const TrafficSet& other) {
  TrafficSet outside = other;
  outside.complement();
  complement();
  unite(outside);
  complement();
}

bool TrafficSet::contains(std::uint8_t protocol, std::uint16_t port) const {
  const int slot = ported_slot(protocol);
  if (slot < 0) return whole_.test(protocol);
  const PortSpans& spans = ported_[static_cast<std::size_t>(slot)];
  return std::any_of(spans.begin(), spans.end(),
                     [&](const PortSpan& span) { return span.first <= port && port <= span.last; });
}

}  // namespace weir::policy
