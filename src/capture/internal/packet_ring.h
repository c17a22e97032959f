#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "capture/interface_watch.h"
#include "packet/packet.h"

struct tpacket_block_desc;
struct tpacket3_hdr;

namespace weir::capture {

struct AfPacketOptions;

/// One packet socket and the ring of blocks that it shares with the kernel.
class PacketRing {
 public:
  using Block = tpacket_block_desc;

  static Result<std::unique_ptr<PacketRing>> open(const PodInterface& interface, const AfPacketOptions& options);
  ~PacketRing();
  PacketRing(const PacketRing&) = delete;
  PacketRing& operator=(const PacketRing&) = delete;

  int fd() const { return fd_; }
  const PodInterface& interface() const { return interface_; }

  /// The next packets of the block under way, or of the next one; 0 if no block is there. Stays within one block; if
  /// that has been read to its end, sets `spent` to it: release() it once its views are no longer needed.
  std::size_t read(std::span<packet::PacketView> out, Block*& spent);
  static void release(Block* block);

  /// Captures nothing from now on; what is in the ring stays.
  void stop();
  /// Clears an error (interface down), which would make the socket readable forever.
  void clear_error() const;

  struct KernelStats {
    std::uint32_t packets = 0, dropped = 0, ring_full = 0;
  };
  /// Since the call before. `packets`: put into the ring.
  KernelStats take_stats();
  /// Everything put into the ring has been read; right after take_stats().
  bool drained() const { return in_ring_ == read_; }

 private:
  PacketRing() = default;
  Status set_up(const AfPacketOptions& options);
  Status attach_filter(const AfPacketOptions& options) const;
  void enter_block(Block* block);
  void fill(const tpacket3_hdr& header, packet::PacketView& view) const;

  PodInterface interface_;
  int fd_ = -1;
  std::uint8_t* ring_ = nullptr;
  std::size_t ring_bytes_ = 0, block_bytes_ = 0;
  /// Offset of the block to be read next, or under way.
  std::size_t block_at_ = 0;
  /// Of the block under way: packets left, where the next one is, and up to where it is fetched.
  std::uint32_t left_ = 0;
  std::size_t at_ = 0, prefetched_ = 0;
  std::uint16_t link_type_ = 1;
  std::uint64_t in_ring_ = 0, read_ = 0;
};

}  // namespace weir::capture
