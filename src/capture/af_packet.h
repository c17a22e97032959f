#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "capture/interface_watch.h"
#include "capture/internal/packet_ring.h"
#include "packet/packet.h"

namespace weir::capture {

struct AfPacketOptions {
  /// Bytes of a frame that are captured: enough for the headers and the head of a request. 64 to 65,536.
  std::uint32_t snap_bytes = 512;
  /// Of frames from or to port 53, and of fragments. At least snap_bytes.
  std::uint32_t dns_snap_bytes = 4096;
  /// Only packets that the DNS and L7 logs are made of: of TCP those that open or end a connection or begin with an
  /// HTTP head, port 53, fragments. The kernel drops the others, uncounted.
  bool payloads_only = false;
  /// Kernel memory for each interface, a multiple of block_bytes and at least two of them. It holds the packets that
  /// come while we are busy: 512 KiB are about 3,000 small ones.
  std::uint32_t ring_bytes = 512 * 1024;
  /// The kernel hands packets over block by block, and wakes us for each: in large ones a packet costs less (measured:
  /// 210 ns with metering at 64 KiB, 140 at 256). A power of two, 16 KiB to 4 MiB.
  std::uint32_t block_bytes = 128 * 1024;
  /// A block that is not full is handed over after so long: by so much is a packet late. 1 to 10,000.
  std::uint32_t block_timeout_ms = 50;
  /// Not 0: several readers (threads or processes) share the packets of an interface, all of one connection going to
  /// one of them. Each has its own AfPacket with this number and the same interfaces, which must be up.
  std::uint16_t fanout_group = 0;
  Status validate() const;  // names every violated bound
};

struct AfPacketStats {
  /// Handed out by next_batch().
  std::uint64_t packets = 0, wire_bytes = 0, captured_bytes = 0;
  /// Packets that came while the ring of their interface was full, and how often a ring was. Once all that the rings
  /// hold is read, packets + dropped is what passed the interfaces.
  std::uint64_t dropped = 0, ring_full = 0;
  /// Rings that are open, those of removed interfaces with unread packets among them.
  std::uint64_t rings = 0;
};

/// Captures at pods' interfaces, each packet with the interface's zone and its direction. Linux, AF_PACKET with
/// TPACKET_V3: the kernel writes into memory that we read without a copy or a system call for each packet.
///
/// One socket for each interface: one for all would cost about 200 ns for every packet of every other interface too
/// (measured), on older kernels even for those inside of pods; the price is kernel memory, ring_bytes a pod.
/// Frames are as the host's stack has them: large sends are still in one piece (up to 64 KiB and more), and their bytes
/// are those of the IP header. A VLAN tag that the kernel keeps beside the frame is not in it, as for bridged pods.
///
/// Order:   by time within an interface. Between interfaces a packet may be late by block_timeout_ms.
/// Errors:  a full ring loses packets, which is counted. An interface that goes down and up again is captured on.
/// Threads: one. Needs CAP_NET_RAW, in the network namespace of the thread that calls add_interface().
/// Source:  packet(7), Documentation/networking/packet_mmap.rst.
class AfPacket {
 public:
  static Result<std::unique_ptr<AfPacket>> create(AfPacketOptions options);
  ~AfPacket();
  AfPacket(const AfPacket&) = delete;
  AfPacket& operator=(const AfPacket&) = delete;

  /// Captures there from now on. An interface that is gone already is an error of kNotFound.
  Status add_interface(const PodInterface& interface);
  /// Captures no more there; what was captured before still comes. Nothing if we do not know it.
  void remove_interface(const PodInterface& interface);

  /// Readable while a block of packets is there: next_batch() until it gives 0 makes it wait again.
  int fd() const { return epoll_; }
  /// Fills `out` from the front; the number filled, 0 if nothing is there now. Never blocks. The views borrow from the
  /// rings until the next call.
  std::size_t next_batch(std::span<packet::PacketView> out);

  /// Asks the kernel, one call for each ring.
  AfPacketStats stats();

 private:
  struct Watched {
    std::unique_ptr<PacketRing> ring;
    /// Stands in ready_.
    bool ready = false;
    bool removed = false;
  };
  using Id = std::uint64_t;

  AfPacket(AfPacketOptions options, int epoll) : options_(options), epoll_(epoll) {}
  void release_blocks();
  void poll_rings();
  std::size_t read_in_turn(std::span<packet::PacketView> out);
  /// Nothing is to be read of it now: if it was removed and all of it is read, closes it.
  void close_if_done(Id id);
  void count_kernel_stats(PacketRing& ring);

  AfPacketOptions options_;
  int epoll_;
  Id next_id_ = 1;
  std::map<Id, Watched> rings_;
  /// Rings in which a block may be, in the order in which they take turns.
  std::vector<Id> ready_, next_ready_;
  std::vector<Id> removed_;
  std::uint32_t calls_ = 0;
  /// Blocks that were read, and are given back at the next call.
  std::vector<PacketRing::Block*> spent_;
  AfPacketStats stats_;
};

}  // namespace weir::capture
