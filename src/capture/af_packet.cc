#include "capture/af_packet.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace weir::capture {

Status AfPacketOptions::validate() const {
  std::string problems;
  const auto require = [&](bool holds, const char* text) {
    if (!holds) problems += (problems.empty() ? "" : "; ") + std::string(text);
  };
  constexpr std::uint32_t kLeastBlock = 16 * 1024, kMostBlock = 4 * 1024 * 1024, kMostRing = 1u << 30;
  const bool block = std::has_single_bit(block_bytes) && block_bytes >= kLeastBlock && block_bytes <= kMostBlock;
  require(snap_bytes >= 64 && snap_bytes <= 65'536, "snap_bytes: 64 to 65536");
  require(dns_snap_bytes >= snap_bytes && dns_snap_bytes <= 65'536, "dns_snap_bytes: snap_bytes to 65536");
  require(block, "block_bytes: a power of two, 16 KiB to 4 MiB");
  require(!block || (ring_bytes % block_bytes == 0 && ring_bytes / block_bytes >= 2 && ring_bytes <= kMostRing),
          "ring_bytes: a multiple of block_bytes, at least two of them, at most 1 GiB");
  require(block_timeout_ms >= 1 && block_timeout_ms <= 10'000, "block_timeout_ms: 1 to 10000");
  if (problems.empty()) return {};
  return invalid_argument("capture at interfaces: " + problems);
}

Result<std::unique_ptr<AfPacket>> AfPacket::create(AfPacketOptions options) {
  TRY(options.validate());
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0)
    return Error{ErrorCode::kUnavailable, std::string("capture at interfaces: epoll: ") + std::strerror(errno)};
  return std::unique_ptr<AfPacket>(new AfPacket(options, epoll));
}

AfPacket::~AfPacket() { close(epoll_); }

Status AfPacket::add_interface(const PodInterface& interface) {
  for (const auto& [id, watched] : rings_) {
    if (watched.removed || watched.ring->interface().index != interface.index) continue;
    const PodInterface before = watched.ring->interface();
    remove_interface(before);
    break;
  }
  TRY_ASSIGN(std::unique_ptr<PacketRing> ring, PacketRing::open(interface, options_));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = next_id_;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, ring->fd(), &event) != 0)
    return Error{ErrorCode::kUnavailable, "capture at " + interface.name + ": epoll: " + std::strerror(errno)};
  rings_[next_id_++].ring = std::move(ring);
  return {};
}

void AfPacket::remove_interface(const PodInterface& interface) {
  for (auto& [id, watched] : rings_) {
    if (watched.removed || watched.ring->interface().index != interface.index) continue;
    watched.removed = true;
    watched.ring->stop();
    removed_.push_back(id);
    return;
  }
}

void AfPacket::release_blocks() {
  for (PacketRing::Block* block : spent_) PacketRing::release(block);
  spent_.clear();
}

/// Adds those in which the kernel has handed over a block.
void AfPacket::poll_rings() {
  std::array<epoll_event, 64> events;
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const auto found = rings_.find(events[static_cast<std::size_t>(i)].data.u64);
    if (found == rings_.end()) continue;
    if ((events[static_cast<std::size_t>(i)].events & EPOLLERR) != 0) found->second.ring->clear_error();
    if (!std::exchange(found->second.ready, true)) ready_.push_back(found->first);
  }
}

std::size_t AfPacket::next_batch(std::span<packet::PacketView> out) {
  release_blocks();
  // Not only when nothing is left: a ring that fills as fast as we read would hide the others.
  constexpr std::uint32_t kCallsPerPoll = 8;
  bool polled = ++calls_ % kCallsPerPoll == 0;
  if (polled) poll_rings();
  std::size_t count = 0;
  while (count < out.size()) {
    if (ready_.empty() && !std::exchange(polled, true)) poll_rings();
    if (ready_.empty()) break;
    count += read_in_turn(out.subspan(count));
  }
  for (const packet::PacketView& view : out.first(count)) {
    stats_.wire_bytes += view.wire_bytes;
    stats_.captured_bytes += view.captured_bytes;
  }
  stats_.packets += count;
  if (count == 0 && spent_.empty() && !removed_.empty()) {
    for (const Id id : std::exchange(removed_, {})) close_if_done(id);
  }
  return count;
}

/// Reads at most one block of each ring in ready_, so that a busy pod does not make the others wait.
std::size_t AfPacket::read_in_turn(std::span<packet::PacketView> out) {
  std::size_t count = 0, turn = 0;
  next_ready_.clear();
  for (; turn < ready_.size() && count < out.size(); ++turn) {
    Watched& watched = rings_.at(ready_[turn]);
    PacketRing::Block* spent = nullptr;
    const std::size_t filled = watched.ring->read(out.subspan(count), spent);
    count += filled;
    if (spent != nullptr) spent_.push_back(spent);
    if (filled > 0 && spent == nullptr) break;  // `out` is full in the middle of a block
    if (filled > 0)
      next_ready_.push_back(ready_[turn]);
    else
      watched.ready = false;
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(turn));
  ready_.insert(ready_.end(), next_ready_.begin(), next_ready_.end());
  return count;
}

void AfPacket::close_if_done(Id id) {
  const auto found = rings_.find(id);
  count_kernel_stats(*found->second.ring);
  if (found->second.ring->drained() && !found->second.ready) {
    rings_.erase(found);
  } else {
    removed_.push_back(id);
  }
}

void AfPacket::count_kernel_stats(PacketRing& ring) {
  const PacketRing::KernelStats kernel = ring.take_stats();
  stats_.dropped += kernel.dropped;
  stats_.ring_full += kernel.ring_full;
}

AfPacketStats AfPacket::stats() {
  for (const auto& [id, watched] : rings_) count_kernel_stats(*watched.ring);
  stats_.rings = rings_.size();
  return stats_;
}

}  // namespace weir::capture
