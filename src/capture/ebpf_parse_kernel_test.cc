// The kernel program over crafted frames (BPF_PROG_TEST_RUN): what it counts, and that it reads headers as src/packet
// does, however damaged they are.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "bpf/shared.h"
#include "flow.skel.h"
#include "model/connection.h"
#include "packet/decoder.h"

namespace weir::capture {
namespace {

using Bytes = std::string;

Bytes be16(unsigned value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }
Bytes be32(unsigned value) { return be16(value >> 16) + be16(value & 0xFFFF); }
Bytes byte(unsigned value) { return Bytes(1, static_cast<char>(value)); }

Bytes ethernet(unsigned type, const Bytes& payload) { return Bytes(12, '\x02') + be16(type) + payload; }
Bytes vlan(unsigned type, const Bytes& payload) { return be16(5) + be16(type) + payload; }
Bytes ipv4(unsigned protocol, const Bytes& payload, unsigned fragment = 0, const Bytes& options = {}) {
  const unsigned header = static_cast<unsigned>(20 + options.size());
  return byte(0x40 | header / 4) + byte(0) + be16(header + static_cast<unsigned>(payload.size())) + be16(77) +
         be16(fragment) + byte(64) + byte(protocol) + be16(0) + be32(0x0A000001) + be32(0x0A000002) + options + payload;
}
Bytes ipv6(unsigned next, const Bytes& payload) {
  return be32(6u << 28) + be16(static_cast<unsigned>(payload.size())) + byte(next) + byte(64) + be16(0xFD00) +
         Bytes(13, '\0') + byte(1) + be16(0xFD00) + Bytes(13, '\0') + byte(2) + payload;
}
Bytes tcp(unsigned flags, const Bytes& payload = {}, const Bytes& options = {}) {
  return be16(40000) + be16(80) + be32(1) + be32(1) + byte(static_cast<unsigned>(20 + options.size()) / 4 << 4) +
         byte(flags) + be16(1000) + be32(0) + options + payload;
}
Bytes udp(unsigned source, unsigned dest, const Bytes& payload) {
  return be16(source) + be16(dest) + be16(static_cast<unsigned>(8 + payload.size())) + be16(0) + payload;
}
Bytes icmp(unsigned type, unsigned code, const Bytes& rest) { return byte(type) + byte(code) + be16(0) + rest; }
Bytes extension(unsigned next, unsigned words = 0) { return byte(next) + byte(words) + Bytes(6 + words * 8, '\1'); }

Bytes frame4(unsigned protocol, const Bytes& payload) { return ethernet(0x0800, ipv4(protocol, payload)); }
Bytes frame6(unsigned next, const Bytes& payload) { return ethernet(0x86DD, ipv6(next, payload)); }

struct Flow {
  weir_flow_key key;
  weir_flow value;
};

model::Tuple tuple_of(const weir_flow_key& k) {
  return {IpAddress::v6(k.pod), IpAddress::v6(k.peer), k.pod_port, k.peer_port, k.protocol};
}
std::string text_of(const model::Tuple& t) {
  return std::to_string(t.protocol) + " " + t.source.to_string() + ":" + std::to_string(t.source_port) + " " +
         t.dest.to_string() + ":" + std::to_string(t.dest_port);
}

class EbpfParseKernel : public testing::Test {
 protected:
  void SetUp() override {
    libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
    programs = flow_programs::open();
    ASSERT_NE(programs, nullptr);
    const int loaded = flow_programs::load(programs);
    if (loaded == 0) return;
    const std::string reason = std::string("the kernel does not load the programs for us: ") + std::strerror(-loaded);
    if (std::getenv("WEIR_CI") != nullptr) FAIL() << reason;
    GTEST_SKIP() << reason;
  }
  void TearDown() override {
    if (programs != nullptr) flow_programs::destroy(programs);
  }

  void run(const Bytes& frame, bool from_pod = true, unsigned gso_segments = 0, unsigned gso_size = 0) {
    __sk_buff context{};
    context.gso_segs = gso_segments;
    context.gso_size = gso_size;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_size_in = static_cast<__u32>(frame.size()),
                .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);
    const bpf_program* program = from_pod ? programs->progs.weir_from_pod : programs->progs.weir_to_pod;
    ASSERT_EQ(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0) << std::strerror(errno);
    EXPECT_EQ(static_cast<int>(options.retval), -1) << "it decides nothing";
  }
  /// What was counted, and nothing of it is left.
  std::vector<Flow> take() {
    std::vector<Flow> all;
    const int fd = bpf_map__fd(programs->maps.flows_a);
    Flow flow;
    while (bpf_map_get_next_key(fd, nullptr, &flow.key) == 0) {
      bpf_map_lookup_elem(fd, &flow.key, &flow.value);
      bpf_map_delete_elem(fd, &flow.key);
      all.push_back(flow);
    }
    return all;
  }
  weir_counters counters() {
    std::vector<weir_counters> by_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    const std::uint32_t zero = 0;
    bpf_map_lookup_elem(bpf_map__fd(programs->maps.counters), &zero, by_cpu.data());
    weir_counters sum{};
    for (const weir_counters& c : by_cpu) {
      sum.not_ip += c.not_ip;
      sum.truncated += c.truncated;
      sum.malformed += c.malformed;
      sum.orphan_fragments += c.orphan_fragments;
    }
    return sum;
  }
  void forget_fragments() {
    const int fd = bpf_map__fd(programs->maps.fragments);
    weir_fragment_key key;
    while (bpf_map_get_next_key(fd, nullptr, &key) == 0) bpf_map_delete_elem(fd, &key);
  }

  flow_programs* programs = nullptr;
};

struct Case {
  const char* name;
  Bytes frame;
  /// Of the one connection; empty: none.
  const char* tuple;
  std::uint64_t bytes = 0;
  std::uint32_t marks = 0;
};

const char* kTcp4 = "6 10.0.0.1:40000 10.0.0.2:80";
const char* kTcp6 = "6 fd00::1:40000 fd00::2:80";
const char* kUdp4 = "17 10.0.0.1:1000 10.0.0.2:2000";

std::vector<Case> cases() {
  const Bytes data(30, 'x');
  const Bytes datagram = udp(1000, 2000, data);
  const Bytes quoted = ipv4(17, udp(2000, 1000, data));
  return {
      {"TCP", frame4(6, tcp(0x18, data)), kTcp4, 70, 0x10},
      {"TCP, IPv6", frame6(6, tcp(0x10, data)), kTcp6, 90, 0x10},
      {"SYN with options", frame4(6, tcp(2, {}, be32(0x020405B4) + be32(0x01010101))), kTcp4, 48, 0x10002},
      {"SYN-ACK", frame4(6, tcp(0x12)), kTcp4, 40, 0x40002},
      {"RST with ACK", frame4(6, tcp(0x14)), kTcp4, 40, 4},
      {"FIN with ACK", frame4(6, tcp(0x11)), kTcp4, 40, 0x11},
      {"TCP without flags", frame4(6, tcp(0)), kTcp4, 40, 0},
      {"UDP", frame4(17, datagram), kUdp4, 58, 0},
      {"padded to the least Ethernet frame", frame4(17, udp(1000, 2000, "x")) + Bytes(17, '\0'), kUdp4, 29, 0},
      {"SCTP", frame4(132, datagram), "132 10.0.0.1:1000 10.0.0.2:2000", 58, 0},
      {"GRE has no ports", frame4(47, datagram), "47 10.0.0.1:0 10.0.0.2:0", 58, 0},
      {"echo request", frame4(1, icmp(8, 0, be32(0x00070001))), "1 10.0.0.1:7 10.0.0.2:2048", 28, 0},
      {"echo reply has the request's ports", frame4(1, icmp(0, 0, be32(0x00070001))), "1 10.0.0.1:7 10.0.0.2:2048", 28,
       WEIR_MARK_FIRST_REPLY},
      {"ICMPv6 echo reply", frame6(58, icmp(129, 0, be32(0x00070001))), "58 fd00::1:7 fd00::2:32768", 48,
       WEIR_MARK_FIRST_REPLY},
      {"fragmentation needed is no refusal", frame4(1, icmp(3, 4, be32(0) + quoted)), "1 10.0.0.1:0 10.0.0.2:772", 86,
       0},
      {"one VLAN tag", ethernet(0x8100, vlan(0x0800, ipv4(17, datagram))), kUdp4, 58, 0},
      {"two VLAN tags", ethernet(0x88A8, vlan(0x8100, vlan(0x0800, ipv4(17, datagram)))), kUdp4, 58, 0},
      {"IPv4 options", ethernet(0x0800, ipv4(17, datagram, 0, be32(0x01010101))), kUdp4, 62, 0},
      {"IPv6 extension headers", frame6(0, extension(60) + extension(43, 1) + extension(17, 2) + datagram),
       "17 fd00::1:1000 fd00::2:2000", 126, 0},
      {"authentication header", frame4(51, byte(17) + byte(1) + Bytes(10, '\0') + datagram), kUdp4, 70, 0},
      {"an atomic IPv6 fragment is whole", frame6(44, byte(17) + byte(0) + be16(0) + be32(9) + datagram),
       "17 fd00::1:1000 fd00::2:2000", 86, 0},
      {"a later fragment alone has no ports", ethernet(0x0800, ipv4(17, data, 3)), "17 10.0.0.1:0 10.0.0.2:0", 50, 0},
      {"length 0 is that of the frame", ethernet(0x0800, ipv4(17, datagram).replace(2, 2, be16(0))), kUdp4, 58, 0},
      {"ports cut off", frame4(17, datagram).substr(0, 14 + 20 + 3), "17 10.0.0.1:0 10.0.0.2:0", 58, 0},
      {"TCP header cut off", frame4(6, tcp(0x12)).substr(0, 14 + 20 + 19), kTcp4, 40, 0},
      {"TCP options cut off", frame4(6, tcp(2, {}, Bytes(20, '\1'))).substr(0, 14 + 20 + 30), kTcp4, 60, 0},
      {"TCP header length below 20", frame4(6, tcp(0x12).replace(12, 1, "\x40")), kTcp4, 40, 0},
      {"more IP than frame", frame4(17, datagram).substr(0, 50), kUdp4, 58, 0},
      {"IPv6 announced as IPv4", ethernet(0x0800, ipv6(17, datagram)), "17 fd00::1:1000 fd00::2:2000", 78, 0},
      {"ARP", ethernet(0x0806, Bytes(28, '\0')), ""},
      // The kernel does not run programs on shorter IP packets than that, if it can see that they are.
      {"IPv4 header cut off", ethernet(0x8100, vlan(0x0800, ipv4(17, datagram).substr(0, 19))), ""},
      {"IPv6 header cut off", ethernet(0x8100, vlan(0x86DD, ipv6(17, datagram).substr(0, 39))), ""},
      {"no more than a link layer", ethernet(0x8100, vlan(0x0800, "")), ""},
      {"VLAN tag cut off", ethernet(0x8100, be16(5)), ""},
      {"IPv4 header length below 20", ethernet(0x0800, ipv4(17, datagram).replace(0, 1, "\x44")), ""},
      {"total length below the header", ethernet(0x0800, ipv4(17, datagram).replace(2, 2, be16(19))), ""},
      {"version 5", ethernet(0x0800, ipv4(17, datagram).replace(0, 1, "\x55")), ""},
      {"IPv4 announced as IPv6", ethernet(0x86DD, ipv4(17, datagram)), ""},
  };
}

TEST_F(EbpfParseKernel, ReadsFramesAsTheyAre) {
  for (const Case& c : cases()) {
    for (const bool from_pod : {true, false}) {
      SCOPED_TRACE(std::string(c.name) + (from_pod ? ", from the pod" : ", to the pod"));
      forget_fragments();
      run(c.frame, from_pod);
      const auto flows = take();
      ASSERT_EQ(flows.size(), *c.tuple == 0 ? 0u : 1u);
      if (flows.empty()) continue;
      const weir_flow& flow = flows[0].value;
      const int side = from_pod ? WEIR_OUT : WEIR_IN;
      model::Tuple tuple = tuple_of(flows[0].key);
      if (!from_pod) std::swap(tuple.source, tuple.dest);
      if (!from_pod && tuple.protocol != 1 && tuple.protocol != 58) std::swap(tuple.source_port, tuple.dest_port);
      EXPECT_EQ(text_of(tuple), c.tuple);
      EXPECT_EQ(flow.packets[side], 1u);
      EXPECT_EQ(flow.bytes[side], c.bytes);
      EXPECT_EQ(flow.packets[1 - side] + flow.bytes[1 - side], 0u);
      std::uint32_t want = c.marks;
      // The marks of the other side lie beside those of this one.
      if (!from_pod) want = (want & 0xFF) << 8 | (want & 0x50000) << 1 | (want & WEIR_MARK_FIRST_REPLY);
      EXPECT_EQ(flow.marks, want | (from_pod ? WEIR_MARK_FIRST_OUT : 0));
    }
  }
}

TEST_F(EbpfParseKernel, LaterFragmentsHaveThePortsOfTheirFirst) {
  constexpr unsigned kMore = 0x2000;
  run(ethernet(0x0800, ipv4(17, udp(1000, 2000, Bytes(40, 'x')), kMore)));
  run(ethernet(0x0800, ipv4(17, Bytes(16, 'y'), 6 | kMore)));
  run(ethernet(0x0800, ipv4(17, Bytes(9, 'z'), 8)));
  const auto flows = take();
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].value.packets[WEIR_OUT], 3u);
  EXPECT_EQ(flows[0].value.bytes[WEIR_OUT], 68u + 36u + 29u);
  EXPECT_EQ(counters().orphan_fragments, 0u);
  // Another datagram's.
  run(ethernet(0x0800, ipv4(17, Bytes(9, 'z'), 8).replace(4, 2, be16(78))));
  EXPECT_EQ(counters().orphan_fragments, 1u);
}

TEST_F(EbpfParseKernel, ALargePacketCountsAsItsSegments) {
  struct Row {
    const char* name;
    Bytes frame;
    unsigned segments, size;
    std::uint64_t packets, bytes;
  };
  const Bytes data(3000, 'x');
  const Row rows[] = {
      {"TCP", frame4(6, tcp(0x10, data)), 3, 1000, 3, 3040 + 2 * 40},
      {"TCP with options", frame4(6, tcp(0x10, data, Bytes(12, '\1'))), 3, 1000, 3, 3052 + 2 * 52},
      {"TCP, IPv6", frame6(6, tcp(0x10, data)), 3, 1000, 3, 3060 + 2 * 60},
      {"UDP", frame4(17, udp(1, 2, data)), 3, 1000, 3, 3028 + 2 * 28},
      {"number not known", frame4(6, tcp(0x10, data)), 0, 1448, 3, 3040 + 2 * 40},
      {"none", frame4(6, tcp(0x10, data)), 0, 0, 1, 3040},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    run(row.frame, true, row.segments, row.size);
    const auto flows = take();
    ASSERT_EQ(flows.size(), 1u);
    EXPECT_EQ(flows[0].value.packets[WEIR_OUT], row.packets);
    EXPECT_EQ(flows[0].value.bytes[WEIR_OUT], row.bytes);
  }
}

TEST_F(EbpfParseKernel, TheFlagsAfterASecondSynAreTheSecondConnections) {
  for (const unsigned flags : {2u, 0x10u, 0x11u}) run(frame4(6, tcp(flags)));
  for (const unsigned flags : {0x12u, 0x10u, 0x11u}) {
    Bytes answer = tcp(flags);
    answer.replace(0, 4, be16(80) + be16(40000));
    Bytes ip = ipv4(6, answer);
    ip.replace(12, 8, be32(0x0A000002) + be32(0x0A000001));
    run(ethernet(0x0800, ip), false);
  }
  run(frame4(6, tcp(2)));
  const auto flows = take();
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].value.marks & WEIR_MARKS_TCP, 2 | WEIR_MARK_SYN(WEIR_OUT));
  EXPECT_TRUE((flows[0].value.marks & WEIR_MARK_REOPENED) != 0);
  EXPECT_EQ(flows[0].value.packets[WEIR_OUT], 4u);
}

/// Whether the decoder's answer and the program's are the same.
void expect_as_decoded(const packet::DecodedPacket& p, const std::vector<Flow>& flows) {
  model::Tuple quoted = p.quoted;
  const bool mark = p.icmp_unreachable;
  const Flow* own = nullptr;
  bool marked = false;
  for (const Flow& flow : flows) {
    if (flow.value.packets[WEIR_OUT] != 0) own = &flow;
    marked |= (flow.value.marks & WEIR_MARK_UNREACHABLE) != 0;
    if ((flow.value.marks & WEIR_MARK_UNREACHABLE) == 0) continue;
    // It quotes what the error's receiver sent.
    model::Tuple as_sent = tuple_of(flow.key);
    std::swap(as_sent.source, as_sent.dest);
    if (as_sent.protocol != 1 && as_sent.protocol != 58) std::swap(as_sent.source_port, as_sent.dest_port);
    EXPECT_EQ(text_of(as_sent), text_of(quoted));
  }
  ASSERT_NE(own, nullptr);
  EXPECT_EQ(text_of(tuple_of(own->key)), text_of(p.tuple));
  EXPECT_EQ(own->value.bytes[WEIR_OUT], p.ip_bytes);
  EXPECT_EQ(own->value.first_flags, p.tcp_flags);
  EXPECT_EQ((own->value.marks & WEIR_MARK_FIRST_REPLY) != 0, p.icmp_reply);
  // Of a quoted fragment the decoder tells the ports 0, which is nobody's connection.
  if (quoted.source_port == 0 && quoted.dest_port == 0 && mark) return;
  EXPECT_EQ(marked, mark);
}

TEST_F(EbpfParseKernel, ReadsDamagedFramesAsTheDecoderDoes) {
  const Bytes data(24, 'x');
  std::vector<Bytes> seeds;
  for (const Case& c : cases()) {
    if (c.frame.size() > 20) seeds.push_back(c.frame);
  }
  seeds.push_back(frame4(1, icmp(3, 3, be32(0) + ipv4(17, udp(2000, 1000, data)))));
  seeds.push_back(frame4(1, icmp(3, 1, be32(0) + ipv4(6, tcp(2)))));
  seeds.push_back(frame6(58, icmp(1, 4, be32(0) + ipv6(17, udp(2000, 1000, data)))));
  seeds.push_back(frame6(58, icmp(1, 0, be32(0) + ipv6(0, extension(60) + extension(6) + tcp(2)))));
  std::mt19937 random(1);
  packet::Decoder decoder({.outer = true, .vxlan_ports = {}});
  std::size_t metered = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (i % 100 == 0) {
      forget_fragments();
      decoder = packet::Decoder({.outer = true, .vxlan_ports = {}});
    }
    Bytes frame = seeds[random() % seeds.size()];
    // The link layer stays: the program knows fewer of them than the decoder.
    const std::size_t l3 = frame[12] == '\x81' ? 18 : frame[12] == '\x88' ? 22 : 14;
    for (unsigned flips = random() % 4; flips > 0 && l3 < frame.size(); --flips) {
      char& at = frame[l3 + random() % std::min<std::size_t>(frame.size() - l3, 80)];
      at = random() % 2 == 0 ? static_cast<char>(random()) : static_cast<char>(at ^ (1 << random() % 8));
    }
    const std::size_t least = frame[12] == '\x08' ? 34 : frame[12] == '\x86' ? 54 : 14;
    if (random() % 4 == 0 && frame.size() > least) frame.resize(least + random() % (frame.size() - least));
    const packet::PacketView view{reinterpret_cast<const std::uint8_t*>(frame.data()),
                                  static_cast<std::uint32_t>(frame.size()), static_cast<std::uint32_t>(frame.size()),
                                  1};
    packet::DecodedPacket p;
    const weir_counters before = counters();
    const packet::DecodeStatus status = decoder.decode(view, p);
    run(frame);
    const auto flows = take();
    const weir_counters after = counters();
    SCOPED_TRACE(std::to_string(i) + " " + testing::PrintToString(frame) + " " + packet::to_string(status));
    EXPECT_EQ(after.not_ip - before.not_ip, status == packet::DecodeStatus::kNotIp);
    EXPECT_EQ(after.truncated - before.truncated, status == packet::DecodeStatus::kTruncated);
    EXPECT_EQ(after.malformed - before.malformed, status == packet::DecodeStatus::kMalformed);
    if (status == packet::DecodeStatus::kOk) {
      ++metered;
      expect_as_decoded(p, flows);
    } else {
      EXPECT_TRUE(flows.empty());
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(metered, 10'000u);
  EXPECT_GT(decoder.stats().frames[0], 0u);
}

}  // namespace
}  // namespace weir::capture
