#pragma once

#include <cstdint>
#include <random>

#include "meter/meter_fixture.h"

namespace weir::meter {

/// Short and distinct, so that random traffic meets them all.
inline Timeouts short_timeouts() {
  using std::chrono::seconds;
  Timeouts t;
  t.tcp_syn_sent = seconds(12);
  t.tcp_syn_recv = seconds(6);
  t.tcp_established = seconds(700);
  t.tcp_fin_wait = seconds(11);
  t.tcp_close_wait = seconds(7);
  t.tcp_last_ack = seconds(3);
  t.tcp_time_wait = seconds(13);
  t.tcp_close = seconds(1);
  t.udp = seconds(4);
  t.udp_stream = seconds(14);
  t.icmp = seconds(5);
  t.sctp = seconds(21);
  t.generic = seconds(300);
  return t;
}

/// Random packets among few connections, with flags, numbers and times that often fit together and often do not.
class Traffic {
 public:
  Traffic(unsigned seed, unsigned hosts, std::int64_t step_ns) : random_(seed), hosts_(hosts), step_ns_(step_ns) {}

  packet::DecodedPacket next() {
    now_ += static_cast<std::int64_t>(below(1000)) * step_ns_ / 500;
    if (below(2000) == 0) now_ += static_cast<std::int64_t>(below(900)) * kSecond;
    constexpr std::uint8_t kProtocols[] = {6, 6, 6, 6, 6, 17, 17, 1, 58, 132, 47};
    model::Tuple t{host(), host(), 40000, 80, kProtocols[below(11)]};
    t.source_port = static_cast<std::uint16_t>(below(3) == 0 ? 20000 : 40000);
    if (is_icmp(t.protocol))
      t.dest_port = static_cast<std::uint16_t>((below(3) == 0 ? 135 : t.protocol == 1 ? 8 : 128) << 8);
    if (t.protocol == 47) t.source_port = t.dest_port = 0;
    const bool back = below(2) == 0;
    packet::DecodedPacket p = make_packet(now_, back ? reversed(t) : t, 20 + below(1500));
    if (below(20) == 0) p.time_ns -= static_cast<std::int64_t>(below(60)) * kSecond;
    p.icmp_reply = is_icmp(t.protocol) && t.dest_port >> 8 != 135 && back;
    p.zone = static_cast<std::uint16_t>(below(3));
    p.from_pod = below(2) == 0;
    if (t.protocol == 6 && below(50) != 0) add_tcp(p);
    return p;
  }

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  std::int64_t now_ns() const { return now_; }

 private:
  IpAddress host() {
    const std::uint32_t i = below(hosts_);
    if (i % 4 != 0) return IpAddress::v4(0x0A000000 + i);
    IpAddress v6 = IpAddress::parse("fd00::").value();
    v6.bytes[7] = static_cast<std::uint8_t>(i >> 8);
    v6.bytes[15] = static_cast<std::uint8_t>(i);
    return v6;
  }

  void add_tcp(packet::DecodedPacket& p) {
    constexpr std::uint8_t kFlags[] = {2, 2, 18, 18, 16, 16, 16, 24, 17, 17, 4, 20, 1, 3};
    p.tcp_valid = true;
    p.tcp_flags = kFlags[below(14)];
    // A narrow range near the wrap: repeats, overlaps and gaps are common.
    p.tcp_seq = 0xFFFFFFF0u + below(40);
    p.tcp_ack = 0xFFFFFFF0u + below(40);
    if ((p.tcp_flags & 2) == 0 && below(2) == 0) p.payload_bytes = below(12);
  }

  std::mt19937_64 random_;
  std::uint32_t hosts_;
  std::int64_t step_ns_, now_ = 0;
};

}  // namespace weir::meter
