#include "capture/internal/packet_ring.h"

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "capture/af_packet.h"
#include "capture/internal/packet_filter.h"
#include "capture/internal/record.h"

namespace weir::capture {
namespace {

constexpr std::uint16_t kLinkTypeEthernet = 1, kLinkTypeRaw = 101;

Error ring_error(const PodInterface& interface, const char* what, int code) {
  ErrorCode kind = ErrorCode::kUnavailable;
  std::string hint;
  if (code == EPERM || code == EACCES) {
    kind = ErrorCode::kPermissionDenied;
    hint = " (it takes CAP_NET_RAW)";
  } else if (code == ENODEV || code == ENXIO) {
    kind = ErrorCode::kNotFound;
  } else if (code == ENOMEM) {
    kind = ErrorCode::kResourceExhausted;
  }
  return {kind, "capture at " + interface.name + ": " + what + ": " + std::strerror(code) + hint};
}

/// 0: its frames do not begin with Ethernet or IP.
std::uint16_t link_type_of(unsigned short hardware) {
  switch (hardware) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      return kLinkTypeEthernet;
    case ARPHRD_NONE:
    case ARPHRD_RAWIP:
    case ARPHRD_PPP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
      return kLinkTypeRaw;
    default:
      return 0;
  }
}

bool ours(const tpacket_block_desc* block) {
  return (__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0;
}

template <typename T>
bool set_option(int fd, int level, int option, const T& value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

}  // namespace

Result<std::unique_ptr<PacketRing>> PacketRing::open(const PodInterface& interface, const AfPacketOptions& options) {
  std::unique_ptr<PacketRing> ring(new PacketRing());
  ring->interface_ = interface;
  TRY(ring->set_up(options));
  return ring;
}

PacketRing::~PacketRing() {
  if (ring_ != nullptr) munmap(ring_, ring_bytes_);
  if (fd_ >= 0) close(fd_);
}

Status PacketRing::set_up(const AfPacketOptions& options) {
  // Without a protocol it captures nothing: a socket that is not bound yet would take from every interface.
  fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return ring_error(interface_, "open a packet socket", errno);
  if (!set_option(fd_, SOL_PACKET, PACKET_VERSION, int{TPACKET_V3}))
    return ring_error(interface_, "ask for TPACKET_V3", errno);
  constexpr std::uint32_t kFrameBytes = 2048;
  tpacket_req3 request{};
  request.tp_block_size = options.block_bytes;
  request.tp_block_nr = options.ring_bytes / options.block_bytes;
  request.tp_frame_size = kFrameBytes;
  request.tp_frame_nr = options.block_bytes / kFrameBytes * request.tp_block_nr;
  request.tp_retire_blk_tov = options.block_timeout_ms;
  if (!set_option(fd_, SOL_PACKET, PACKET_RX_RING, request)) return ring_error(interface_, "make its ring", errno);
  ring_bytes_ = options.ring_bytes;
  block_bytes_ = options.block_bytes;
  void* mapped = mmap(nullptr, ring_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (mapped == MAP_FAILED) return ring_error(interface_, "map its ring", errno);
  ring_ = static_cast<std::uint8_t*>(mapped);

  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = interface_.index;
  // Still without a protocol: to learn what the interface is, and to have the filter in place before the first packet.
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return ring_error(interface_, "bind to it", errno);
  socklen_t size = sizeof address;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return ring_error(interface_, "ask for its type", errno);
  link_type_ = link_type_of(address.sll_hatype);
  if (link_type_ == 0)
    return Error{ErrorCode::kUnsupported, "capture at " + interface_.name + ": hardware type " +
                                              std::to_string(address.sll_hatype) + " is neither Ethernet nor IP"};
  // Until it has joined its group, it would get what the others have too.
  if (options.fanout_group == 0)
    TRY(attach_filter(options));
  else
    stop();
  address.sll_protocol = htons(ETH_P_ALL);
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return ring_error(interface_, "bind to it", errno);
  if (options.fanout_group == 0) return {};
  // The sockets of a group are all at one interface.
  const auto group = static_cast<std::uint16_t>(options.fanout_group + static_cast<std::uint32_t>(interface_.index));
  if (!set_option(fd_, SOL_PACKET, PACKET_FANOUT, int{group} | (PACKET_FANOUT_HASH << 16)))
    return ring_error(interface_, ("join fanout group " + std::to_string(group)).c_str(), errno);
  return attach_filter(options);
}

Status PacketRing::attach_filter(const AfPacketOptions& options) const {
  const bool ethernet = link_type_ == kLinkTypeEthernet;
  auto heads = snap_filter(options.snap_bytes, options.dns_snap_bytes);
  auto payloads = payload_filter(ethernet ? 14 : 0, options.snap_bytes, options.dns_snap_bytes);
  sock_filter all{BPF_RET | BPF_K, 0, 0, options.snap_bytes};
  sock_fprog program{1, &all};
  if (ethernet) program = {static_cast<unsigned short>(heads.size()), heads.data()};
  if (options.payloads_only) program = {static_cast<unsigned short>(payloads.size()), payloads.data()};
  if (!set_option(fd_, SOL_SOCKET, SO_ATTACH_FILTER, program)) return ring_error(interface_, "attach a filter", errno);
  return {};
}

void PacketRing::stop() {
  sock_filter none{BPF_RET | BPF_K, 0, 0, 0};
  // If that fails, more packets come; they count as captured before.
  set_option(fd_, SOL_SOCKET, SO_ATTACH_FILTER, sock_fprog{1, &none});
}

void PacketRing::clear_error() const {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
}

PacketRing::KernelStats PacketRing::take_stats() {
  tpacket_stats_v3 stats{};
  socklen_t size = sizeof stats;
  if (getsockopt(fd_, SOL_PACKET, PACKET_STATISTICS, &stats, &size) != 0) return {};
  // Its count of packets has the dropped ones in it.
  const std::uint32_t kept = stats.tp_packets - stats.tp_drops;
  in_ring_ += kept;
  return {kept, stats.tp_drops, stats.tp_freeze_q_cnt};
}

void PacketRing::enter_block(Block* block) {
  left_ = block->hdr.bh1.num_pkts;
  at_ = block_at_ + block->hdr.bh1.offset_to_first_pkt;
  prefetched_ = at_;
}

std::size_t PacketRing::read(std::span<packet::PacketView> out, Block*& spent) {
  spent = nullptr;
  auto* block = reinterpret_cast<Block*>(ring_ + block_at_);
  if (left_ == 0) {
    if (!ours(block)) return 0;
    enter_block(block);
  }
  const std::span<const std::uint8_t> bytes(ring_, block_at_ + block->hdr.bh1.blk_len);
  std::size_t count = 0;
  for (; count < out.size() && left_ > 0; ++count, --left_) {
    prefetched_ = prefetch(bytes, at_, prefetched_);
    const auto* header = reinterpret_cast<const tpacket3_hdr*>(ring_ + at_);
    fill(*header, out[count]);
    at_ += header->tp_next_offset;
  }
  read_ += count;
  if (left_ == 0) {
    spent = block;
    block_at_ = block_at_ + block_bytes_ == ring_bytes_ ? 0 : block_at_ + block_bytes_;
  }
  return count;
}

void PacketRing::fill(const tpacket3_hdr& header, packet::PacketView& view) const {
  const auto* begin = reinterpret_cast<const std::uint8_t*>(&header);
  const auto* address = reinterpret_cast<const sockaddr_ll*>(begin + TPACKET_ALIGN(sizeof(tpacket3_hdr)));
  view.data = begin + header.tp_mac;
  view.captured_bytes = header.tp_snaplen;
  view.wire_bytes = header.tp_len;
  view.time_ns = std::int64_t{header.tp_sec} * 1'000'000'000 + header.tp_nsec;
  view.link_type = link_type_;
  view.zone = interface_.zone;
  // What leaves the host through the interface goes to the pod.
  view.from_pod = address->sll_pkttype != PACKET_OUTGOING;
}

void PacketRing::release(Block* block) {
  __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

}  // namespace weir::capture
