#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/conntrack.h"

namespace weir::capture {

/// How the kernel's connection tracker is set in this network namespace (net.netfilter.nf_conntrack_*).
struct ConntrackSettings {
  /// nf_conntrack_acct: entries made while it is off have no counters.
  bool accounting = false;
  /// nf_conntrack_timestamp: entries made while it is off do not tell when they began.
  bool timestamps = false;
  /// nf_conntrack_events: 0 none; 1 always; 2 for entries made while somebody listens; -1 unreadable.
  int events = -1;
  /// One line for a person on each thing that is not as it should be: what is missing for it, and what to do.
  std::vector<std::string> problems;
};

struct ConntrackStats {
  std::uint64_t events_new = 0, events_update = 0, events_destroy = 0;
  std::uint64_t dump_entries = 0, dumps = 0;
  /// Entries of a dump that were destroyed while it ran.
  std::uint64_t dump_entries_gone = 0;
  /// Events that the kernel dropped, and how often it began to; each time is followed by a dump.
  std::uint64_t lost = 0, overruns = 0;
  /// The table changed its size under a dump, which is then repeated.
  std::uint64_t dumps_interrupted = 0;
  /// Messages without two whole tuples or with damaged lengths; longer than we read.
  std::uint64_t unreadable = 0, truncated = 0;
};

/// What one poll() read. `events` is valid until the next poll().
struct ConntrackRead {
  std::span<const model::ConntrackEvent> events;
  /// Before the events: a dump begins.
  bool dump_begins = false;
  /// After the events: the dump that began last is complete. Entries that no event has told of since it began are gone.
  bool dump_ends = false;
  /// There is more to read: call again without waiting for the descriptor.
  bool more = false;
};

/// Reads the kernel's connection tracker of this network namespace: entries as they come and go, and on request all.
///
/// The table is dumped at the start, when asked for, and whenever the kernel had to drop events, always a few messages
/// a poll() among the events. Entries destroyed while a dump runs do not come back through it.
/// Counters come with dumps and DESTROY events only: that is how the kernel is. Dump before each window ends.
/// An entry made before anybody listened sends no DESTROY (nf_conntrack_events=2, the default): dumps tell of its end.
/// Bounds:  Options; no allocation an event. While a dump runs, the entries destroyed are remembered, 16 B each.
/// Errors:  create(): no permission, no connection tracker. poll(): the kernel refuses a dump.
/// Threads: one; the socket belongs to the network namespace of the thread that calls create().
/// Source:  net/netfilter/nf_conntrack_netlink.c, net/netlink/af_netlink.c.
class ConntrackReader {
 public:
  struct Options {
    /// UPDATE events too: five more a TCP connection, without counters. They are not needed.
    bool updates = false;
    /// The kernel charges 1,280 B an event. 8 MiB hold 13,000 (it doubles what is asked).
    std::uint32_t receive_buffer_bytes = 8u << 20;
    /// Most events of one poll(); a piece of a dump may add 1,000.
    std::uint32_t max_events = 1024;
    /// Switch accounting, timestamps and events on where they are off.
    bool switch_on = false;
  };
  static Result<std::unique_ptr<ConntrackReader>> create(Options options);
  ~ConntrackReader();
  ConntrackReader(const ConntrackReader&) = delete;
  ConntrackReader& operator=(const ConntrackReader&) = delete;

  /// Readable when poll() has something to read.
  int fd() const;
  /// Reads what is there, up to Options::max_events. `now_ns`: nanoseconds since the Unix epoch. Never blocks.
  Result<ConntrackRead> poll(std::int64_t now_ns);
  /// Begins a dump, or has one follow the dump that is under way.
  Status request_dump();
  /// A dump is under way or asked for.
  bool dump_pending() const;

  const ConntrackSettings& settings() const;
  const ConntrackStats& stats() const;
  /// Usable bytes of the receive buffer as the kernel granted them.
  std::uint32_t receive_buffer_bytes() const;

 private:
  struct State;
  explicit ConntrackReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::capture
