#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>

namespace weir::capture {

// The second and third number of a jump: instructions to skip if it holds, if it does not.
namespace cbpf {
inline constexpr std::uint32_t kIpv6Header = 40, kTcp = 6, kUdp = 17, kFragment = 44, kDns = 53;
inline constexpr std::uint16_t kLoadLength = BPF_LD | BPF_W | BPF_LEN, kLoad16 = BPF_LD | BPF_H | BPF_ABS,
                               kLoad8 = BPF_LD | BPF_B | BPF_ABS, kLoad8AtX = BPF_LD | BPF_B | BPF_IND,
                               kLoad16AtX = BPF_LD | BPF_H | BPF_IND, kLoad32AtX = BPF_LD | BPF_W | BPF_IND,
                               kIpv4HeaderToX = BPF_LDX | BPF_B | BPF_MSH, kSetX = BPF_LDX | BPF_W | BPF_IMM,
                               kIfEqual = BPF_JMP | BPF_JEQ | BPF_K, kIfAtLeast = BPF_JMP | BPF_JGE | BPF_K,
                               kIfAny = BPF_JMP | BPF_JSET | BPF_K, kReturn = BPF_RET | BPF_K;
}  // namespace cbpf

/// A classic BPF program for Ethernet that lets everything pass, and says how much of it is captured: `dns_snap` bytes
/// of what is from or to port 53 (TCP, UDP) and of fragments, `snap` of the rest. Loads behind a packet's end would
/// drop it, hence the checks of its length.
inline std::array<sock_filter, 27> snap_filter(std::uint32_t snap, std::uint32_t dns_snap) {
  using namespace cbpf;  // NOLINT(google-build-using-namespace)
  constexpr std::uint32_t kEthernet = 14;
  return {{
      {kLoadLength, 0, 0, 0},
      {kIfAtLeast, 0, 23, kEthernet + 20 + 4},
      {kLoad16, 0, 0, 12},
      {kIfEqual, 0, 7, 0x0800},
      // IPv4: a fragment, else the protocol; X is the header's length.
      {kLoad16, 0, 0, kEthernet + 6},
      {kIfAny, 20, 0, 0x3FFF},
      {kLoad8, 0, 0, kEthernet + 9},
      {kIfEqual, 1, 0, kUdp},
      {kIfEqual, 0, 16, kTcp},
      {kIpv4HeaderToX, 0, 0, kEthernet},
      {BPF_JMP | BPF_JA, 0, 0, 6},
      // IPv6: the next header.
      {kIfEqual, 0, 13, 0x86DD},
      {kLoad8, 0, 0, kEthernet + 6},
      {kIfEqual, 12, 0, kFragment},
      {kIfEqual, 1, 0, kUdp},
      {kIfEqual, 0, 9, kTcp},
      {kSetX, 0, 0, kIpv6Header},
      // Ports, if they are there.
      {kLoadLength, 0, 0, 0},
      {BPF_JMP | BPF_JGE | BPF_X, 0, 6, 0},
      {BPF_ALU | BPF_SUB | BPF_X, 0, 0, 0},
      {kIfAtLeast, 0, 4, kEthernet + 4},
      {kLoad16AtX, 0, 0, kEthernet},
      {kIfEqual, 3, 0, kDns},
      {kLoad16AtX, 0, 0, kEthernet + 2},
      {kIfEqual, 1, 0, kDns},
      {kReturn, 0, 0, snap},
      {kReturn, 0, 0, dns_snap},
  }};
}

/// A classic BPF program that lets only those packets pass that the DNS and L7 logs are made of: what is from or to
/// port 53, and fragments (`dns_snap` bytes of them); segments that begin with the head of an HTTP/1 message, and those
/// that open or end a TCP connection (`snap`). `ip` is where the IP header begins: 14 for Ethernet, 0 for bare IP. Here
/// a load behind a packet's end drops it as it should. IPv6 extension headers are not looked behind.
inline std::array<sock_filter, 42> payload_filter(std::uint32_t ip, std::uint32_t snap, std::uint32_t dns_snap) {
  using namespace cbpf;  // NOLINT(google-build-using-namespace)
  constexpr std::uint32_t kOpensOrEnds = 0x07;
  const auto word = [](const char(&text)[5]) {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint8_t>(text[i]);
    return value;
  };
  return {{
      {kLoad8, 0, 0, ip},
      {BPF_ALU | BPF_RSH | BPF_K, 0, 0, 4},
      {kIfEqual, 0, 5, 4},
      // IPv4: a fragment, else the protocol; X is the header's length.
      {kLoad16, 0, 0, ip + 6},
      {kIfAny, 36, 0, 0x3FFF},
      {kLoad8, 0, 0, ip + 9},
      {kIpv4HeaderToX, 0, 0, ip},
      {BPF_JMP | BPF_JA, 0, 0, 4},
      // IPv6: the next header.
      {kIfEqual, 0, 30, 6},
      {kLoad8, 0, 0, ip + 6},
      {kSetX, 0, 0, kIpv6Header},
      {kIfEqual, 29, 0, kFragment},
      // Ports.
      {BPF_ST, 0, 0, 0},
      {kIfEqual, 1, 0, kUdp},
      {kIfEqual, 0, 24, kTcp},
      {kLoad16AtX, 0, 0, ip},
      {kIfEqual, 24, 0, kDns},
      {kLoad16AtX, 0, 0, ip + 2},
      {kIfEqual, 22, 0, kDns},
      {BPF_LD | BPF_W | BPF_MEM, 0, 0, 0},
      {kIfEqual, 0, 18, kTcp},
      {kLoad8AtX, 0, 0, ip + 13},
      {kIfAny, 17, 0, kOpensOrEnds},
      // The payload: X is the length of both headers.
      {kLoad8AtX, 0, 0, ip + 12},
      {BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xF0},
      {BPF_ALU | BPF_RSH | BPF_K, 0, 0, 2},
      {BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0},
      {BPF_MISC | BPF_TAX, 0, 0, 0},
      {kLoad32AtX, 0, 0, ip},
      {kIfEqual, 10, 0, word("GET ")},
      {kIfEqual, 9, 0, word("HTTP")},
      {kIfEqual, 8, 0, word("POST")},
      {kIfEqual, 7, 0, word("PUT ")},
      {kIfEqual, 6, 0, word("HEAD")},
      {kIfEqual, 5, 0, word("DELE")},
      {kIfEqual, 4, 0, word("PATC")},
      {kIfEqual, 3, 0, word("OPTI")},
      {kIfEqual, 2, 0, word("CONN")},
      {kIfEqual, 1, 0, word("TRAC")},
      {kReturn, 0, 0, 0},
      {kReturn, 0, 0, snap},
      {kReturn, 0, 0, dns_snap},
  }};
}

}  // namespace weir::capture
