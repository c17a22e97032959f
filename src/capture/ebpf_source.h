#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "capture/interface_watch.h"
#include "model/flow_delta.h"
#include "packet/packet.h"

namespace weir::capture {

struct EbpfOptions {
  /// Connections with traffic between two drains, at most; twice about 190 B of kernel memory each. A connection more
  /// is not counted (EbpfStats::lost_full).
  std::uint32_t max_flows = 65'536;
  /// For frames with DNS messages and HTTP heads, a power of two.
  std::uint32_t ring_bytes = 4u << 20;
  bool dns = true;
  /// Bytes of a frame with an HTTP head that are kept, at most 1,152; 0: no HTTP.
  std::uint32_t http_bytes = 1024;
  /// Ask the pods' sockets too: RTT, congestion window, retransmissions and processes of TCP connections. Where that is
  /// not to be had, the rest goes on without (EbpfSource::sockets_status()).
  bool sockets = true;
  /// Root of the cgroup2 hierarchy that has all pods; empty: the first one in /proc/mounts.
  std::string cgroup{};
  /// TCX where the kernel has it, else (or if false) filters on a clsact qdisc.
  bool tcx = true;
  /// A folder in a BPF file system: maps and TCX links are pinned there, the kernel goes on counting while no agent
  /// runs, and the next one takes over. Empty: all ends with the process. Pins of another layout or other sizes are
  /// replaced.
  std::string pin_path{};
  Status validate() const;  // names every violated bound
};

struct EbpfStats {
  /// Entries that the kernel made: a connection counts once for each drain in between.
  std::uint64_t flows = 0;
  struct Lost {
    std::uint64_t packets = 0, bytes = 0;
  };
  /// Packets in no entry, as the map was full; or busy (a lock was held, no memory).
  Lost lost_full, lost_busy;
  /// In entries of interfaces that nobody attached in this run: they went away while no agent ran.
  std::uint64_t unknown_interface_flows = 0;
  Lost unknown_interface;
  /// Frames that are not metered.
  std::uint64_t not_ip = 0, truncated = 0, malformed = 0;
  /// Later fragments whose first one was not seen: metered with ports 0.
  std::uint64_t orphan_fragments = 0;
  /// Frames to the ring, and lost as it was full.
  std::uint64_t dns_frames = 0, dns_dropped = 0, http_frames = 0, http_dropped = 0;
  std::uint64_t drains = 0, drained_flows = 0;
  struct Program {
    /// Only counted while the sysctl kernel.bpf_stats_enabled is 1.
    std::uint64_t runs = 0, run_ns = 0;
  };
  Program from_pod, to_pod;
  /// Samples of sockets, and those lost as their map was full; connections of drains that got one.
  std::uint64_t socket_samples = 0, socket_samples_lost = 0, socket_joined = 0;
};

/// Meters pods' interfaces in the kernel: programs at both directions of the node's half of each pod's veth pair count
/// by connection, and copy frames with DNS messages and HTTP heads into a ring.
///
/// Rules:   those of src/packet for the outermost IP header: Ethernet with up to 4 VLAN tags, IPv4 and IPv6 with up to
/// 8
///          extension headers, fragments with the ports of their first; MPLS, PPPoE and 802.3 frames are not metered.
///          A packet that segmentation offload has yet to cut, or that the receiver has put together, counts as its
///          segments, each with its headers: packets and bytes as a capture without offload has them.
/// Losses:  every packet is in one entry or in EbpfStats, exactly.
/// Pins:    what one batch of drain() gave is lost if the process is killed before it has used it.
/// Needs:   CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON; Linux 5.15. In the network namespace of the interfaces.
/// Threads: one.       Source: bpf/flow.bpf.c.
class EbpfSource {
 public:
  static Result<std::unique_ptr<EbpfSource>> create(EbpfOptions options);
  ~EbpfSource();
  EbpfSource(const EbpfSource&) = delete;
  EbpfSource& operator=(const EbpfSource&) = delete;

  /// Removes the pins below `pin_path`: maps and programs go once no process holds them.
  static Status remove_pins(const std::string& pin_path);

  /// Begins to meter an interface. kNotFound: it is gone already.
  Status attach(const PodInterface& interface);
  /// The interface went away, or is no longer wanted. What was counted there comes with the next drain.
  void detach(const PodInterface& interface);

  /// What was counted since the drain before, in batches of at most some thousand: call it until the span is empty. The
  /// first call of a round waits for programs that run (RCU, about 10 ms, without using the CPU). Valid until the next
  /// call. An error ends the round; what is left comes with the next but one.
  Result<std::span<const model::FlowDelta>> drain();

  /// Readable when a quarter of the ring is full. Below that frames wait for the reader to come by itself.
  int fd() const;
  /// The next frames of the ring, at most some hundred; empty: none. Valid until the next call. Call it after drain(),
  /// so that the connections are known.
  std::span<const packet::PacketView> packets();

  /// "tcx" or "clsact".
  const char* attachment() const;
  /// Why sockets are not asked, if EbpfOptions::sockets wants it.
  const Status& sockets_status() const;
  /// Pins of another layout or size were replaced: what was counted there is lost.
  bool replaced_pins() const;
  EbpfStats stats() const;

 private:
  struct State;
  explicit EbpfSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::capture
