#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>

namespace weir::capture {

/// A classic BPF program for Ethernet that lets everything pass, and says how much of it is captured: `dns_snap` bytes
/// of what is from or to port 53 (TCP, UDP) and of fragments, `snap` of the rest. Loads behind a packet's end would
/// drop it, hence the checks of its length.
inline std::array<sock_filter, 27> snap_filter(std::uint32_t snap, std::uint32_t dns_snap) {
  constexpr std::uint32_t kEthernet = 14, kIpv6 = 40, kTcp = 6, kUdp = 17, kFragment = 44, kDns = 53;
  constexpr std::uint16_t kLoadLength = BPF_LD | BPF_W | BPF_LEN, kLoad16 = BPF_LD | BPF_H | BPF_ABS,
                          kLoad8 = BPF_LD | BPF_B | BPF_ABS, kLoad16AtX = BPF_LD | BPF_H | BPF_IND,
                          kIfEqual = BPF_JMP | BPF_JEQ | BPF_K, kIfAtLeast = BPF_JMP | BPF_JGE | BPF_K,
                          kIfAny = BPF_JMP | BPF_JSET | BPF_K, kReturn = BPF_RET | BPF_K;
  // The second and third number of a jump: instructions to skip if it holds, if it does not.
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
      {BPF_LDX | BPF_B | BPF_MSH, 0, 0, kEthernet},
      {BPF_JMP | BPF_JA, 0, 0, 6},
      // IPv6: the next header.
      {kIfEqual, 0, 13, 0x86DD},
      {kLoad8, 0, 0, kEthernet + 6},
      {kIfEqual, 12, 0, kFragment},
      {kIfEqual, 1, 0, kUdp},
      {kIfEqual, 0, 9, kTcp},
      {BPF_LDX | BPF_W | BPF_IMM, 0, 0, kIpv6},
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

}  // namespace weir::capture
