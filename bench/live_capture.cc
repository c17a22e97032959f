// live_capture [--packets 2000000] [--flows 20000] [--rate 0] [--rounds 3] [--block 131072]
//
// What it costs to capture and meter a pod's traffic: AfPacket, Decoder and Meter against `tcpdump -s 512 -w /dev/null`
// and against nobody, at one interface of a network namespace that it makes. One thread sends, in the pod, on CPU 0;
// the reader has CPU 1. Counts are checked: received and dropped must add up to what was sent, and the meter must have
// all that was received. --rate: packets per second; 0: as fast as the kernel takes them. Needs root and tcpdump.

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "arguments.h"
#include "capture/af_packet.h"
#include "frame.h"
#include "meter/meter.h"
#include "packet/decoder.h"
#include "random.h"
#include "tests/support/network_namespace.h"

namespace weir::bench {
namespace {

constexpr std::uint32_t kRingBytes = 32 * 1024 * 1024;
constexpr std::size_t kBatch = 256, kBurst = 64;

double seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/// What one run came to. Times are CPU seconds.
struct Outcome {
  std::uint64_t received = 0, dropped = 0;
  double reader = 0, sender = 0, wall = 0;
};

/// Frames of many connections of a pod, in random order: one of three is a full segment, the others are short. They go
/// to a station that is not there, so that nobody answers.
class Traffic {
 public:
  explicit Traffic(std::uint32_t flows) : data_(flows), frames_(flows) {
    FrameBuilder builder;
    Random random(1);
    for (std::uint32_t i = 0; i < flows; ++i) {
      FrameSpec spec;
      spec.source = IpAddress::v4(0x0A4D0102);
      spec.dest = IpAddress::v4(0x0A000000 + i / 16);
      spec.source_port = static_cast<std::uint16_t>(32'768 + i % 16);
      spec.dest_port = 80;
      spec.tcp_flags = packet::kTcpAck;
      spec.payload_bytes = i % 3 == 0 ? kMaxPayload : random.below(200);
      const Frame frame = builder.build(spec);
      data_[i].assign(frame.data, frame.data + frame.wire_bytes);
      frames_[i] = {data_[i].data(), data_[i].size()};
    }
  }

  /// In the namespace of the pod. Sends `count`, `rate` a second (0: any), and says its CPU time.
  double send(std::uint64_t count, std::uint64_t rate) const {
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(if_nametoindex("eth0"));
    std::array<mmsghdr, kBurst> messages{};
    std::array<iovec, kBurst> parts;
    Random random(2);
    const double begin = seconds(CLOCK_THREAD_CPUTIME_ID), start = seconds(CLOCK_MONOTONIC);
    for (std::uint64_t sent = 0; sent < count;) {
      const std::size_t burst = std::min<std::uint64_t>(kBurst, count - sent);
      for (std::size_t i = 0; i < burst; ++i) {
        parts[i] = frames_[random.below(static_cast<std::uint32_t>(frames_.size()))];
        messages[i].msg_hdr = {&to, sizeof to, &parts[i], 1, nullptr, 0, 0};
      }
      for (std::size_t done = 0; done < burst;) {
        const int some = sendmmsg(fd, messages.data() + done, static_cast<unsigned>(burst - done), 0);
        if (some > 0) done += static_cast<std::size_t>(some);
      }
      sent += burst;
      while (rate != 0 && static_cast<double>(sent) > (seconds(CLOCK_MONOTONIC) - start) * static_cast<double>(rate))
        usleep(500);
    }
    close(fd);
    return seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
  }

 private:
  std::vector<std::vector<std::uint8_t>> data_;
  mutable std::vector<iovec> frames_;
};

class Bench {
 public:
  Bench(const Arguments& options) : options_(options), traffic_(static_cast<std::uint32_t>(options.number("flows"))) {}

  bool set_up() {
    const bool quiet = pod_.fd() >= 0 && node_.shell("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6") &&
                       pod_.shell("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    return quiet && node_.shell("ip link add calia type veth peer name eth0 netns " + pod_.path()) &&
           node_.shell("ip link set calia up") && pod_.shell("ip link set eth0 up");
  }

  Outcome nobody() {
    Outcome out;
    send(out).join();
    return out;
  }

  Outcome tcpdump() {
    int log[2];
    if (pipe2(log, O_CLOEXEC) != 0) return {};
    pid_t child = -1;
    const std::string buffer = std::to_string(kRingBytes / 1024);
    node_.run([&] {
      child = fork();
      if (child != 0) return;
      pin(1);
      dup2(log[1], 2);
      execlp("tcpdump", "tcpdump", "-i", "calia", "-s", "512", "-B", buffer.c_str(), "-w", "/dev/null", nullptr);
      _exit(127);
    });
    close(log[1]);
    // It says that it listens before it does anything else.
    std::array<char, 4096> text{};
    std::string said;
    while (said.find("listening") == std::string::npos) {
      const ssize_t size = read(log[0], text.data(), text.size());
      if (size <= 0) break;
      said.append(text.data(), static_cast<std::size_t>(size));
    }
    Outcome out;
    send(out).join();
    sleep(2);  // its read timeout is a second
    kill(child, SIGINT);
    for (ssize_t size; (size = read(log[0], text.data(), text.size())) > 0;)
      said.append(text.data(), static_cast<std::size_t>(size));
    close(log[0]);
    rusage usage{};
    int status = 0;
    wait4(child, &status, 0, &usage);
    const auto number_before = [&](const char* words) -> std::uint64_t {
      const std::size_t end = said.find(words);
      const std::size_t line = end == std::string::npos ? end : said.rfind('\n', end);
      return line == std::string::npos ? 0 : std::stoull(said.substr(line + 1));
    };
    out.received = number_before(" packets captured");
    out.dropped = number_before(" packets dropped by kernel");
    out.reader = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
    return out;
  }

  Outcome weir() {
    pin(1);
    capture::AfPacketOptions options;
    options.ring_bytes = kRingBytes;
    options.block_bytes = static_cast<std::uint32_t>(options_.number("block"));
    const auto capture = capture::AfPacket::create(options).value();
    node_.run([&] {
      const Status added = capture->add_interface({1, static_cast<int>(if_nametoindex("calia")), "calia", 0});
      if (!added.ok()) std::fprintf(stderr, "live_capture: %s\n", added.error().message.c_str());
    });
    const auto meter = meter::Meter::create({}).value();
    packet::Decoder decoder;
    std::array<packet::PacketView, kBatch> views;
    std::array<packet::DecodedPacket, kBatch> packets;
    Outcome out;
    const double begin = seconds(CLOCK_THREAD_CPUTIME_ID);
    std::thread sender = send(out);
    while (true) {
      pollfd wait{capture->fd(), POLLIN, 0};
      // Once the sender is done and the last block has been handed over, nothing comes.
      if (poll(&wait, 1, 200) == 0 && done_) break;
      while (const std::size_t count = capture->next_batch(views)) {
        std::size_t decoded = 0;
        for (std::size_t i = 0; i < count; ++i)
          if (decoder.decode(views[i], packets[decoded]) == packet::DecodeStatus::kOk) ++decoded;
        meter->process({packets.data(), decoded});
        meter->clear_updates();
      }
    }
    out.reader = seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
    sender.join();
    const capture::AfPacketStats stats = capture->stats();
    out.received = meter->stats().packets;
    out.dropped = stats.dropped;
    return out;
  }

 private:
  std::thread send(Outcome& out) {
    done_ = false;
    return std::thread([this, &out] {
      pin(0);
      pod_.run([&] {
        const double start = seconds(CLOCK_MONOTONIC);
        out.sender = traffic_.send(options_.number("packets"), options_.number("rate"));
        out.wall = seconds(CLOCK_MONOTONIC) - start;
      });
      done_ = true;
    });
  }

  const Arguments& options_;
  Traffic traffic_;
  tests::NetworkNamespace node_, pod_;
  std::atomic<bool> done_ = false;
};

bool print(const char* name, const Outcome& out, std::uint64_t sent, bool reads) {
  const auto packets = static_cast<double>(sent);
  std::printf(
      "{\"reader\": \"%s\", \"received\": %lu, \"dropped\": %lu, \"packets_per_s\": %.0f, \"sender_ns\": %.0f, "
      "\"reader_ns\": %.0f, \"reader_cpu_percent\": %.2f}\n",
      name, out.received, out.dropped, packets / out.wall, out.sender / packets * 1e9,
      out.received == 0 ? 0 : out.reader / static_cast<double>(out.received) * 1e9, out.reader / out.wall * 100);
  if (!reads || out.received + out.dropped == sent) return true;
  std::fprintf(stderr, "live_capture: %s: received and dropped are not what was sent\n", name);
  return false;
}

int run(const Arguments& options) {
  Bench bench(options);
  if (!bench.set_up()) {
    std::fputs("live_capture: no network namespace with a veth pair: it takes root and iproute2\n", stderr);
    return 1;
  }
  const std::uint64_t packets = options.number("packets");
  bool good = true;
  for (std::uint64_t round = 0; round < options.number("rounds"); ++round) {
    good &= print("nobody", bench.nobody(), packets, false);
    good &= print("tcpdump", bench.tcpdump(), packets, true);
    good &= print("weir", bench.weir(), packets, true);
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  weir::bench::Arguments options;
  options.numbers = {{"packets", 2'000'000}, {"flows", 20'000}, {"rate", 0}, {"rounds", 3}, {"block", 131'072}};
  if (!options.parse({argv, static_cast<std::size_t>(argc)}, 0)) return 2;
  return weir::bench::run(options);
}
