#include "capture/internal/ebpf_sockets.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "capture/internal/ebpf_objects.h"
#include "model/connection.h"
#include "sock.skel.h"

namespace weir::capture {
namespace {

constexpr std::uint32_t kBatch = 4096;

Result<std::string> find_cgroup_root() {
  std::ifstream mounts("/proc/mounts");
  std::string line;
  while (std::getline(mounts, line)) {
    std::istringstream fields(line);
    std::string device, folder, type;
    fields >> device >> folder >> type;
    if (type == "cgroup2") return folder;
  }
  return Error{ErrorCode::kUnsupported, "eBPF sockets: no cgroup2 hierarchy is mounted (/proc/mounts)"};
}

/// Of this thread's network namespace; 0: the kernel does not tell.
std::uint64_t own_netns_cookie() {
  constexpr int kSoNetnsCookie = 71;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  std::uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  if (fd >= 0) {
    if (getsockopt(fd, SOL_SOCKET, kSoNetnsCookie, &cookie, &size) != 0) cookie = 0;
    close(fd);
  }
  return cookie;
}

Error failed(const std::string& what, int error) {
  std::string message = "eBPF sockets: " + what + ": " + std::strerror(error);
  if (const std::string detail = take_libbpf_messages(); !detail.empty()) message += " (" + detail + ")";
  return {error == EPERM || error == EACCES ? ErrorCode::kPermissionDenied : ErrorCode::kUnavailable,
          std::move(message)};
}

}  // namespace

Result<std::unique_ptr<EbpfSockets>> EbpfSockets::create(Options options) {
  std::unique_ptr<EbpfSockets> sockets(new EbpfSockets());
  TRY(sockets->open(options));
  return sockets;
}

EbpfSockets::~EbpfSockets() {
  if (programs_ != nullptr) sock_programs::destroy(programs_);
}

Status EbpfSockets::open(const Options& options) {
  catch_libbpf_messages();
  take_libbpf_messages();
  std::string folder = options.cgroup;
  if (folder.empty()) {
    TRY_ASSIGN(folder, find_cgroup_root());
  }
  programs_ = sock_programs::open();
  if (programs_ == nullptr) return failed("open the programs", errno);
  if (options.skip_own_namespace) programs_->rodata->socket_settings.skip_netns_cookie = own_netns_cookie();
  bpf_map__set_max_entries(programs_->maps.sockets_a, options.max_sockets);
  bpf_map__set_max_entries(programs_->maps.sockets_b, options.max_sockets);
  if (const int error = sock_programs::load(programs_); error != 0) return failed("load the programs", -error);
  const int cgroup = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (cgroup < 0) return failed("open the cgroup " + folder, errno);
  int error = 0;
  const auto attach = [&](bpf_program* program, bpf_link** link) {
    if (error != 0) return;
    *link = bpf_program__attach_cgroup(program, cgroup);
    if (*link == nullptr) error = errno;
  };
  attach(programs_->progs.weir_sock_ops, &programs_->links.weir_sock_ops);
  attach(programs_->progs.weir_connect4, &programs_->links.weir_connect4);
  attach(programs_->progs.weir_connect6, &programs_->links.weir_connect6);
  attach(programs_->progs.weir_bind4, &programs_->links.weir_bind4);
  attach(programs_->progs.weir_bind6, &programs_->links.weir_bind6);
  close(cgroup);
  if (error != 0) return failed("attach to the cgroup " + folder, error);
  keys_.resize(kBatch);
  values_.resize(kBatch);
  return {};
}

Status EbpfSockets::turn() {
  const std::uint32_t zero = 0;
  const weir_control control{half_ ^ 1};
  if (bpf_map_update_elem(bpf_map__fd(programs_->maps.socket_control), &zero, &control, BPF_ANY) != 0)
    return failed("turn the switch", errno);
  return {};
}

Status EbpfSockets::drain() {
  const int fd = bpf_map__fd(half_ == 0 ? programs_->maps.sockets_a : programs_->maps.sockets_b);
  half_ ^= 1;
  sockets_.clear();
  by_ends_.clear();
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  std::uint32_t cursor = 0;
  for (bool first = true;; first = false) {
    std::uint32_t count = kBatch;
    const int error = bpf_map_lookup_and_delete_batch(fd, first ? nullptr : &cursor, &cursor, keys_.data(),
                                                      values_.data(), &count, &options);
    if (error != 0 && error != -ENOENT) return failed("drain the map", -error);
    for (std::uint32_t i = 0; i < count; ++i) {
      Ends ends;
      std::memcpy(ends.bytes, keys_[i].local, sizeof(ends.bytes));
      std::uint32_t& head = by_ends_[ends];
      sockets_.push_back({keys_[i].netns_cookie, values_[i], head});
      head = static_cast<std::uint32_t>(sockets_.size());
    }
    stats_.drained += count;
    if (error == -ENOENT) return {};
  }
}

/// The socket of the interface's pod among those with the same ends; null: it cannot be told.
const EbpfSockets::Socket* EbpfSockets::choose(std::uint32_t first, Namespace& pods) const {
  constexpr std::uint32_t kMostVotes = 16;
  const Socket* only = &sockets_[first - 1];
  if (only->next != 0) {
    for (std::uint32_t at = first; at != 0; at = sockets_[at - 1].next) {
      if (pods.votes != 0 && sockets_[at - 1].cookie == pods.cookie) return &sockets_[at - 1];
    }
    return nullptr;
  }
  if (pods.votes == 0) pods.cookie = only->cookie;
  if (pods.cookie == only->cookie) {
    pods.votes = std::min(pods.votes + 1, kMostVotes);
    return only;
  }
  --pods.votes;
  return nullptr;
}

void EbpfSockets::join(const weir_flow_key& key, Namespace& pods, model::FlowDelta& delta) {
  if (key.protocol != model::kProtoTcp || sockets_.empty()) return;
  Ends ends;
  static_assert(offsetof(weir_flow_key, peer_port) - offsetof(weir_flow_key, pod) + 2 == sizeof(ends.bytes));
  static_assert(offsetof(weir_socket_key, remote_port) - offsetof(weir_socket_key, local) + 2 == sizeof(ends.bytes));
  std::memcpy(ends.bytes, key.pod, sizeof(ends.bytes));
  const auto found = by_ends_.find(ends);
  if (found == by_ends_.end()) return;
  const Socket* socket = choose(found->second, pods);
  if (socket == nullptr) return;
  ++stats_.joined;
  const weir_socket& figures = socket->figures;
  model::TcpSample& tcp = delta.tcp;
  if (figures.smooth_rtt_us != 0) tcp.smooth_rtt_us = figures.smooth_rtt_us;
  if (figures.min_rtt_us != 0) tcp.min_rtt_us = figures.min_rtt_us;
  // The handshake's, if it was seen.
  if (tcp.mss == 0) tcp.mss = static_cast<std::uint16_t>(std::min(figures.mss, 65'535u));
  tcp.congestion_window = figures.congestion_window;
  tcp.min_congestion_window = figures.min_congestion_window;
  tcp.retransmissions = figures.retransmissions;
  tcp.lost = figures.lost;
  tcp.timeouts = figures.timeouts;
  delta.process_id = figures.process_id;
  std::memcpy(delta.process_name.data(), figures.process_name, sizeof(figures.process_name));
}

EbpfSockets::Stats EbpfSockets::stats() const {
  Stats stats = stats_;
  std::vector<weir_socket_counters> counters(static_cast<std::size_t>(std::max(1, libbpf_num_possible_cpus())));
  const std::uint32_t zero = 0;
  if (bpf_map_lookup_elem(bpf_map__fd(programs_->maps.socket_counters), &zero, counters.data()) == 0) {
    for (const weir_socket_counters& c : counters) {
      stats.samples += c.samples;
      stats.lost_full += c.lost_full;
    }
  }
  return stats;
}

}  // namespace weir::capture
