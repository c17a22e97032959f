// ebpf_cost [--packets N] [--rounds N] [--seconds N]
//
// What the kernel programs cost, in network namespaces of its own: nanoseconds a run by the kernel's own statistics
// (kernel.bpf_stats_enabled), over those of an empty program and beside those of the simplest counter in the same
// round, with 1, 1,000 and 60,000 connections in random order; the drain of 60,000 connections; and, if iperf3 is
// there, TCP throughput through the pod's interface with and without metering, offloads off, both ends pinned. Medians
// of the rounds. Needs root.

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "arguments.h"
#include "capture/ebpf_source.h"
#include "capture/internal/tc_attachment.h"
#include "simple_counter.skel.h"

namespace weir::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "ebpf_cost: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int open_namespace() { return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC); }

/// A new network namespace without a name; it goes with this process. The thread stays where it is.
int make_namespace(int home) {
  if (unshare(CLONE_NEWNET) != 0) die("make a network namespace (are you root?)");
  const int made = open_namespace();
  if (setns(home, CLONE_NEWNET) != 0) die("go back");
  return made;
}

void enter(int ns) {
  if (setns(ns, CLONE_NEWNET) != 0) die("enter a network namespace");
}

void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) {
    std::fprintf(stderr, "ebpf_cost: failed: %s\n", command.c_str());
    std::exit(1);
  }
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) die("pin to a CPU");
}

/// Sends UDP frames from the pod's end; what they cost to make is not measured.
class Sender {
 public:
  explicit Sender(int interface) {
    fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = interface;
    if (fd_ < 0 || bind(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) die("open a packet socket");
    for (std::size_t i = 0; i < kBatch; ++i) {
      auto& frame = frames_[i];
      // To nobody's MAC address: the node drops it right behind the program.
      frame = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 66, 0, 1, 0, 0, 64, 17, 0, 0, 10, 7, 0, 2};
      frame[34 + 5] = 46;
      parts_[i] = {frame.data(), frame.size()};
      messages_[i] = {};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  ~Sender() { close(fd_); }

  template <typename Next>
  void send(std::uint64_t packets, Next&& next) {
    while (packets > 0) {
      const auto count = static_cast<unsigned>(std::min<std::uint64_t>(packets, kBatch));
      for (unsigned i = 0; i < count; ++i) {
        const std::uint32_t flow = next();
        auto& frame = frames_[i];
        frame[30] = 10;
        frame[31] = static_cast<std::uint8_t>(flow >> 16);
        frame[32] = static_cast<std::uint8_t>(flow >> 8);
        frame[33] = static_cast<std::uint8_t>(flow);
        frame[34] = 0x80;
        frame[36] = 0x40;
      }
      if (sendmmsg(fd_, messages_.data(), count, 0) != static_cast<int>(count)) die("send");
      packets -= count;
    }
  }

 private:
  static constexpr std::size_t kBatch = 64;
  int fd_ = -1;
  std::array<std::array<std::uint8_t, 80>, kBatch> frames_{};
  std::array<iovec, kBatch> parts_{};
  std::array<mmsghdr, kBatch> messages_{};
};

capture::EbpfStats::Program program_stats(int fd) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) die("read a program's statistics");
  return {info.run_cnt, info.run_time_ns};
}

double per_run(const capture::EbpfStats::Program& before, const capture::EbpfStats::Program& after) {
  return static_cast<double>(after.run_ns - before.run_ns) / static_cast<double>(after.runs - before.runs);
}

struct Bench {
  int home = open_namespace();
  int node = make_namespace(home), pod = make_namespace(home);
  capture::PodInterface interface;
  int pod_interface = 0;
  std::uint64_t packets = 0;
  int rounds = 5;

  void make_network() {
    const std::string pod_path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(pod);
    enter(node);
    shell("ip link set lo up && ip link add cali1 type veth peer name eth0 netns " + pod_path +
          " && ip addr add 10.7.0.1/24 dev cali1 && ip link set cali1 up");
    interface.zone = 1;
    interface.index = static_cast<int>(if_nametoindex("cali1"));
    enter(pod);
    shell("ip link set lo up && ip addr add 10.7.0.2/24 dev eth0 && ip link set eth0 up");
    pod_interface = static_cast<int>(if_nametoindex("eth0"));
    enter(home);
  }

  std::unique_ptr<capture::EbpfSource> source(std::uint32_t max_flows) const {
    enter(node);
    capture::EbpfOptions options;
    options.max_flows = max_flows;
    auto made = capture::EbpfSource::create(options);
    if (!made.ok() || !made.value()->attach(interface).ok()) {
      std::fprintf(stderr, "ebpf_cost: %s\n", made.ok() ? "cannot attach" : made.error().message.c_str());
      std::exit(1);
    }
    enter(home);
    return std::move(made).value();
  }

  Sender sender() const {
    enter(pod);
    Sender made(pod_interface);
    enter(home);
    return made;
  }

  /// Of a program that is attached as the source attaches its own, while `flows` connections speak at random.
  double peer_ns(int fd, std::uint32_t flows) const {
    enter(node);
    auto attached =
        capture::TcAttachment::attach(fd, interface.index, true, capture::TcAttachment::Way::kTcx, std::string());
    if (!attached.ok()) die(attached.error().message);
    enter(home);
    Sender from = sender();
    std::uint32_t next = 0;
    from.send(flows, [&] { return next++; });
    const auto before = program_stats(fd);
    std::minstd_rand random(7);
    from.send(packets, [&] { return static_cast<std::uint32_t>(random() % flows); });
    const double ns = per_run(before, program_stats(fd));
    attached.value().detach();
    return ns;
  }

  double empty_ns() const {
    const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
                             {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    const int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "Apache-2.0", code, 2, nullptr);
    if (fd < 0) die("load an empty program");
    const double ns = peer_ns(fd, 1);
    close(fd);
    return ns;
  }

  double counter_ns(std::uint32_t flows) const {
    simple_counter_programs* programs = simple_counter_programs::open_and_load();
    if (programs == nullptr) die("load the simple counter");
    const double ns = peer_ns(bpf_program__fd(programs->progs.simple_counter), flows);
    simple_counter_programs::destroy(programs);
    return ns;
  }

  void measure_runs() const {
    for (const std::uint32_t flows : {1u, 1000u, 60'000u}) {
      std::vector<double> ours, simple, insert, ratio;
      for (int round = 0; round < rounds; ++round) {
        const double empty = empty_ns();
        simple.push_back(counter_ns(flows) - empty);
        const auto programs = source(131'072);
        Sender from = sender();
        const auto start = programs->stats().from_pod;
        std::uint32_t next = 0;
        from.send(flows, [&] { return next++; });
        const auto filled = programs->stats().from_pod;
        std::minstd_rand random(7);
        from.send(packets, [&] { return static_cast<std::uint32_t>(random() % flows); });
        ours.push_back(per_run(filled, programs->stats().from_pod) - empty);
        insert.push_back(per_run(start, filled) - empty);
        ratio.push_back(ours.back() / simple.back());
      }
      std::printf(
          "flows %6u: %6.1f ns/run over the empty program; the simple counter %6.1f; ratio %.2f; first packet %6.1f\n",
          flows, median(ours), median(simple), median(ratio), median(insert));
    }
  }

  void measure_drain() const {
    std::vector<double> entry_ns, wait_ms;
    constexpr std::uint32_t kFlows = 60'000;
    for (int round = 0; round < rounds; ++round) {
      const auto programs = source(65'536);
      Sender from = sender();
      std::uint32_t next = 0;
      from.send(kFlows, [&] { return next++; });
      // The first round of an empty half shows what waiting and walking cost.
      std::size_t drained = 0;
      const auto start = Clock::now();
      for (auto batch = programs->drain(); batch.ok() && !batch.value().empty(); batch = programs->drain())
        drained += batch.value().size();
      const double whole = seconds_since(start);
      const auto again = Clock::now();
      (void)programs->drain();
      const double nothing = seconds_since(again);
      entry_ns.push_back((whole - nothing) * 1e9 / static_cast<double>(drained));
      wait_ms.push_back(nothing * 1e3);
      if (drained < kFlows) std::fprintf(stderr, "ebpf_cost: drained %zu of %u\n", drained, kFlows);
    }
    std::printf("drain: %.0f ns/connection; an empty one takes %.1f ms, nearly all of it waiting\n", median(entry_ns),
                median(wait_ms));
  }

  /// Gigabits a second, from the pod.
  double iperf(int seconds) const {
    const auto command = [&](int ns, const std::string& text) {
      enter(ns);
      std::FILE* pipe = popen(text.c_str(), "r");
      enter(home);
      if (pipe == nullptr) die("start iperf3");
      return pipe;
    };
    std::FILE* server = command(node, "taskset -c 0 iperf3 -s -1 --forceflush 2>/dev/null");
    char line[512];
    // It says when it listens.
    while (std::fgets(line, sizeof(line), server) != nullptr && std::strstr(line, "listening") == nullptr) continue;
    std::FILE* client = command(pod, "taskset -c 1 iperf3 -c 10.7.0.1 -f m -t " + std::to_string(seconds));
    double megabits = 0;
    while (std::fgets(line, sizeof(line), client) != nullptr) {
      const char* at = std::strstr(line, "MBytes");
      if (at != nullptr && std::strstr(line, "receiver") != nullptr) megabits = std::strtod(at + 6, nullptr);
    }
    pclose(client);
    pclose(server);
    return megabits / 1000;
  }

  void measure_throughput(int seconds) const {
    if (std::system("command -v iperf3 taskset >/dev/null") != 0) {
      std::printf("throughput: not measured, iperf3 or taskset is missing\n");
      return;
    }
    for (const bool offload : {true, false}) {
      const std::string segments = offload ? "65535" : "1";
      enter(node);
      shell("ip link set cali1 gso_max_segs " + segments);
      enter(pod);
      shell("ip link set eth0 gso_max_segs " + segments);
      enter(home);
      std::vector<double> without, with;
      for (int round = 0; round < rounds; ++round) {
        without.push_back(iperf(seconds));
        const auto programs = source(65'536);
        with.push_back(iperf(seconds));
      }
      std::printf("throughput %s: %.2f Gb/s without, %.2f with: %.3f\n", offload ? "with GSO" : "without GSO",
                  median(without), median(with), median(with) / median(without));
    }
  }
};

int run(std::span<const char* const> command_line) {
  Arguments arguments;
  arguments.numbers = {{"packets", 1'000'000}, {"rounds", 5}, {"seconds", 2}};
  if (!arguments.parse(command_line, 0)) return 2;
  Bench bench;
  bench.packets = arguments.number("packets");
  bench.rounds = static_cast<int>(arguments.number("rounds"));
  bench.make_network();
  bench.measure_throughput(static_cast<int>(arguments.number("seconds")));
  pin_to(0);
  // For as long as the descriptor is open.
  const int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
  if (statistics < 0) die("turn the kernel's BPF statistics on");
  bench.measure_runs();
  bench.measure_drain();
  close(statistics);
  return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) { return weir::bench::run({argv, static_cast<std::size_t>(argc)}); }
