#include "capture/ebpf_source.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bpf/shared.h"
#include "capture/internal/bpf_ring.h"
#include "capture/internal/ebpf_objects.h"
#include "capture/internal/ebpf_sockets.h"
#include "capture/internal/tc_attachment.h"
#include "flow.skel.h"

namespace weir::capture {
namespace {

using model::FlowDelta;
using packet::PacketView;

constexpr std::uint32_t kBatch = 4096;
constexpr std::size_t kViews = 256;
/// Of the names of pinned links, before the interface's index.
constexpr std::string_view kLinkPrefix = "link-";

/// What to add to the kernel's monotonic time for Unix time.
std::int64_t unix_offset() { return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC); }

Error failed(const std::string& what, int error) {
  const bool forbidden = error == EPERM || error == EACCES;
  std::string message = "eBPF: " + what + ": " + std::strerror(error);
  if (forbidden) message += " (it takes CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)";
  const std::string detail = take_libbpf_messages();
  if (!detail.empty() && !forbidden) message += " (" + detail + ")";
  return {forbidden ? ErrorCode::kPermissionDenied : ErrorCode::kUnavailable, std::move(message)};
}

EbpfStats::Program program_stats(const bpf_program* program) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) return {};
  return {info.run_cnt, info.run_time_ns};
}

void fill(const weir_flow_key& key, const weir_flow& flow, std::int64_t offset, FlowDelta& out) {
  const std::uint32_t marks = flow.marks;
  const auto has = [marks](std::uint32_t bit) { return (marks & bit) != 0; };
  out.tuple = {IpAddress::v6(key.pod), IpAddress::v6(key.peer), key.pod_port, key.peer_port, key.protocol};
  out.packets_out = flow.packets[WEIR_OUT];
  out.packets_in = flow.packets[WEIR_IN];
  out.bytes_out = flow.bytes[WEIR_OUT];
  out.bytes_in = flow.bytes[WEIR_IN];
  out.first_ns = static_cast<std::int64_t>(flow.first_ns) + offset;
  out.newest_ns = static_cast<std::int64_t>(flow.newest_ns) + offset;
  out.first_is_out = has(WEIR_MARK_FIRST_OUT);
  out.first_is_reply = has(WEIR_MARK_FIRST_REPLY);
  out.first_flags = flow.first_flags;
  out.tcp_flags_out = static_cast<std::uint8_t>(marks >> WEIR_FLAGS_SHIFT(WEIR_OUT));
  out.tcp_flags_in = static_cast<std::uint8_t>(marks >> WEIR_FLAGS_SHIFT(WEIR_IN));
  out.syn_out = has(WEIR_MARK_SYN(WEIR_OUT));
  out.syn_in = has(WEIR_MARK_SYN(WEIR_IN));
  out.syn_ack_out = has(WEIR_MARK_SYN_ACK(WEIR_OUT));
  out.syn_ack_in = has(WEIR_MARK_SYN_ACK(WEIR_IN));
  out.unreachable = has(WEIR_MARK_UNREACHABLE);
  out.reopened = has(WEIR_MARK_REOPENED);
  const std::uint32_t rtt_us = flow.rtt_ns == 0 ? 0 : std::max<std::uint32_t>(1, flow.rtt_ns / 1000);
  out.tcp = {};
  out.tcp.smooth_rtt_us = out.tcp.min_rtt_us = rtt_us;
  out.tcp.mss = flow.mss;
  out.tcp.resets = flow.resets;
}

}  // namespace

Status EbpfOptions::validate() const {
  std::string problems;
  const auto require = [&](bool holds, const char* text) {
    if (!holds) problems += (problems.empty() ? "" : "; ") + std::string(text);
  };
  require(max_flows >= 1 && max_flows <= 1u << 24, "max_flows: 1 to 16777216");
  require(std::has_single_bit(ring_bytes) && ring_bytes >= 64u << 10 && ring_bytes <= 1u << 30,
          "ring_bytes: a power of two from 65536 to 1073741824");
  require(http_bytes <= WEIR_MAX_HTTP_BYTES, "http_bytes: 0 to 1152");
  if (problems.empty()) return {};
  return invalid_argument("ebpf: " + problems);
}

struct EbpfSource::State {
  struct Attached {
    std::uint16_t zone = 0;
    std::int64_t since_ns = 0;
    EbpfSockets::Namespace pods;
    TcAttachment out, in;
    /// Detached: rounds until all that was counted there has come.
    int rounds_left = -1;
  };

  ~State() {
    if (skeleton != nullptr) flow_programs::destroy(skeleton);
  }

  Status open();
  Status pin_maps();
  Result<TcAttachment> attach(const bpf_program* program, int interface, bool ingress);
  std::string pin_of(int interface, bool ingress) const {
    if (pin_folder.empty()) return {};
    return pin_folder + "/" + std::string(kLinkPrefix) + std::to_string(interface) + (ingress ? "-out" : "-in");
  }
  void prune_pins();
  Status begin_round();
  void end_round();
  Attached* find(std::uint32_t interface) {
    const auto at = interfaces.find(static_cast<int>(interface));
    return at == interfaces.end() ? nullptr : &at->second;
  }
  void convert(std::uint32_t count);

  EbpfOptions options;
  flow_programs* skeleton = nullptr;
  std::string pin_folder;
  bool replaced_pins = false, pruned = false;
  TcAttachment::Way way = TcAttachment::Way::kTcx;
  std::unordered_map<int, Attached> interfaces;
  /// Null: not asked.
  std::unique_ptr<EbpfSockets> sockets;
  Status sockets_status;
  BpfRing ring;
  std::array<PacketView, kViews> views;

  enum class Round : std::uint8_t { kIdle, kBatches, kDone };
  Round round = Round::kIdle;
  bool first_batch = false;
  std::uint32_t half = 0;
  std::uint32_t cursor = 0;
  std::int64_t offset_ns = 0;
  std::vector<weir_flow_key> keys;
  std::vector<weir_flow> values;
  std::vector<FlowDelta> deltas;
  EbpfStats stats;
};

EbpfSource::EbpfSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
EbpfSource::~EbpfSource() = default;

// --- Load and attach.

Status EbpfSource::State::open() {
  catch_libbpf_messages();
  take_libbpf_messages();
  skeleton = flow_programs::open();
  if (skeleton == nullptr) return failed("open the programs", errno);
  skeleton->rodata->settings.http_bytes = options.http_bytes;
  skeleton->rodata->settings.dns = options.dns ? 1 : 0;
  skeleton->rodata->settings.wake_bytes = options.ring_bytes / 4;
  bpf_map__set_max_entries(skeleton->maps.flows_a, options.max_flows);
  bpf_map__set_max_entries(skeleton->maps.flows_b, options.max_flows);
  bpf_map__set_max_entries(skeleton->maps.packets, options.ring_bytes);
  if (!options.pin_path.empty()) TRY(pin_maps());
  const int loaded = flow_programs::load(skeleton);
  if (loaded != 0) return failed("load the programs", -loaded);
  take_libbpf_messages();
  const std::uint32_t zero = 0;
  weir_control control{};
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.control), &zero, &control) != 0) {
    return failed("read the switch", errno);
  }
  half = control.half & 1;
  keys.resize(kBatch);
  values.resize(kBatch);
  deltas.resize(kBatch);
  return ring.open(bpf_map__fd(skeleton->maps.packets), options.ring_bytes);
}

/// libbpf takes a map from its pin, or pins it. Maps that do not fit, it refuses: they go first.
Status EbpfSource::State::pin_maps() {
  TRY_ASSIGN(pin_folder, open_pin_folder(options.pin_path, WEIR_BPF_LAYOUT, replaced_pins));
  const auto& maps = skeleton->maps;
  bool fits = true;
  for (bpf_map* map : {maps.flows_a, maps.flows_b, maps.control, maps.counters, maps.packets, maps.fragments}) {
    const std::string path = pin_folder + "/" + bpf_map__name(map);
    const MapShape shape{bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
                         bpf_map__max_entries(map)};
    fits &= pin_fits(path, shape);
    if (bpf_map__set_pin_path(map, path.c_str()) != 0) return failed("pin to " + path, errno);
  }
  if (fits) return {};
  replaced_pins = true;
  remove_pin_folder(pin_folder);
  TRY_ASSIGN(pin_folder, open_pin_folder(options.pin_path, WEIR_BPF_LAYOUT, replaced_pins));
  return {};
}

/// Links that an earlier run left, of interfaces that went away in between or are no longer wanted. By the end of the
/// first round all that are wanted have been attached.
void EbpfSource::State::prune_pins() {
  if (pin_folder.empty()) return;
  std::error_code error;
  std::vector<std::filesystem::path> stale;
  for (const auto& entry : std::filesystem::directory_iterator(pin_folder, error)) {
    const std::string name = entry.path().filename();
    if (name.compare(0, kLinkPrefix.size(), kLinkPrefix) != 0) continue;
    if (!interfaces.contains(std::atoi(name.c_str() + kLinkPrefix.size()))) stale.push_back(entry.path());
  }
  for (const auto& path : stale) std::filesystem::remove(path, error);
}

Result<std::unique_ptr<EbpfSource>> EbpfSource::create(EbpfOptions options) {
  TRY(options.validate());
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  if (state->options.sockets) {
    auto sockets = EbpfSockets::create({state->options.max_flows, state->options.cgroup});
    if (sockets.ok()) {
      state->sockets = std::move(sockets).value();
    } else {
      state->sockets_status = std::move(sockets).error();
    }
  }
  if (!state->options.tcx) state->way = TcAttachment::Way::kClsact;
  TRY(state->open());
  return std::unique_ptr<EbpfSource>(new EbpfSource(std::move(state)));
}

Status EbpfSource::remove_pins(const std::string& pin_path) {
  bool replaced = false;
  TRY_ASSIGN(const std::string folder, open_pin_folder(pin_path, WEIR_BPF_LAYOUT, replaced));
  remove_pin_folder(folder);
  return {};
}

Result<TcAttachment> EbpfSource::State::attach(const bpf_program* program, int interface, bool ingress) {
  const int fd = bpf_program__fd(program);
  auto attached = TcAttachment::attach(fd, interface, ingress, way, pin_of(interface, ingress));
  if (!attached.ok() && attached.error().code == ErrorCode::kUnsupported) {
    way = TcAttachment::Way::kClsact;
    attached = TcAttachment::attach(fd, interface, ingress, way, {});
  }
  take_libbpf_messages();
  return attached;
}

Status EbpfSource::attach(const PodInterface& interface) {
  State::Attached attached;
  attached.zone = interface.zone;
  attached.since_ns = interface.since_ns;
  // What enters the node at its half of the pair was sent by the pod.
  TRY_ASSIGN(attached.out, state_->attach(state_->skeleton->progs.weir_from_pod, interface.index, true));
  TRY_ASSIGN(attached.in, state_->attach(state_->skeleton->progs.weir_to_pod, interface.index, false));
  state_->interfaces.insert_or_assign(interface.index, std::move(attached));
  return {};
}

void EbpfSource::detach(const PodInterface& interface) {
  const auto at = state_->interfaces.find(interface.index);
  if (at == state_->interfaces.end()) return;
  at->second.out.detach();
  at->second.in.detach();
  // One that is under way may not see the half that was counted into last.
  at->second.rounds_left = 2;
}

const char* EbpfSource::attachment() const { return state_->way == TcAttachment::Way::kTcx ? "tcx" : "clsact"; }
const Status& EbpfSource::sockets_status() const { return state_->sockets_status; }
bool EbpfSource::replaced_pins() const { return state_->replaced_pins; }

// --- Connections.

/// Turns the switch, and waits until nobody counts into the half that is to be drained.
Status EbpfSource::State::begin_round() {
  const std::uint32_t zero = 0;
  const weir_control control{half ^ 1};
  if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.control), &zero, &control, BPF_ANY) != 0) {
    return failed("turn the switch", errno);
  }
  if (sockets != nullptr) TRY(sockets->turn());
  wait_for_programs();
  if (sockets != nullptr) TRY(sockets->drain());
  offset_ns = unix_offset();
  round = Round::kBatches;
  first_batch = true;
  return {};
}

void EbpfSource::State::end_round() {
  round = Round::kDone;
  half ^= 1;
  ++stats.drains;
  if (!std::exchange(pruned, true)) prune_pins();
  for (auto at = interfaces.begin(); at != interfaces.end();) {
    const bool gone = at->second.rounds_left > 0 && --at->second.rounds_left == 0;
    at = gone ? interfaces.erase(at) : std::next(at);
  }
}

void EbpfSource::State::convert(std::uint32_t count) {
  deltas.clear();
  std::uint32_t newest_interface = 0;
  Attached* attached = nullptr;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (attached == nullptr || keys[i].ifindex != newest_interface) attached = find(keys[i].ifindex);
    newest_interface = keys[i].ifindex;
    if (attached == nullptr) {
      ++stats.unknown_interface_flows;
      stats.unknown_interface.packets += values[i].packets[0] + values[i].packets[1];
      stats.unknown_interface.bytes += values[i].bytes[0] + values[i].bytes[1];
      continue;
    }
    FlowDelta& delta = deltas.emplace_back();
    delta.zone = attached->zone;
    delta.interface_since_ns = attached->since_ns;
    fill(keys[i], values[i], offset_ns, delta);
    if (sockets != nullptr) sockets->join(keys[i], attached->pods, delta);
  }
  stats.drained_flows += count;
}

Result<std::span<const FlowDelta>> EbpfSource::drain() {
  State& s = *state_;
  if (s.round == State::Round::kIdle) TRY(s.begin_round());
  const int fd = bpf_map__fd(s.half == 0 ? s.skeleton->maps.flows_a : s.skeleton->maps.flows_b);
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  while (s.round == State::Round::kBatches) {
    std::uint32_t count = kBatch;
    const int error = bpf_map_lookup_and_delete_batch(fd, s.first_batch ? nullptr : &s.cursor, &s.cursor, s.keys.data(),
                                                      s.values.data(), &count, &options);
    s.first_batch = false;
    if (error != 0 && error != -ENOENT) {
      s.end_round();
      s.round = State::Round::kIdle;
      return failed("drain the flow map", -error);
    }
    s.convert(count);
    if (error == -ENOENT) s.end_round();
    if (!s.deltas.empty()) return std::span<const FlowDelta>(s.deltas);
  }
  s.round = State::Round::kIdle;
  return std::span<const FlowDelta>{};
}

// --- Frames.

int EbpfSource::fd() const { return bpf_map__fd(state_->skeleton->maps.packets); }

std::span<const PacketView> EbpfSource::packets() {
  State& s = *state_;
  s.ring.release();
  const std::int64_t offset = unix_offset();
  std::size_t count = 0;
  while (count < kViews) {
    const std::span<const std::uint8_t> record = s.ring.next();
    if (record.empty()) break;
    weir_packet head;
    std::memcpy(&head, record.data(), sizeof(head));
    const State::Attached* attached = s.find(head.ifindex);
    // Its interface went away while no agent ran.
    if (attached == nullptr) continue;
    PacketView& view = s.views[count++];
    view.data = record.data() + sizeof(head);
    view.captured_bytes = head.captured_bytes;
    view.wire_bytes = head.wire_bytes;
    view.time_ns = static_cast<std::int64_t>(head.time_ns) + offset;
    view.zone = attached->zone;
    view.from_pod = head.side == WEIR_OUT;
  }
  return {s.views.data(), count};
}

// --- Figures.

EbpfStats EbpfSource::stats() const {
  EbpfStats stats = state_->stats;
  const auto cpus = static_cast<std::size_t>(std::max(1, libbpf_num_possible_cpus()));
  std::vector<weir_counters> counters(cpus);
  const std::uint32_t zero = 0;
  if (bpf_map_lookup_elem(bpf_map__fd(state_->skeleton->maps.counters), &zero, counters.data()) == 0) {
    for (const weir_counters& c : counters) {
      stats.flows += c.flows;
      stats.lost_full.packets += c.lost_packets[WEIR_LOST_FULL];
      stats.lost_full.bytes += c.lost_bytes[WEIR_LOST_FULL];
      stats.lost_busy.packets += c.lost_packets[WEIR_LOST_BUSY];
      stats.lost_busy.bytes += c.lost_bytes[WEIR_LOST_BUSY];
      stats.not_ip += c.not_ip;
      stats.truncated += c.truncated;
      stats.malformed += c.malformed;
      stats.orphan_fragments += c.orphan_fragments;
      stats.dns_frames += c.sent[WEIR_DNS];
      stats.dns_dropped += c.dropped[WEIR_DNS];
      stats.http_frames += c.sent[WEIR_HTTP];
      stats.http_dropped += c.dropped[WEIR_HTTP];
    }
  }
  stats.from_pod = program_stats(state_->skeleton->progs.weir_from_pod);
  stats.to_pod = program_stats(state_->skeleton->progs.weir_to_pod);
  if (state_->sockets != nullptr) {
    const EbpfSockets::Stats sockets = state_->sockets->stats();
    stats.socket_samples = sockets.samples;
    stats.socket_samples_lost = sockets.lost_full;
    stats.socket_joined = sockets.joined;
  }
  return stats;
}

}  // namespace weir::capture
