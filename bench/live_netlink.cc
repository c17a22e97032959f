// What a queued burst costs to read: events of the connection tracker and packets of NFLOG, by Weir, by the netfilter
// project's libraries and by a loop that only receives. In a network namespace of its own, on its loopback (root).
//
//   live_netlink [rounds [connections]]        one line a round and reader: CPU of the reader, messages lost

#include <arpa/inet.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_log/libnetfilter_log.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "capture/conntrack_reader.h"
#include "capture/internal/netlink_socket.h"
#include "capture/nflog_reader.h"
#include "meter/conntrack_meter.h"

namespace {

using namespace weir;  // NOLINT(google-build-using-namespace): one program

constexpr std::uint32_t kBuffer = 512u << 20;
constexpr std::int64_t kNow = 1'700'000'000'000'000'000;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void sh(const char* command) { CHECK(std::system(command) == 0); }

template <typename T>
T must(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "live_netlink: %s\n", result.error().message.c_str());
  std::exit(1);
}

/// UDP packets of 38 B of IP, each to an address of its own: each makes a connection.
void send_packets(std::uint32_t count) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(fd >= 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(7001);
  for (std::uint32_t i = 0; i < count; ++i) {
    to.sin_addr.s_addr = htonl(0x7F010000 + i);
    // A rule that drops makes this fail; the packet was logged all the same.
    (void)sendto(fd, "0123456789", 10, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  close(fd);
}

void report(const char* reader, double seconds, std::uint64_t got, std::uint64_t sent, const char* unit) {
  std::printf("%-22s %8.0f ns/%s  %8lu of %lu\n", reader, 1e9 * seconds / static_cast<double>(got), unit,
              static_cast<unsigned long>(got), static_cast<unsigned long>(sent));
  std::fflush(stdout);
}

/// `read` reads what is queued and returns how many it got.
void measure(const char* reader, std::uint64_t sent, const char* unit, const std::function<std::uint64_t()>& read) {
  const double begin = cpu_seconds();
  const std::uint64_t got = read();
  report(reader, cpu_seconds() - begin, got, sent, unit);
}

// --- The connection tracker: NEW and DESTROY of each connection.

void burst(std::uint32_t connections) {
  send_packets(connections);
  sh("conntrack -F >/dev/null 2>&1");
}

void weir_events(std::uint32_t connections, bool metered) {
  capture::ConntrackReader::Options options;
  options.receive_buffer_bytes = kBuffer;
  options.switch_on = true;
  const auto reader = must(capture::ConntrackReader::create(options));
  const auto meter = must(meter::ConntrackMeter::create({}));
  while (reader->dump_pending()) (void)must(reader->poll(kNow));
  burst(connections);
  measure(metered ? "weir, metered" : "weir", 2ul * connections, "event", [&] {
    std::uint64_t got = 0, packets = 0;
    for (bool more = true; more;) {
      const capture::ConntrackRead read = must(reader->poll(kNow));
      more = read.more;
      got += read.events.size();
      if (!metered) continue;
      meter->add(read.events);
      for (const auto& u : meter->updates()) packets += u.delta.packets_forward;
      meter->clear_updates();
    }
    CHECK(!metered || packets == connections);
    CHECK(reader->stats().overruns == 0);
    return got;
  });
}

void floor_events(std::uint32_t connections) {
  auto socket = must(capture::NetlinkSocket::open(kBuffer));
  for (const int group : {1, 3}) CHECK(socket.join(group).ok());
  burst(connections);
  measure("recv only", 2ul * connections, "event", [&] {
    std::uint64_t got = 0;
    char buffer[4096];
    while (recv(socket.fd(), buffer, sizeof buffer, 0) > 0) ++got;
    return got;
  });
}

void library_events(std::uint32_t connections) {
  nfct_handle* handle = nfct_open(CONNTRACK, NF_NETLINK_CONNTRACK_NEW | NF_NETLINK_CONNTRACK_DESTROY);
  CHECK(handle != nullptr);
  const int fd = nfct_fd(handle);
  const int size = static_cast<int>(kBuffer);
  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0);
  std::uint64_t got = 0;
  const auto count = [](nf_conntrack_msg_type, nf_conntrack*, void* data) -> int {
    ++*static_cast<std::uint64_t*>(data);
    return NFCT_CB_CONTINUE;
  };
  nfct_callback_register(handle, NFCT_T_ALL, count, &got);
  burst(connections);
  timeval patience{0, 1000};
  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  measure("libnetfilter_conntrack", 2ul * connections, "event", [&] {
    while (nfct_catch(handle) >= 0) {
    }
    return got;
  });
  nfct_close(handle);
}

// --- NFLOG, threshold 512: each packet is one connection's only one.

void weir_log(std::uint32_t packets) {
  capture::NflogReader::Options options;
  options.receive_buffer_bytes = kBuffer;
  const auto reader = must(capture::NflogReader::create(options, nullptr));
  send_packets(packets);
  // What the kernel has not sent yet comes with the timeout.
  usleep(200'000);
  measure("weir", packets, "packet", [&] {
    for (bool more = true; more;) more = must(reader->poll(kNow)).more;
    CHECK(reader->stats().overruns == 0 && reader->stats().hits == reader->stats().packets);
    return reader->stats().packets;
  });
}

void library_log(std::uint32_t packets) {
  nflog_handle* handle = nflog_open();
  CHECK(handle != nullptr);
  nflog_g_handle* group = nflog_bind_group(handle, 1);
  CHECK(group != nullptr);
  nflog_set_mode(group, NFULNL_COPY_PACKET, 255);
  nflog_set_nlbufsiz(group, 128 * 1024);
  nflog_set_qthresh(group, 512);
  nflog_set_timeout(group, 10);
  const int fd = nflog_fd(handle);
  const int size = static_cast<int>(kBuffer);
  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0);
  std::uint64_t got = 0;
  const auto count = [](nflog_g_handle*, nfgenmsg*, nflog_data* data, void* total) -> int {
    char* payload = nullptr;
    if (nflog_get_payload(data, &payload) > 0 && nflog_get_prefix(data) != nullptr)
      ++*static_cast<std::uint64_t*>(total);
    return 0;
  };
  nflog_callback_register(group, count, &got);
  send_packets(packets);
  usleep(200'000);
  measure("libnetfilter_log", packets, "packet", [&] {
    std::vector<char> buffer(160 * 1024);
    for (;;) {
      const ssize_t size_got = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size_got <= 0) break;
      nflog_handle_packet(handle, buffer.data(), static_cast<int>(size_got));
    }
    return got;
  });
  nflog_unbind_group(group);
  nflog_close(handle);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 3;
  const auto connections = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 50'000);
  if (unshare(CLONE_NEWNET) != 0) {
    std::fprintf(stderr, "live_netlink: no network namespace of its own: %s (root is needed)\n", std::strerror(errno));
    return 1;
  }
  sh("ip link set lo up");
  sh("nft 'table inet t { chain out { type filter hook output priority filter; ct state new counter; }; }'");
  sh("sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1");
  for (int round = 0; round < rounds; ++round) {
    floor_events(connections);
    weir_events(connections, false);
    weir_events(connections, true);
    library_events(connections);
  }
  sh("nft 'table inet p { chain out { type filter hook output priority filter; "
     "udp dport 7001 log prefix \"DPI0|knp/shop/web\" group 1 drop; }; }'");
  for (int round = 0; round < rounds; ++round) {
    weir_log(2 * connections);
    library_log(2 * connections);
  }
  return 0;
}
