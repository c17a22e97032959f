#include "capture/nflog_reader.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/hash.h"
#include "capture/internal/netlink.h"
#include "capture/internal/netlink_socket.h"
#include "capture/internal/nflog_message.h"

namespace weir::capture {
namespace {

using Received = NetlinkSocket::Received;

/// The kernel's buffer has at most 128 KiB, and a packet more than fits makes the next message.
constexpr std::size_t kDatagramBytes = 160 * 1024;
constexpr std::size_t kMaxKernelBuffer = 128 * 1024;

constexpr std::uint16_t message_type(int message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_ULOG << 8 | message);
}

Error refused(std::uint16_t group, int error) {
  const std::string what = "NFLOG group " + std::to_string(group) + ": ";
  switch (error) {
    case EBUSY:
    case EPERM:
    case EACCES:
      // The kernel gives the same answer to both.
      return {
          ErrorCode::kPermissionDenied,
          what + "another program reads it (choose other groups, or stop that program), or CAP_NET_ADMIN is missing"};
    default:
      return {ErrorCode::kUnavailable, what + std::strerror(error) + " (is the module nfnetlink_log there?)"};
  }
}

/// What makes two packets one hit.
struct HitKey {
  model::Tuple tuple;
  IpAddress original_dest;
  std::uint16_t original_dest_port = 0;
  std::uint8_t prefix_size = 0;
  std::array<char, kMaxNflogPrefix> prefix;

  std::string_view text() const { return {prefix.data(), prefix_size}; }
};

std::uint64_t hash_of(const NflogConnection& c, std::string_view prefix) {
  const model::Tuple& t = c.tuple;
  const std::uint64_t ports = std::uint64_t{t.source_port} << 24 | std::uint64_t{t.dest_port} << 8 | t.protocol;
  return mix64(mix64(t.source.low() ^ ports, t.dest.low()),
               hash_bytes(prefix.data(), prefix.size(), t.source.high() ^ t.dest.high()));
}

/// The hits of a read by tuple and rule: open addressing over a fixed table, emptied by counting up the read.
class HitTable {
 public:
  /// The hit's index; `made`: it is new, and the key has been copied.
  std::size_t place(const NflogConnection& connection, std::string_view prefix, bool& made) {
    const std::uint64_t hash = hash_of(connection, prefix);
    for (std::size_t i = hash % kCells;; i = (i + 1) % kCells) {
      Cell& cell = cells_[i];
      if (cell.read != read_) {
        cell = {read_, static_cast<std::uint32_t>(size_), hash};
        fill(keys_[size_], connection, prefix);
        made = true;
        return size_++;
      }
      if (cell.hash == hash && equals(keys_[cell.index], connection, prefix)) {
        made = false;
        return cell.index;
      }
    }
  }
  std::size_t size() const { return size_; }
  void clear() {
    size_ = 0;
    ++read_;
  }

 private:
  static constexpr std::size_t kCells = NflogReader::kMaxHits * 2;
  struct Cell {
    std::uint64_t read;
    std::uint32_t index;
    std::uint64_t hash;
  };

  static void fill(HitKey& key, const NflogConnection& c, std::string_view prefix) {
    key.tuple = c.tuple;
    key.original_dest = c.original_dest;
    key.original_dest_port = c.original_dest_port;
    key.prefix_size = static_cast<std::uint8_t>(prefix.size());
    std::memcpy(key.prefix.data(), prefix.data(), prefix.size());
  }
  static bool equals(const HitKey& key, const NflogConnection& c, std::string_view prefix) {
    return key.tuple == c.tuple && key.original_dest == c.original_dest &&
           key.original_dest_port == c.original_dest_port && key.text() == prefix;
  }

  std::uint64_t read_ = 1;
  std::size_t size_ = 0;
  std::vector<Cell> cells_ = std::vector<Cell>(kCells);
  std::vector<HitKey> keys_ = std::vector<HitKey>(NflogReader::kMaxHits);
};

}  // namespace

struct NflogReader::State {
  Options options;
  const NflogRules* rules = nullptr;
  NflogStats stats;
  NetlinkSocket socket;
  bool conntrack = true;
  DatagramBatch datagram{1, kDatagramBytes};
  /// The rest of a datagram that had more hits than one read gives.
  std::span<const std::uint8_t> rest;
  std::uint32_t sequence = 0;
  /// Of each group's next packet.
  std::vector<std::uint32_t> next_packet;
  packet::Decoder decoder{packet::Decoder::Options{.outer = true, .vxlan_ports = {}}};
  model::ConntrackEvent scratch;
  HitTable table;
  /// Their strings keep their room from read to read.
  std::vector<model::PolicyHit> hits = std::vector<model::PolicyHit>(kMaxHits);

  Result<int> ask(NetlinkRequest& request);
  Status bind(std::uint16_t group);
  bool read_datagram(std::int64_t now_ns);
  void count_lost(const NflogMessage& message);
  void add(const NflogMessage& message, std::int64_t now_ns);
  void describe(const NflogConnection& connection, const ParsedNflogPrefix& prefix, std::string_view text,
                model::PolicyHit& hit);
};

/// The kernel's answer: 0 or an errno value.
Result<int> NflogReader::State::ask(NetlinkRequest& request) {
  TRY(socket.send(request.finish()));
  // The answer is in the queue when send() returns, perhaps behind packets of groups that are bound already.
  while (datagram.receive(socket) == Received::kData) {
    NetlinkMessages messages(datagram[0]);
    NetlinkMessage message;
    while (messages.next(message)) {
      nlmsgerr answer{};
      if (message.type != NLMSG_ERROR || message.sequence != sequence || message.payload.size() < sizeof answer.error) {
        continue;
      }
      std::memcpy(&answer.error, message.payload.data(), sizeof answer.error);
      return -answer.error;
    }
  }
  return Error{ErrorCode::kInternal, "NFLOG: the kernel did not answer"};
}

Status NflogReader::State::bind(std::uint16_t group) {
  const auto request_for = [&] {
    NetlinkRequest request(message_type(NFULNL_MSG_CONFIG), NLM_F_ACK, ++sequence);
    request.put(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, __builtin_bswap16(group)});
    return request;
  };
  NetlinkRequest take = request_for();
  take.attribute(NFULA_CFG_CMD, nfulnl_msg_config_cmd{NFULNL_CFG_CMD_BIND});
  TRY_ASSIGN(int error, ask(take));
  if (error != 0) return refused(group, error);

  const auto configure = [&]() -> Result<int> {
    const auto big = [](std::uint32_t value) { return __builtin_bswap32(value); };
    NetlinkRequest request = request_for();
    request.attribute(NFULA_CFG_MODE, nfulnl_msg_config_mode{big(options.copy_bytes), NFULNL_COPY_PACKET, 0});
    request.attribute(NFULA_CFG_NLBUFSIZ, big(std::min<std::uint32_t>(options.kernel_buffer_bytes, kMaxKernelBuffer)));
    request.attribute(NFULA_CFG_TIMEOUT, big(std::max(1u, options.timeout_ms / 10)));
    request.attribute(NFULA_CFG_QTHRESH, big(std::max(1u, options.queue_threshold)));
    const std::uint16_t flags = NFULNL_CFG_F_SEQ | (conntrack ? NFULNL_CFG_F_CONNTRACK : 0);
    request.attribute(NFULA_CFG_FLAGS, __builtin_bswap16(flags));
    return ask(request);
  };
  TRY_ASSIGN(error, configure());
  if (error == EOPNOTSUPP && conntrack) {
    conntrack = false;
    TRY_ASSIGN(error, configure());
  }
  if (error != 0) return refused(group, error);
  return {};
}

void NflogReader::State::describe(const NflogConnection& connection, const ParsedNflogPrefix& prefix,
                                  std::string_view text, model::PolicyHit& hit) {
  hit.tuple = connection.tuple;
  hit.original_dest = connection.original_dest;
  hit.original_dest_port = connection.original_dest_port;
  hit.egress = prefix.egress;
  hit.action = prefix.action;
  hit.kind = prefix.kind;
  hit.rule = prefix.rule;
  hit.packets = 0;
  hit.bytes = 0;
  const NflogRule* rule = prefix.hashed && rules != nullptr ? rules->find(text) : nullptr;
  hit.id = rule != nullptr ? std::string_view(rule->id) : prefix.id;
  // Where the name was cut before its bar, the prefix does not tell these.
  if (rule != nullptr) {
    hit.kind = rule->kind;
    hit.rule = rule->rule;
  } else if (prefix.hashed) {
    ++stats.unresolved;
  }
}

void NflogReader::State::count_lost(const NflogMessage& message) {
  const auto group = std::find(options.groups.begin(), options.groups.end(), message.group);
  if (!message.sequence || group == options.groups.end()) return;
  std::uint32_t& next = next_packet[static_cast<std::size_t>(group - options.groups.begin())];
  stats.lost += *message.sequence - next;
  next = *message.sequence + 1;
}

void NflogReader::State::add(const NflogMessage& message, std::int64_t now_ns) {
  ++stats.packets;
  ParsedNflogPrefix prefix;
  if (!parse_nflog_prefix(message.prefix, prefix)) {
    ++stats.foreign;
    return;
  }
  NflogConnection connection;
  if (!find_connection(message, decoder, scratch, connection)) {
    ++stats.not_ip;
    return;
  }
  bool made = false;
  model::PolicyHit& hit = hits[table.place(connection, message.prefix, made)];
  if (made) {
    describe(connection, prefix, message.prefix, hit);
    hit.time_ns = message.time_ns != 0 ? message.time_ns : now_ns;
    ++stats.hits;
  }
  ++hit.packets;
  hit.bytes += connection.bytes;
}

/// Adds the messages of `rest`. False: no room for more hits, `rest` is what is left.
bool NflogReader::State::read_datagram(std::int64_t now_ns) {
  NetlinkMessages messages(rest);
  NetlinkMessage message;
  NflogMessage logged;
  const std::uint8_t* end = rest.data() + rest.size();
  while (messages.next(message)) {
    if (message.type == message_type(NFULNL_MSG_PACKET)) {
      if (parse_nflog_message(message.payload, logged)) {
        count_lost(logged);
        add(logged, now_ns);
      } else {
        ++stats.unreadable;
      }
    }
    if (table.size() == kMaxHits) {
      const std::uint8_t* next = message.payload.data() + ((message.payload.size() + 3) & ~std::size_t{3});
      rest = next < end ? std::span(next, end) : std::span<const std::uint8_t>();
      return false;
    }
  }
  stats.unreadable += messages.damaged() ? 1 : 0;
  rest = {};
  return true;
}

NflogReader::NflogReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
NflogReader::~NflogReader() = default;

Result<std::unique_ptr<NflogReader>> NflogReader::create(Options options, const NflogRules* rules) {
  auto state = std::make_unique<State>();
  state->rules = rules;
  state->options = std::move(options);
  TRY_ASSIGN(state->socket, NetlinkSocket::open(state->options.receive_buffer_bytes));
  state->next_packet.resize(state->options.groups.size());
  for (const std::uint16_t group : state->options.groups) TRY(state->bind(group));
  return std::unique_ptr<NflogReader>(new NflogReader(std::move(state)));
}

int NflogReader::fd() const { return state_->socket.fd(); }

Result<NflogReader::Read> NflogReader::poll(std::int64_t now_ns) {
  State& s = *state_;
  s.table.clear();
  Read read;
  bool room = s.rest.empty() || s.read_datagram(now_ns);
  // A read ends when the queue is empty or the hits are full. The kernel sends messages faster than this for no time
  // worth speaking of, but the loop must end all the same.
  for (int datagrams = 0; room; ++datagrams) {
    constexpr int kMaxDatagrams = 16;
    read.more = datagrams == kMaxDatagrams;
    if (read.more) break;
    const Received received = s.datagram.receive(s.socket);
    if (received == Received::kNothing) break;
    if (received == Received::kOverrun) {
      ++s.stats.overruns;
      continue;
    }
    if (received == Received::kFailed) {
      return Error{ErrorCode::kUnavailable, std::string("NFLOG: ") + std::strerror(errno)};
    }
    if (s.datagram.truncated(0)) {
      ++s.stats.truncated;
      continue;
    }
    s.rest = s.datagram[0];
    room = s.read_datagram(now_ns);
  }
  read.more |= !room;
  read.hits = {s.hits.data(), s.table.size()};
  return read;
}

bool NflogReader::has_conntrack() const { return state_->conntrack; }
const NflogStats& NflogReader::stats() const { return state_->stats; }

}  // namespace weir::capture
