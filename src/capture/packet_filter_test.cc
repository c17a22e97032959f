#include "capture/internal/packet_filter.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "tests/support/frame_bytes.h"

namespace weir::capture {
namespace {

using namespace tests;  // NOLINT(google-build-using-namespace): the vocabulary of this file

constexpr std::uint32_t kSnap = 100, kDnsSnap = 1000;

/// What the kernel lets through of a frame: a filter shortens the messages of any socket, not only of packet sockets.
template <typename Filter>
ssize_t captured_of(Filter filter, const Bytes& frame) {
  int pair[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  EXPECT_EQ(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
  EXPECT_GE(send(pair[0], frame.data(), frame.size(), 0), 0);
  Bytes got(70'000);
  const ssize_t size = recv(pair[1], got.data(), got.size(), 0);
  close(pair[0]);
  close(pair[1]);
  return size;
}

TEST(SnapFilter, TakesNamesWholeAndOfTheRestTheHead) {
  const Bytes data(2000);
  const auto v4 = [](std::uint8_t protocol, const Bytes& payload) {
    return ethernet(0x0800, ipv4(protocol, "10.0.0.1", "10.0.0.2", payload));
  };
  const auto v6 = [](std::uint8_t protocol, const Bytes& payload) {
    return ethernet(0x86DD, ipv6(protocol, "2001:db8::1", "2001:db8::2", payload));
  };
  // Options of 40 bytes: the header has 60.
  Bytes options = v4(17, join({Bytes(40), udp(1000, 53, data)}));
  options[14] = 0x4F;
  // The header says 60 bytes, of which there are 24.
  Bytes lying = v4(17, Bytes(4));
  lying[14] = 0x4F;
  Bytes fragment = v4(17, data);
  fragment[14 + 6] = 0x20;
  Bytes later_fragment = v4(17, data);
  later_fragment[14 + 7] = 0x10;
  Bytes unfragmented = v4(17, udp(1000, 54, data));
  unfragmented[14 + 6] = 0x40;
  const struct {
    std::string name;
    Bytes frame;
    std::uint32_t want;
  } cases[] = {
      {"UDP from 53", v4(17, udp(53, 1000, data)), kDnsSnap},
      {"UDP to 53", v4(17, udp(1000, 53, data)), kDnsSnap},
      {"UDP to 53, IP options", options, kDnsSnap},
      {"UDP to 54", v4(17, udp(1000, 54, data)), kSnap},
      {"UDP to 53, short", v4(17, udp(1000, 53, Bytes(12))), 54},
      {"TCP to 53", v4(6, tcp(1000, 53, 0x18, data)), kDnsSnap},
      {"TCP to 80", v4(6, tcp(1000, 80, 0x18, data)), kSnap},
      {"TCP without data", v4(6, tcp(1000, 80, 0x10, {})), 54},
      {"another protocol with 53 in that place", v4(47, udp(53, 53, data)), kSnap},
      {"first fragment", fragment, kDnsSnap},
      {"later fragment", later_fragment, kDnsSnap},
      {"not to be fragmented", unfragmented, kSnap},
      {"IPv6, UDP to 53", v6(17, udp(1000, 53, data)), kDnsSnap},
      {"IPv6, UDP from 53", v6(17, udp(53, 1000, data)), kDnsSnap},
      {"IPv6, TCP from 53", v6(6, tcp(53, 1000, 0x18, data)), kDnsSnap},
      {"IPv6, TCP to 443", v6(6, tcp(1000, 443, 0x18, data)), kSnap},
      {"IPv6, ICMP", v6(58, data), kSnap},
      {"IPv6, fragment", v6(44, data), kDnsSnap},
      {"ARP", ethernet(0x0806, Bytes(28)), 42},
      {"no IP", ethernet(0x88CC, data), kSnap},
      {"header length beyond the end", lying, 38},
      {"IPv6 cut off in its header", ethernet(0x86DD, Bytes(25)), 39},
      {"only Ethernet", ethernet(0x0800, {}), 14},
      {"one byte", Bytes(1), 1},
  };
  for (const auto& c : cases)
    EXPECT_EQ(captured_of(snap_filter(kSnap, kDnsSnap), c.frame), static_cast<ssize_t>(c.want)) << c.name;
  // Nothing is dropped for being short, wherever it ends.
  for (const Bytes& whole : {options, v4(6, tcp(1, 2, 0x10, {})), v6(17, udp(1000, 53, Bytes(12))), lying}) {
    for (std::size_t size = 1; size <= 100 && size <= whole.size(); ++size) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_EQ(captured_of(snap_filter(kSnap, kDnsSnap), cut), static_cast<ssize_t>(size));
    }
  }
}

TEST(PayloadFilter, TakesWhatTheDnsAndL7LogsAreMadeOf) {
  const auto text = [](std::string_view head) {
    Bytes bytes(head.begin(), head.end());
    bytes.resize(2000);
    return bytes;
  };
  const auto frame = [](std::uint16_t type, const Bytes& packet, bool ethernet_link) {
    return ethernet_link ? ethernet(type, packet) : packet;
  };
  constexpr ssize_t kDropped = -1;
  const struct {
    std::string name;
    Bytes payload;
    std::uint8_t protocol;
    ssize_t want;
  } cases[] = {
      {"UDP from 53", udp(53, 1000, Bytes(2000)), 17, kDnsSnap},
      {"UDP to 53", udp(1000, 53, Bytes(2000)), 17, kDnsSnap},
      {"UDP elsewhere", udp(1000, 54, Bytes(2000)), 17, kDropped},
      {"TCP to 53", tcp(1000, 53, 0x18, Bytes(2000)), 6, kDnsSnap},
      {"GET", tcp(1000, 80, 0x18, text("GET / HTTP/1.1")), 6, kSnap},
      {"status line", tcp(80, 1000, 0x18, text("HTTP/1.1 200 OK")), 6, kSnap},
      {"last of the methods", tcp(1000, 80, 0x18, text("TRACE / HTTP/1.1")), 6, kSnap},
      {"body", tcp(1000, 80, 0x18, text("get it here")), 6, kDropped},
      {"three bytes", tcp(1000, 80, 0x18, Bytes(3)), 6, kDropped},
      {"acknowledgement", tcp(1000, 80, 0x10, {}), 6, kDropped},
      {"SYN", tcp(1000, 80, 0x02, Bytes(2000)), 6, kSnap},
      {"FIN", tcp(1000, 80, 0x11, Bytes(2000)), 6, kSnap},
      {"RST", tcp(1000, 80, 0x04, Bytes(2000)), 6, kSnap},
      {"another protocol", Bytes(2000), 47, kDropped},
  };
  for (const auto& c : cases) {
    for (const bool link : {true, false}) {
      const auto filter = payload_filter(link ? 14 : 0, kSnap, kDnsSnap);
      const Bytes v4 = frame(0x0800, ipv4(c.protocol, "10.0.0.1", "10.0.0.2", c.payload), link);
      EXPECT_EQ(captured_of(filter, v4), c.want) << c.name << (link ? ", Ethernet" : ", IP");
      const Bytes v6 = frame(0x86DD, ipv6(c.protocol, "2001:db8::1", "2001:db8::2", c.payload), link);
      EXPECT_EQ(captured_of(filter, v6), c.want) << c.name << (link ? ", IPv6 over Ethernet" : ", IPv6");
    }
  }
  Bytes fragment = ethernet(0x0800, ipv4(6, "10.0.0.1", "10.0.0.2", Bytes(2000)));
  fragment[14 + 6] = 0x20;
  EXPECT_EQ(captured_of(payload_filter(14, kSnap, kDnsSnap), fragment), kDnsSnap);
  EXPECT_EQ(captured_of(payload_filter(14, kSnap, kDnsSnap), ethernet(0x0806, Bytes(28))), kDropped);
}

}  // namespace
}  // namespace weir::capture
