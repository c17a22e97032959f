// Two sockets: one joins the event groups, the other gets dumps, so that an answer never waits behind events.
//
// A dump is a look at a moving table. The kernel prepares each piece when the piece before is read, so a piece may show
// entries whose DESTROY event we have read already: those are kept out by the set of what was destroyed since the dump
// began. The other way round, entries made after the walk passed their bucket are missing from the dump, but their NEW
// event tells of them.
//
// A dump's end is told only once the event queue has run empty after it: else the DESTROY of an entry that the dump
// misses might still wait in the queue, and the entry would end twice.
//
// After an overrun the kernel drops every event until the queue has run empty, and says so only once. The dump that
// makes up for them must therefore not begin before that.
#include "capture/conntrack_reader.h"

#include <absl/container/flat_hash_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/hash.h"
#include "capture/internal/ctnetlink.h"
#include "capture/internal/netlink.h"
#include "capture/internal/netlink_socket.h"

namespace weir::capture {
namespace {

using model::ConntrackEvent;
using Received = NetlinkSocket::Received;

constexpr std::size_t kDatagrams = 64;
/// An event has 160 to 260 B; labels, a helper and a security context add some.
constexpr std::size_t kDatagramBytes = 2048;
/// The kernel fills at most 32 KiB a dump message.
constexpr std::size_t kDumpBytes = 32 * 1024;
/// Pieces of a dump in one poll(): about 140 entries each, together half a millisecond.
constexpr int kDumpPieces = 4;

constexpr std::uint16_t message_type(int message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

std::uint64_t tuple_hash(const model::Tuple& t) {
  const std::uint64_t ports = std::uint64_t{t.source_port} << 24 | std::uint64_t{t.dest_port} << 8 | t.protocol;
  return mix64(mix64(t.source.low() ^ ports, t.source.high()), mix64(t.dest.low(), t.dest.high()));
}

/// Names an entry for the time of a dump: the kernel's id is 32 bits of a hash, so the tuple helps it.
std::uint64_t entry_mark(const ConntrackEvent& e) { return mix64(e.id, tuple_hash(e.original) + e.zone); }

std::string sysctl_path(const char* name) { return std::string("/proc/sys/net/netfilter/nf_conntrack_") + name; }

int read_sysctl(const char* name) {
  std::FILE* file = std::fopen(sysctl_path(name).c_str(), "re");
  if (file == nullptr) return -1;
  int value = -1;
  if (std::fscanf(file, "%d", &value) != 1) value = -1;
  (void)std::fclose(file);
  return value;
}

bool write_sysctl(const char* name) {
  std::FILE* file = std::fopen(sysctl_path(name).c_str(), "we");
  if (file == nullptr) return false;
  const bool written = std::fputs("1\n", file) >= 0;
  return std::fclose(file) == 0 && written;
}

ConntrackSettings ensure_settings(bool switch_on) {
  ConntrackSettings settings;
  const auto ensure = [&](const char* name, const char* lost) {
    int value = read_sysctl(name);
    if (value == 0 && switch_on && write_sysctl(name)) value = read_sysctl(name);
    if (value <= 0) {
      settings.problems.push_back(std::string("conntrack: ") + lost + ": set net.netfilter.nf_conntrack_" + name +
                                  "=1 (it is " + (value < 0 ? "unreadable" : "0") + ")");
    }
    return value;
  };
  settings.accounting = ensure("acct", "no packet and byte counters") > 0;
  settings.timestamps = ensure("timestamp", "no start times, so older connections cannot be told from new ones") > 0;
  settings.events = ensure("events", "no events, connections shorter than a dump interval are not seen");
  return settings;
}

}  // namespace

struct ConntrackReader::State {
  Options options;
  ConntrackSettings settings;
  ConntrackStats stats;
  NetlinkSocket events_socket, dump_socket;
  int epoll_fd = -1;
  DatagramBatch datagrams{kDatagrams, kDatagramBytes};
  DatagramBatch dump_piece{1, kDumpBytes};
  /// The first `count` are of this poll(); the others keep their memory.
  std::vector<ConntrackEvent> events;
  std::size_t count = 0;

  bool dump_wanted = true, dump_active = false, dump_interrupted = false;
  /// The caller has yet to learn that a dump began, that one is complete.
  bool tell_begin = false, tell_end = false;
  /// Events are being lost until the queue has run empty.
  bool congested = false;
  std::uint32_t dump_sequence = 0;
  /// Marks of the entries destroyed since the dump began.
  absl::flat_hash_set<std::uint64_t> destroyed;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (epoll_fd >= 0) close(epoll_fd);
  }

  Status watch(const NetlinkSocket& socket) const {
    epoll_event event{};
    event.events = EPOLLIN;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, socket.fd(), &event) == 0) return {};
    return Error{ErrorCode::kInternal, std::string("conntrack: epoll: ") + std::strerror(errno)};
  }

  Status begin_dump_if_wanted();
  Status read_dump(std::int64_t now_ns);
  Result<bool> add_dump_piece(std::span<const std::uint8_t> bytes, std::int64_t now_ns);
  Result<bool> read_events(std::int64_t now_ns);
  void add_events(std::span<const std::uint8_t> bytes, std::int64_t now_ns);
  bool parse(const NetlinkMessage& message, std::int64_t now_ns, ConntrackEvent::Kind kind);
};

/// Appends the message's entry to the events.
bool ConntrackReader::State::parse(const NetlinkMessage& message, std::int64_t now_ns, ConntrackEvent::Kind kind) {
  if (count == events.size()) events.resize(2 * count);
  ConntrackEvent& event = events[count];
  event.kind = kind;
  event.time_ns = now_ns;
  if (message.payload.size() < sizeof(nfgenmsg) ||
      !parse_conntrack_attributes(message.payload.subspan(sizeof(nfgenmsg)), event)) {
    ++stats.unreadable;
    return false;
  }
  ++count;
  return true;
}

Status ConntrackReader::State::begin_dump_if_wanted() {
  if (!dump_wanted || dump_active || tell_begin || tell_end || congested) return {};
  NetlinkRequest request(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, ++dump_sequence);
  request.put(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, 0});
  TRY(dump_socket.send(request.finish()));
  dump_wanted = dump_interrupted = false;
  dump_active = tell_begin = true;
  return {};
}

Status ConntrackReader::State::read_dump(std::int64_t now_ns) {
  for (int piece = 0; piece < kDumpPieces && dump_active; ++piece) {
    const Received received = dump_piece.receive(dump_socket);
    if (received == Received::kNothing) return {};
    if (received != Received::kData || dump_piece.truncated(0)) {
      // A piece is missing: the dump is worth nothing as the whole, its other entries are.
      dump_interrupted = true;
      if (received == Received::kFailed) {
        return Error{ErrorCode::kUnavailable, std::string("conntrack dump: ") + std::strerror(errno)};
      }
      continue;
    }
    TRY_ASSIGN(const bool done, add_dump_piece(dump_piece[0], now_ns));
    if (!done) continue;
    dump_active = false;
    destroyed.clear();
    ++stats.dumps;
    stats.dumps_interrupted += dump_interrupted ? 1 : 0;
    dump_wanted |= dump_interrupted;
    tell_end = !dump_interrupted;
  }
  return {};
}

/// True: its end is among them.
Result<bool> ConntrackReader::State::add_dump_piece(std::span<const std::uint8_t> bytes, std::int64_t now_ns) {
  NetlinkMessages messages(bytes);
  NetlinkMessage message;
  while (messages.next(message)) {
    if (message.sequence != dump_sequence) continue;
    dump_interrupted |= (message.flags & NLM_F_DUMP_INTR) != 0;
    if (message.type == NLMSG_DONE) return true;
    if (message.type == NLMSG_ERROR) {
      nlmsgerr error{};
      std::memcpy(&error, message.payload.data(), std::min(sizeof error, message.payload.size()));
      if (error.error == 0) continue;
      dump_active = false;
      const bool denied = error.error == -EPERM || error.error == -EACCES;
      return Error{denied ? ErrorCode::kPermissionDenied : ErrorCode::kUnavailable,
                   std::string("conntrack dump: ") + std::strerror(-error.error) +
                       (denied ? " (CAP_NET_ADMIN is needed)" : " (is the module nf_conntrack_netlink there?)")};
    }
    if (message.type != message_type(IPCTNL_MSG_CT_NEW)) continue;
    if (!parse(message, now_ns, ConntrackEvent::Kind::kUpdate)) continue;
    if (!destroyed.empty() && destroyed.contains(entry_mark(events[count - 1]))) {
      --count;
      ++stats.dump_entries_gone;
    } else {
      ++stats.dump_entries;
    }
  }
  stats.unreadable += messages.damaged() ? 1 : 0;
  return false;
}

void ConntrackReader::State::add_events(std::span<const std::uint8_t> bytes, std::int64_t now_ns) {
  NetlinkMessages messages(bytes);
  NetlinkMessage message;
  while (messages.next(message)) {
    if (message.type == message_type(IPCTNL_MSG_CT_NEW)) {
      const bool made = (message.flags & (NLM_F_CREATE | NLM_F_EXCL)) != 0;
      if (!parse(message, now_ns, made ? ConntrackEvent::Kind::kNew : ConntrackEvent::Kind::kUpdate)) continue;
      ++(made ? stats.events_new : stats.events_update);
    } else if (message.type == message_type(IPCTNL_MSG_CT_DELETE)) {
      if (!parse(message, now_ns, ConntrackEvent::Kind::kDestroy)) continue;
      ++stats.events_destroy;
      if (dump_active) destroyed.insert(entry_mark(events[count - 1]));
    }
  }
  stats.unreadable += messages.damaged() ? 1 : 0;
}

/// True: there is more.
Result<bool> ConntrackReader::State::read_events(std::int64_t now_ns) {
  const std::size_t limit = count + options.max_events;
  while (count + kDatagrams <= limit) {
    switch (datagrams.receive(events_socket)) {
      case Received::kData:
        break;
      case Received::kNothing:
        congested = false;
        return false;
      case Received::kOverrun:
        ++stats.overruns;
        congested = dump_wanted = true;
        continue;
      case Received::kFailed:
        return Error{ErrorCode::kUnavailable, std::string("conntrack events: ") + std::strerror(errno)};
    }
    for (std::size_t i = 0; i < datagrams.size(); ++i) {
      if (datagrams.truncated(i)) {
        ++stats.truncated;
      } else {
        add_events(datagrams[i], now_ns);
      }
    }
  }
  return true;
}

ConntrackReader::ConntrackReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConntrackReader::~ConntrackReader() = default;

Result<std::unique_ptr<ConntrackReader>> ConntrackReader::create(Options options) {
  auto state = std::make_unique<State>();
  options.max_events = std::max<std::uint32_t>(options.max_events, kDatagrams);
  state->options = options;
  state->events.resize(options.max_events + 1024);
  TRY_ASSIGN(state->events_socket, NetlinkSocket::open(options.receive_buffer_bytes));
  TRY_ASSIGN(state->dump_socket, NetlinkSocket::open(4 * kDumpBytes));
  state->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (state->epoll_fd < 0) return Error{ErrorCode::kInternal, std::string("conntrack: epoll: ") + std::strerror(errno)};
  TRY(state->watch(state->events_socket));
  TRY(state->watch(state->dump_socket));
  TRY(state->events_socket.join(NFNLGRP_CONNTRACK_NEW));
  TRY(state->events_socket.join(NFNLGRP_CONNTRACK_DESTROY));
  if (options.updates) TRY(state->events_socket.join(NFNLGRP_CONNTRACK_UPDATE));
  // Joining has loaded the connection tracker's modules where the kernel has them as such.
  state->settings = ensure_settings(options.switch_on);
  // The answer makes the descriptor readable.
  TRY(state->begin_dump_if_wanted());
  return std::unique_ptr<ConntrackReader>(new ConntrackReader(std::move(state)));
}

int ConntrackReader::fd() const { return state_->epoll_fd; }

Result<ConntrackRead> ConntrackReader::poll(std::int64_t now_ns) {
  State& s = *state_;
  s.count = 0;
  ConntrackRead read;
  read.dump_begins = std::exchange(s.tell_begin, false);
  // The dump first: the events may tell of entries that were destroyed after the piece was made.
  if (s.dump_active) TRY(s.read_dump(now_ns));
  TRY_ASSIGN(read.more, s.read_events(now_ns));
  if (!read.more) read.dump_ends = std::exchange(s.tell_end, false);
  read.events = {s.events.data(), s.count};
  TRY(s.begin_dump_if_wanted());
  return read;
}

Status ConntrackReader::request_dump() {
  state_->dump_wanted = true;
  return state_->begin_dump_if_wanted();
}

bool ConntrackReader::dump_pending() const { return state_->dump_wanted || state_->dump_active || state_->tell_end; }
const ConntrackSettings& ConntrackReader::settings() const { return state_->settings; }
const ConntrackStats& ConntrackReader::stats() const {
  state_->stats.lost = std::max<std::uint64_t>(state_->events_socket.lost_messages(), state_->stats.overruns);
  return state_->stats;
}
std::uint32_t ConntrackReader::receive_buffer_bytes() const { return state_->events_socket.receive_buffer_bytes() / 2; }

}  // namespace weir::capture
