#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "capture/nflog_prefix.h"
#include "model/policy_hit.h"

namespace weir::capture {

struct NflogStats {
  std::uint64_t packets = 0;
  /// After merging.
  std::uint64_t hits = 0;
  /// Packets whose prefix is none of a policy's: another program logs to the group.
  std::uint64_t foreign = 0;
  /// Packets whose prefix is a hash that NflogRules does not know: their hits have a cut name.
  std::uint64_t unresolved = 0;
  /// Damaged messages; packets that are not IP or cut within the IP header; reads longer than the buffer.
  std::uint64_t unreadable = 0, not_ip = 0, truncated = 0;
  /// Packets that the kernel dropped, told by those that came after them; and how often it began to.
  std::uint64_t lost = 0, overruns = 0;
};

/// Reads the packets that log rules of the data plane send to user space (NFLOG), as the policy decisions they are.
///
/// Packets of one connection and rule within a read are one hit with their sum.
/// In:      NFLOG groups, prefixes as nflog_prefix.h says. A packet's connection is the one that the connection tracker
///          has for it, so that the destination before DNAT is known; else the packet's own addresses.
/// Bounds:  kMaxHits a read, then poll() says `more`; no allocation a packet once the names have had their room.
/// Errors:  create(): no permission, a group that another program reads. poll(): the socket is broken.
/// Threads: one; the socket belongs to the network namespace of the thread that calls create().
/// Source:  net/netfilter/nfnetlink_log.c.
class NflogReader {
 public:
  struct Options {
    std::vector<std::uint16_t> groups{1, 2};
    /// Bytes of each packet that the kernel copies, from its IP header on.
    std::uint32_t copy_bytes = 255;
    /// The kernel sends that many packets in one message (its buffer permitting), or what it has after the timeout.
    std::uint32_t queue_threshold = 512;
    std::uint32_t kernel_buffer_bytes = 128 * 1024;
    /// In steps of 10 ms.
    std::uint32_t timeout_ms = 100;
    std::uint32_t receive_buffer_bytes = 8u << 20;
  };
  static constexpr std::size_t kMaxHits = 2048;

  /// `rules` may be null; it is used by poll() and must outlive the reader.
  static Result<std::unique_ptr<NflogReader>> create(Options options, const NflogRules* rules);
  ~NflogReader();
  NflogReader(const NflogReader&) = delete;
  NflogReader& operator=(const NflogReader&) = delete;

  int fd() const;

  struct Read {
    /// Valid until the next poll().
    std::span<const model::PolicyHit> hits;
    /// There is more to read: call again without waiting for the descriptor.
    bool more = false;
  };
  /// `now_ns`: for packets that carry no time, nanoseconds since the Unix epoch. Never blocks.
  Result<Read> poll(std::int64_t now_ns);

  /// The kernel attaches the connection tracker's entry; without that (kernel option NETFILTER_NETLINK_GLUE_CT) the
  /// destination before DNAT is unknown.
  bool has_conntrack() const;
  const NflogStats& stats() const;

 private:
  struct State;
  explicit NflogReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::capture
