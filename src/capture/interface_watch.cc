#include "capture/interface_watch.h"

#include <fnmatch.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace weir::capture {
namespace {

/// Room for some hundred notifications; pods come in bursts when a node starts.
constexpr int kReceiveBytes = 1 << 20;
/// What the kernel fills at most in one read of a dump.
constexpr std::size_t kReadBytes = 32 * 1024;
constexpr std::uint32_t kMaxZone = 0xFFFF;

Error netlink_error(const char* what, int code) {
  const ErrorCode kind = code == EPERM || code == EACCES ? ErrorCode::kPermissionDenied : ErrorCode::kUnavailable;
  return {kind, std::string("watch network interfaces: ") + what + ": " + std::strerror(code)};
}

/// What we read of a link message.
struct Link {
  int index = 0;
  std::string_view name;
  /// Empty if the message does not say.
  std::string_view kind;
};

std::string_view text_of(const nlattr* attribute) {
  const auto* text = static_cast<const char*>(mnl_attr_get_payload(attribute));
  return {text, strnlen(text, mnl_attr_get_payload_len(attribute))};
}

/// Calls take(attribute) for each of a run of attributes; the macros of libmnl do not convert as we ask for.
template <typename Take>
void for_each_attribute(const void* begin, const void* end, Take&& take) {
  const auto left = [&](const nlattr* at) {
    return static_cast<int>(static_cast<const char*>(end) - reinterpret_cast<const char*>(at));
  };
  for (auto* at = static_cast<const nlattr*>(begin); mnl_attr_ok(at, left(at)); at = mnl_attr_next(at)) take(at);
}

/// False for what is no message about an interface as such: a bridge tells of its ports by messages of its own family,
/// among them RTM_DELLINK for a port that leaves it.
bool read_link(const nlmsghdr* message, Link& out) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(ifinfomsg)) return false;
  const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  if (info->ifi_family != AF_UNSPEC) return false;
  out.index = info->ifi_index;
  const auto take_info = [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) out.kind = text_of(attribute);
  };
  const auto take = [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_IFNAME) out.name = text_of(attribute);
    if (mnl_attr_get_type(attribute) != IFLA_LINKINFO) return;
    const auto* nested = static_cast<const char*>(mnl_attr_get_payload(attribute));
    for_each_attribute(nested, nested + mnl_attr_get_payload_len(attribute), take_info);
  };
  for_each_attribute(mnl_nlmsg_get_payload_offset(message, sizeof(ifinfomsg)), mnl_nlmsg_get_payload_tail(message),
                     take);
  return true;
}

}  // namespace

struct InterfaceWatch::State {
  struct Known {
    PodInterface interface;
    /// Dump in which, or after whose start, it was seen last.
    std::uint64_t dump = 0;
  };

  explicit State(Options o) : options(std::move(o)), buffer(kReadBytes) {}
  ~State() {
    if (socket != nullptr) mnl_socket_close(socket);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Status request_dump();
  Status on_message(const nlmsghdr* message);
  Status on_link(const Link& link);
  void on_gone(int index);
  void end_dump();
  bool is_pods(const Link& link) const;
  /// 0: all are taken.
  std::uint16_t take_zone();

  Options options;
  mnl_socket* socket = nullptr;
  std::vector<char> buffer;
  std::map<int, Known> known;
  /// Not told yet: poll() may fail before it gets to that.
  Changes changes;
  std::uint32_t next_zone = 1;
  /// The longest unused first: a zone should stay unused for as long as possible.
  std::deque<std::uint16_t> returned_zones;
  /// Number of the dump under way or the last one.
  std::uint64_t dump = 0;
  bool dumping = false;
  /// A dump was complete: we know what was there before us.
  bool listed = false;
  /// Something was lost since the dump under way began.
  bool dump_again = false;
  std::uint64_t overruns = 0;
};

InterfaceWatch::InterfaceWatch(std::unique_ptr<State> state) : state_(std::move(state)) {}
InterfaceWatch::~InterfaceWatch() = default;

int InterfaceWatch::fd() const { return mnl_socket_get_fd(state_->socket); }
std::uint64_t InterfaceWatch::overruns() const { return state_->overruns; }

Result<std::unique_ptr<InterfaceWatch>> InterfaceWatch::create(Options options) {
  auto state = std::make_unique<State>(std::move(options));
  state->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (state->socket == nullptr) return netlink_error("open a netlink socket", errno);
  // Larger than the limit for everybody needs a privilege; without it, a smaller buffer means more dumps.
  const int fd = mnl_socket_get_fd(state->socket);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof kReceiveBytes) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof kReceiveBytes);
  // First the notifications, then the dump: what appears in between is told twice, and not missed.
  if (mnl_socket_bind(state->socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0)
    return netlink_error("subscribe to their changes", errno);
  TRY(state->request_dump());
  return std::unique_ptr<InterfaceWatch>(new InterfaceWatch(std::move(state)));
}

Result<InterfaceWatch::Changes> InterfaceWatch::poll() {
  constexpr int kMaxRequests = 8;
  State& s = *state_;
  int requests = 0;
  while (true) {
    const ssize_t bytes = mnl_socket_recvfrom(s.socket, s.buffer.data(), s.buffer.size());
    if (bytes < 0) {
      if (errno == EINTR) continue;
      if (errno == ENOBUFS) {
        ++s.overruns;
        s.dump_again = true;
        continue;
      }
      if (errno != EAGAIN && errno != EWOULDBLOCK) return netlink_error("read their changes", errno);
      // Not before the buffer is empty: the kernel would have no room for the dump's begin. A dump that ran out of room
      // goes on when something is read; the request makes it so, and its answer is "busy".
      if (!s.dump_again || requests == kMaxRequests) return std::exchange(s.changes, {});
      TRY(s.request_dump());
      ++requests;
      continue;
    }
    int left = static_cast<int>(bytes);
    for (auto* message = reinterpret_cast<const nlmsghdr*>(s.buffer.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      TRY(s.on_message(message));
    }
  }
}

Status InterfaceWatch::State::request_dump() {
  std::array<char, 256> request{};
  nlmsghdr* header = mnl_nlmsg_put_header(request.data());
  header->nlmsg_type = RTM_GETLINK;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = static_cast<std::uint32_t>(++dump);
  auto* info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg)));
  info->ifi_family = AF_UNSPEC;
  mnl_attr_put_u32(header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0) return netlink_error("ask for all", errno);
  dumping = true;
  dump_again = false;
  return {};
}

Status InterfaceWatch::State::on_message(const nlmsghdr* message) {
  // The kernel says so if interfaces came or went between two parts of the dump.
  const bool of_dump = message->nlmsg_seq != 0 && message->nlmsg_seq == static_cast<std::uint32_t>(dump);
  if (of_dump && (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) dump_again = true;
  Link link;
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
      return read_link(message, link) ? on_link(link) : Status();
    case RTM_DELLINK:
      if (read_link(message, link)) on_gone(link.index);
      return {};
    case NLMSG_DONE:
      if (!of_dump || !dumping) return {};
      dumping = false;
      if (!dump_again) end_dump();
      return {};
    case NLMSG_ERROR: {
      const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
      if (mnl_nlmsg_get_payload_len(message) < sizeof(nlmsgerr) || error->error == 0) return {};
      dumping = false;
      dump_again = true;
      if (error->error == -EBUSY || error->error == -ENOBUFS) return {};
      return netlink_error("list all", -error->error);
    }
    default:
      return {};
  }
}

Status InterfaceWatch::State::on_link(const Link& link) {
  const auto found = known.find(link.index);
  if (found != known.end()) {
    if (found->second.interface.name == link.name) {
      found->second.dump = dump;
      return {};
    }
    // A new name is a new interface to those who go by names; it keeps nothing of the old one.
    on_gone(link.index);
  }
  if (!is_pods(link)) return {};
  const std::uint16_t zone = take_zone();
  if (zone == 0)
    return Error{ErrorCode::kResourceExhausted,
                 "watch network interfaces: " + std::string(link.name) + " is one more than 65,535 at once"};
  const std::int64_t since_ns = listed ? clock_ns(CLOCK_REALTIME) : 0;
  PodInterface interface { zone, link.index, std::string(link.name), since_ns };
  changes.added.push_back(interface);
  known[link.index] = {std::move(interface), dump};
  return {};
}

void InterfaceWatch::State::on_gone(int index) {
  const auto found = known.find(index);
  if (found == known.end()) return;
  const std::uint16_t zone = found->second.interface.zone;
  // Come and gone within one poll(): nobody has heard of it.
  const bool told = std::erase_if(changes.added, [&](const PodInterface& i) { return i.zone == zone; }) == 0;
  if (told) changes.removed.push_back(std::move(found->second.interface));
  returned_zones.push_back(zone);
  known.erase(found);
}

/// What the dump did not list is gone.
void InterfaceWatch::State::end_dump() {
  listed = true;
  std::vector<int> gone;
  for (const auto& [index, entry] : known) {
    if (entry.dump != dump) gone.push_back(index);
  }
  for (const int index : gone) on_gone(index);
}

bool InterfaceWatch::State::is_pods(const Link& link) const {
  if (link.name.empty() || (!options.any_kind && link.kind != "veth")) return false;
  const std::string name(link.name);
  return std::any_of(options.names.begin(), options.names.end(),
                     [&](const std::string& pattern) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; });
}

std::uint16_t InterfaceWatch::State::take_zone() {
  if (next_zone <= kMaxZone) return static_cast<std::uint16_t>(next_zone++);
  if (returned_zones.empty()) return 0;
  const std::uint16_t zone = returned_zones.front();
  returned_zones.pop_front();
  return zone;
}

}  // namespace weir::capture
