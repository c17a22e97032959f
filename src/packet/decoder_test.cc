#include "packet/decoder.h"

#include <gtest/gtest.h>

#include <string>

#include "model/protocol.h"
#include "tests/support/frame_bytes.h"

namespace weir::packet {
namespace {

using namespace tests;  // NOLINT(google-build-using-namespace): the vocabulary of this file

constexpr std::uint16_t kEthernet = 1;

PacketView view_of(const Bytes& frame, std::uint16_t link_type = kEthernet) {
  const auto size = static_cast<std::uint32_t>(frame.size());
  return {frame.data(), size, size, 1'000'000'000, link_type};
}

/// "proto source:port > dest:port ip_bytes", or why not.
std::string text_of(DecodeStatus status, const DecodedPacket& p) {
  if (status != DecodeStatus::kOk) return to_string(status);
  return model::protocol_name(p.tuple.protocol) + " " + p.tuple.source.to_string() + ":" +
         std::to_string(p.tuple.source_port) + " > " + p.tuple.dest.to_string() + ":" +
         std::to_string(p.tuple.dest_port) + " " + std::to_string(p.ip_bytes);
}

std::string decode(const Bytes& frame, std::uint16_t link_type = kEthernet, const Decoder::Options& options = {}) {
  Decoder decoder(options);
  DecodedPacket p;
  const DecodeStatus status = decoder.decode(view_of(frame, link_type), p);
  return text_of(status, p);
}

const Bytes kData = hex("01 02 03 04");
const Bytes kUdp4 = ipv4(17, "10.0.0.1", "10.0.0.2", udp(1000, 53, kData));
const Bytes kTcp6 = ipv6(6, "2001:db8::1", "2001:db8::2", tcp(2000, 80, kTcpAck, kData));
constexpr const char* kUdp4Text = "udp 10.0.0.1:1000 > 10.0.0.2:53 32";
constexpr const char* kTcp6Text = "tcp 2001:db8::1:2000 > 2001:db8::2:80 64";

TEST(Decoder, PassesOnAtWhichPodsInterfaceItWas) {
  const Bytes frames[] = {ethernet(0x0800, kUdp4), ethernet(0x86DD, kTcp6),
                          ethernet(0x8100, join({hex("00050800"), kUdp4}))};
  for (const Bytes& frame : frames) {
    for (const bool from_pod : {false, true}) {
      PacketView view = view_of(frame);
      view.zone = 40'000;
      view.from_pod = from_pod;
      Decoder decoder;
      DecodedPacket p;
      ASSERT_EQ(decoder.decode(view, p), DecodeStatus::kOk);
      EXPECT_EQ(p.zone, 40'000);
      EXPECT_EQ(p.from_pod, from_pod);
      // The same object, next time from a file.
      ASSERT_EQ(decoder.decode(view_of(frame), p), DecodeStatus::kOk);
      EXPECT_EQ(p.zone, 0);
      EXPECT_FALSE(p.from_pod);
    }
  }
}

TEST(Decoder, FindsIpBehindEveryLinkType) {
  const Bytes snap = hex("aaaa03 000000 0800");
  const struct {
    const char* name;
    std::uint16_t link_type;
    Bytes frame;
    const char* want;
  } cases[] = {
      {"ethernet", 1, ethernet(0x0800, kUdp4), kUdp4Text},
      {"ethernet, IPv6", 1, ethernet(0x86DD, kTcp6), kTcp6Text},
      {"802.3 with LLC and SNAP", 1, ethernet(static_cast<std::uint16_t>(8 + kUdp4.size()), join({snap, kUdp4})),
       kUdp4Text},
      {"802.3 with LLC IP", 1, ethernet(static_cast<std::uint16_t>(3 + kUdp4.size()), join({hex("060603"), kUdp4})),
       kUdp4Text},
      {"ARP", 1, ethernet(0x0806, Bytes(28)), "not_ip"},
      {"spanning tree", 1, ethernet(38, join({hex("424203"), Bytes(35)})), "not_ip"},
      {"raw", 101, kUdp4, kUdp4Text},
      {"raw, BSD", 12, kTcp6, kTcp6Text},
      {"raw, OpenBSD", 14, kUdp4, kUdp4Text},
      {"IPv4", 228, kUdp4, kUdp4Text},
      {"IPv6", 229, kTcp6, kTcp6Text},
      {"IPv6 that is none", 229, kUdp4, "malformed"},
      {"Linux cooked", 113, join({hex("0000 0001 0006 020000000001 0000 0800"), kUdp4}), kUdp4Text},
      {"Linux cooked v2", 276, join({hex("86dd 0000 00000002 0001 00 06 0200000000010000"), kTcp6}), kTcp6Text},
      {"loopback, little-endian", 0, join({hex("02000000"), kUdp4}), kUdp4Text},
      {"loopback, big-endian", 0, join({hex("0000001e"), kTcp6}), kTcp6Text},
      {"loop", 108, join({hex("00000002"), kUdp4}), kUdp4Text},
      {"PPP", 9, join({hex("ff03 0021"), kUdp4}), kUdp4Text},
      {"PPP, compressed", 9, join({hex("21"), kUdp4}), kUdp4Text},
      {"PPP, IPv6", 50, join({hex("ff03 0057"), kTcp6}), kTcp6Text},
      {"PPP or Cisco HDLC", 50, join({hex("0f00 0800"), kUdp4}), kUdp4Text},
      {"PPPoE as link type", 51, join({hex("1100 0001 0022 0021"), kUdp4}), kUdp4Text},
      {"Cisco HDLC", 104, join({hex("0f00 86dd"), kTcp6}), kTcp6Text},
      {"802.11 data", 105, join({hex("0801 0000"), Bytes(20), snap, kUdp4}), kUdp4Text},
      {"802.11 QoS data", 105, join({hex("8801 0000"), Bytes(22), snap, kUdp4}), kUdp4Text},
      {"802.11 four addresses", 105, join({hex("0803 0000"), Bytes(26), snap, kUdp4}), kUdp4Text},
      {"802.11 encrypted", 105, join({hex("0841 0000"), Bytes(20), snap, kUdp4}), "not_ip"},
      {"802.11 beacon", 105, join({hex("8000 0000"), Bytes(40)}), "not_ip"},
      {"radiotap", 127, join({hex("00 00 0800 00000000 0801 0000"), Bytes(20), snap, kUdp4}), kUdp4Text},
      {"USB", 220, kUdp4, "unknown_link_type"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(decode(c.frame, c.link_type), c.want);
  }
}

TEST(Decoder, PeelsTagsAndLabels) {
  const Bytes pppoe = join({hex("1100 0001"), be16(2 + kUdp4.size()), hex("0021"), kUdp4, Bytes(6)});
  const struct {
    const char* name;
    Bytes frame;
    const char* want;
  } cases[] = {
      {"VLAN", ethernet(0x8100, join({hex("0005 0800"), kUdp4})), kUdp4Text},
      {"QinQ", ethernet(0x88A8, join({hex("0005 8100 0006 86dd"), kTcp6})), kTcp6Text},
      {"old QinQ", ethernet(0x9100, join({hex("0005 0800"), kUdp4})), kUdp4Text},
      {"MPLS", ethernet(0x8847, join({hex("00010040 00020140"), kUdp4})), kUdp4Text},
      {"MPLS, IPv6", ethernet(0x8848, join({hex("00020140"), kTcp6})), kTcp6Text},
      {"MPLS pseudowire with control word", ethernet(0x8847, join({hex("00020140 00000000"), ethernet(0x0800, kUdp4)})),
       kUdp4Text},
      {"MPLS pseudowire", ethernet(0x8847, join({hex("00020140"), ethernet(0x0800, kUdp4)})), kUdp4Text},
      {"MPLS with something else", ethernet(0x8847, join({hex("00020140"), Bytes(40, 0x33)})), "not_ip"},
      {"PPPoE session", ethernet(0x8864, pppoe), kUdp4Text},
      {"PPPoE discovery", ethernet(0x8863, Bytes(40)), "not_ip"},
      {"802.1ah", ethernet(0x88E7, join({hex("00000001"), ethernet(0x0800, kUdp4)})), kUdp4Text},
      {"MACsec in the clear", ethernet(0x88E5, join({hex("00 00 00000001 0800"), kUdp4})), kUdp4Text},
      {"MACsec in the clear, with SCI", ethernet(0x88E5, join({hex("20 00 00000001"), Bytes(8), hex("0800"), kUdp4})),
       kUdp4Text},
      {"MACsec encrypted", ethernet(0x88E5, join({hex("0c 00 00000001 0800"), kUdp4})), "not_ip"},
      {"Cisco metadata", ethernet(0x8909, join({hex("01 01 0001 0000 0800"), kUdp4})), kUdp4Text},
      {"tag cut off", ethernet(0x8100, hex("0005")), "truncated"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(decode(c.frame), c.want);
  }
}

TEST(Decoder, MetersTheInnermostIpOfATunnelOrTheOutermost) {
  const auto outer4 = [](std::uint8_t protocol, const Bytes& payload) {
    return ethernet(0x0800, ipv4(protocol, "192.0.2.1", "192.0.2.2", payload));
  };
  const auto over_udp = [&](std::uint16_t port, const Bytes& payload) { return outer4(17, udp(7777, port, payload)); };
  const Bytes inner = ethernet(0x0800, kUdp4);
  const struct {
    const char* name;
    Bytes frame;
    const char* want;
    std::string outer;
  } cases[] = {
      {"IP in IP", outer4(4, kUdp4), kUdp4Text, "ipip 192.0.2.1:0 > 192.0.2.2:0 52"},
      {"6in4", outer4(41, kTcp6), kTcp6Text, "41 192.0.2.1:0 > 192.0.2.2:0 84"},
      {"4in6", ethernet(0x86DD, ipv6(4, "2001:db8::a", "2001:db8::b", kUdp4)), kUdp4Text,
       "ipip 2001:db8::a:0 > 2001:db8::b:0 72"},
      {"GRE", outer4(47, join({hex("0000 0800"), kUdp4})), kUdp4Text, "47 192.0.2.1:0 > 192.0.2.2:0 56"},
      {"GRE, checksum, key, sequence", outer4(47, join({hex("b000 86dd 00000000 00000001 00000002"), kTcp6})),
       kTcp6Text, "47 192.0.2.1:0 > 192.0.2.2:0 100"},
      {"GRE, PPP", outer4(47, join({hex("3081 880b 0022 0001 00000001 00000002 ff03 0021"), kUdp4})), kUdp4Text,
       "47 192.0.2.1:0 > 192.0.2.2:0 72"},
      {"GRE, Ethernet", outer4(47, join({hex("2000 6558 00000001"), inner})), kUdp4Text,
       "47 192.0.2.1:0 > 192.0.2.2:0 74"},
      {"GRE keep-alive", outer4(47, hex("0000 0000")), "47 192.0.2.1:0 > 192.0.2.2:0 24",
       "47 192.0.2.1:0 > 192.0.2.2:0 24"},
      {"ERSPAN I", outer4(47, join({hex("0000 88be"), inner})), kUdp4Text, "47 192.0.2.1:0 > 192.0.2.2:0 70"},
      {"ERSPAN II", outer4(47, join({hex("1000 88be 00000001"), Bytes(8), inner})), kUdp4Text,
       "47 192.0.2.1:0 > 192.0.2.2:0 82"},
      {"ERSPAN III", outer4(47, join({hex("1000 22eb 00000001"), Bytes(12), inner})), kUdp4Text,
       "47 192.0.2.1:0 > 192.0.2.2:0 86"},
      {"MPLS in IP", outer4(137, join({hex("00020140"), kUdp4})), kUdp4Text, "137 192.0.2.1:0 > 192.0.2.2:0 56"},
      {"Ethernet in IP", outer4(97, join({hex("3000"), inner})), kUdp4Text, "97 192.0.2.1:0 > 192.0.2.2:0 68"},
      {"VXLAN", over_udp(4789, join({hex("08000000 00000100"), inner})), kUdp4Text,
       "udp 192.0.2.1:7777 > 192.0.2.2:4789 82"},
      {"VXLAN without its flag", over_udp(4789, join({hex("00000000 00000100"), inner})),
       "udp 192.0.2.1:7777 > 192.0.2.2:4789 82", "udp 192.0.2.1:7777 > 192.0.2.2:4789 82"},
      {"VXLAN, ARP inside", over_udp(4789, join({hex("08000000 00000100"), ethernet(0x0806, Bytes(28))})),
       "udp 192.0.2.1:7777 > 192.0.2.2:4789 78", "udp 192.0.2.1:7777 > 192.0.2.2:4789 78"},
      {"VXLAN-GPE", over_udp(4790, join({hex("0c000002 00000100"), kTcp6})), kTcp6Text,
       "udp 192.0.2.1:7777 > 192.0.2.2:4790 100"},
      {"Geneve with options", over_udp(6081, join({hex("0100 6558 00000100 00000000"), inner})), kUdp4Text,
       "udp 192.0.2.1:7777 > 192.0.2.2:6081 86"},
      {"GTP-U", over_udp(2152, join({hex("30ff 0020 00000001"), kUdp4})), kUdp4Text,
       "udp 192.0.2.1:7777 > 192.0.2.2:2152 68"},
      {"GTP-U with extension", over_udp(2152, join({hex("34ff 0028 00000001 00000085 01000000"), kUdp4})), kUdp4Text,
       "udp 192.0.2.1:7777 > 192.0.2.2:2152 76"},
      {"GTP-U echo", over_udp(2152, join({hex("3201 0004 00000000"), kUdp4})), "udp 192.0.2.1:7777 > 192.0.2.2:2152 68",
       "udp 192.0.2.1:7777 > 192.0.2.2:2152 68"},
      {"Teredo", over_udp(3544, kTcp6), kTcp6Text, "udp 192.0.2.1:7777 > 192.0.2.2:3544 92"},
      {"Teredo with authentication and origin",
       over_udp(3544, join({hex("0001 0000 0000000000000000 00 0000 eeee ffffffff"), kTcp6})), kTcp6Text,
       "udp 192.0.2.1:7777 > 192.0.2.2:3544 113"},
      {"a tunnel in a tunnel", outer4(4, ipv4(4, "192.0.2.3", "192.0.2.4", kUdp4)), kUdp4Text,
       "ipip 192.0.2.1:0 > 192.0.2.2:0 72"},
      {"a tunnel that carries no IP header", outer4(4, Bytes(20, 0x11)), "ipip 192.0.2.1:0 > 192.0.2.2:0 40",
       "ipip 192.0.2.1:0 > 192.0.2.2:0 40"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(decode(c.frame), c.want);
    EXPECT_EQ(decode(c.frame, kEthernet, {.outer = true, .vxlan_ports = {}}), c.outer);
  }
}

TEST(Decoder, ReadsVxlanOnItsOtherPortsOnlyIfTold) {
  const Bytes frame = ethernet(0x0800, ipv4(17, "192.0.2.1", "192.0.2.2",
                                            udp(7, 8472, join({hex("08000000 00000100"), ethernet(0x0800, kUdp4)}))));
  EXPECT_EQ(decode(frame), "udp 192.0.2.1:7 > 192.0.2.2:8472 82");
  EXPECT_EQ(decode(frame, kEthernet, {.outer = false, .vxlan_ports = {8472}}), kUdp4Text);
}

TEST(Decoder, StopsAtItsLayerLimit) {
  Bytes packet = kUdp4;
  for (int i = 0; i < 200; ++i) packet = ipv4(4, "192.0.2.1", "192.0.2.2", packet);
  EXPECT_EQ(decode(ethernet(0x0800, packet)), "ipip 192.0.2.1:0 > 192.0.2.2:0 2812");
}

TEST(Decoder, ReadsIpHeadersOfEveryShape) {
  const Bytes segment = tcp(2000, 80, kTcpAck, kData);
  const auto v6 = [&](std::uint8_t next, const Bytes& payload) {
    return ethernet(0x86DD, ipv6(next, "2001:db8::1", "2001:db8::2", payload));
  };
  const struct {
    const char* name;
    Bytes frame;
    const char* want;
  } cases[] = {
      {"IPv4 options", ethernet(0x0800, ipv4(17, "10.0.0.1", "10.0.0.2", udp(1, 2, {}), {.options = Bytes(8, 1)})),
       "udp 10.0.0.1:1 > 10.0.0.2:2 36"},
      {"padding is not counted", ethernet(0x0800, join({kUdp4, Bytes(14)})), kUdp4Text},
      {"total length 0 is the rest",
       ethernet(0x0800, ipv4(17, "10.0.0.1", "10.0.0.2", udp(1, 2, kData), {.total_length = 0})),
       "udp 10.0.0.1:1 > 10.0.0.2:2 32"},
      {"total length below the header", ethernet(0x0800, ipv4(17, "10.0.0.1", "10.0.0.2", kData, {.total_length = 19})),
       "malformed"},
      {"header length below 20", ethernet(0x0800, hex("44000018 00000000 40110000 0a000001 0a000002 00010002")),
       "malformed"},
      {"version 5", ethernet(0x0800, join({hex("55"), Bytes(40)})), "malformed"},
      {"19 bytes", ethernet(0x0800, hex("45000020 00000000 40110000 0a000001 0a0000")), "truncated"},
      {"IPv6, 39 bytes", ethernet(0x86DD, Bytes(kTcp6.begin(), kTcp6.begin() + 39)), "truncated"},
      {"hop by hop", v6(0, join({hex("06 00 0000 00000000"), segment})), "tcp 2001:db8::1:2000 > 2001:db8::2:80 72"},
      {"routing, destination options, AH",
       v6(43, join({hex("3c 00 0000 00000000 33 00 0000 00000000 06 01 0000 00000001 00000001"), segment})),
       "tcp 2001:db8::1:2000 > 2001:db8::2:80 92"},
      {"atomic fragment", v6(44, join({hex("06 00 0000 00000009"), segment})),
       "tcp 2001:db8::1:2000 > 2001:db8::2:80 72"},
      {"no next header", v6(59, {}), "59 2001:db8::1:0 > 2001:db8::2:0 40"},
      {"extension header cut off", v6(0, hex("06 05 0000 00000000")), "tcp 2001:db8::1:0 > 2001:db8::2:0 48"},
      {"SCTP", ethernet(0x0800, ipv4(132, "10.0.0.1", "10.0.0.2", hex("0001 0002 00000000 00000000"))),
       "sctp 10.0.0.1:1 > 10.0.0.2:2 32"},
      {"UDP-Lite", ethernet(0x0800, ipv4(136, "10.0.0.1", "10.0.0.2", udp(1, 2, {}))),
       "136 10.0.0.1:1 > 10.0.0.2:2 28"},
      {"ESP", ethernet(0x0800, ipv4(50, "10.0.0.1", "10.0.0.2", Bytes(12))), "esp 10.0.0.1:0 > 10.0.0.2:0 32"},
      {"ports cut off", ethernet(0x0800, ipv4(6, "10.0.0.1", "10.0.0.2", hex("0001 00"))),
       "tcp 10.0.0.1:0 > 10.0.0.2:0 23"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(decode(c.frame), c.want);
  }
}

TEST(Decoder, GivesIcmpThePortsOfItsRequest) {
  const struct {
    const char* name;
    std::uint8_t protocol, type, code;
    std::uint16_t source_port, dest_port;
  } cases[] = {
      {"echo request", 1, 8, 0, 0x1234, 0x0800},         {"echo reply", 1, 0, 0, 0x1234, 0x0800},
      {"timestamp", 1, 13, 0, 0x1234, 0x0D00},           {"timestamp reply", 1, 14, 0, 0x1234, 0x0D00},
      {"address mask reply", 1, 18, 0, 0x1234, 0x1100},  {"unreachable", 1, 3, 1, 0, 0x0301},
      {"echo request v6", 58, 128, 0, 0x1234, 0x8000},   {"echo reply v6", 58, 129, 0, 0x1234, 0x8000},
      {"neighbour solicitation", 58, 135, 0, 0, 0x8700},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const Bytes message = icmp(c.type, c.code, 0x12340001);
    const Bytes frame = c.protocol == 1 ? ethernet(0x0800, ipv4(1, "10.0.0.1", "10.0.0.2", message))
                                        : ethernet(0x86DD, ipv6(58, "2001:db8::1", "2001:db8::2", message));
    Decoder decoder;
    DecodedPacket p;
    ASSERT_EQ(decoder.decode(view_of(frame), p), DecodeStatus::kOk);
    EXPECT_EQ(p.tuple.source_port, c.source_port);
    EXPECT_EQ(p.tuple.dest_port, c.dest_port);
    EXPECT_FALSE(p.icmp_error);
    EXPECT_EQ(p.icmp_reply, std::string(c.name).find("reply") != std::string::npos);
  }
}

TEST(Decoder, ReadsWhatAnIcmpErrorQuotes) {
  const Bytes quoted = ipv4(17, "10.0.0.1", "10.0.0.9", udp(1000, 53, {}), {.total_length = 400});
  const Bytes frame = ethernet(0x0800, ipv4(1, "10.0.0.254", "10.0.0.1", icmp(3, 3, 0, quoted)));
  Decoder decoder;
  DecodedPacket p;
  ASSERT_EQ(decoder.decode(view_of(frame), p), DecodeStatus::kOk);
  ASSERT_TRUE(p.icmp_error);
  EXPECT_TRUE(p.icmp_unreachable);
  EXPECT_EQ(p.quoted.source.to_string(), "10.0.0.1");
  EXPECT_EQ(p.quoted.dest.to_string(), "10.0.0.9");
  EXPECT_EQ(p.quoted.source_port, 1000);
  EXPECT_EQ(p.quoted.dest_port, 53);
  EXPECT_EQ(p.quoted.protocol, model::kProtoUdp);

  const Bytes too_little =
      ethernet(0x0800, ipv4(1, "10.0.0.254", "10.0.0.1", icmp(3, 3, 0, Bytes(quoted.begin(), quoted.begin() + 22))));
  ASSERT_EQ(decoder.decode(view_of(too_little), p), DecodeStatus::kOk);
  EXPECT_FALSE(p.icmp_error);

  const Bytes too_big = ethernet(0x86DD, ipv6(58, "2001:db8::f", "2001:db8::1", icmp(2, 0, 1280, kTcp6)));
  ASSERT_EQ(decoder.decode(view_of(too_big), p), DecodeStatus::kOk);
  EXPECT_TRUE(p.icmp_error);
  EXPECT_FALSE(p.icmp_unreachable);
  EXPECT_EQ(p.quoted.dest_port, 80);
}

TEST(Decoder, ReadsTheTcpHeaderAndPayload) {
  const Bytes options = hex("01 01 0402 0204 05b4");
  const Bytes frame =
      ethernet(0x0800, join({ipv4(6, "10.0.0.1", "10.0.0.2", tcp(1, 2, kTcpSyn, kData, options)), Bytes(6)}));
  Decoder decoder;
  DecodedPacket p;
  ASSERT_EQ(decoder.decode(view_of(frame), p), DecodeStatus::kOk);
  EXPECT_TRUE(p.tcp_valid);
  EXPECT_EQ(p.tcp_flags, kTcpSyn);
  EXPECT_EQ(p.tcp_seq, 0x01020304u);
  EXPECT_EQ(p.tcp_ack, 0x05060708u);
  EXPECT_EQ(p.tcp_window, 4096);
  EXPECT_EQ(p.tcp_mss, 1460);
  EXPECT_EQ(Bytes(p.payload, p.payload + p.payload_captured), kData);
  EXPECT_EQ(p.payload_bytes, 4u);

  // Captured to the second byte of the payload.
  PacketView cut = view_of(frame);
  cut.captured_bytes = 14 + 20 + 28 + 2;
  ASSERT_EQ(decoder.decode(cut, p), DecodeStatus::kOk);
  EXPECT_EQ(p.payload_captured, 2u);
  EXPECT_EQ(p.payload_bytes, 4u);
  // Captured into the options: ports and flags are known, the header is not whole.
  cut.captured_bytes = 14 + 20 + 22;
  ASSERT_EQ(decoder.decode(cut, p), DecodeStatus::kOk);
  EXPECT_FALSE(p.tcp_valid);
  EXPECT_EQ(p.tuple.dest_port, 2);
  EXPECT_EQ(p.payload_bytes, 4u);
  EXPECT_EQ(p.payload_captured, 0u);
  EXPECT_EQ(decoder.stats().transport_unreadable, 1u);
}

TEST(Decoder, GivesLaterFragmentsThePortsOfTheirFirst) {
  const Bytes message = udp(1000, 53, Bytes(24, 7));
  const auto v4 = [&](std::uint16_t id, std::size_t from, std::size_t to, bool more) {
    const Bytes piece(message.begin() + static_cast<long>(from), message.begin() + static_cast<long>(to));
    return ethernet(0x0800, ipv4(17, "10.0.0.1", "10.0.0.2", piece,
                                 {.id = id, .more_fragments = more, .offset = static_cast<std::uint16_t>(from)}));
  };
  Decoder decoder;
  DecodedPacket p;
  ASSERT_EQ(decoder.decode(view_of(v4(7, 16, 32, false)), p), DecodeStatus::kOk);
  EXPECT_TRUE(p.later_fragment);
  EXPECT_EQ(p.tuple.source_port, 0);
  EXPECT_EQ(decoder.stats().orphan_fragments, 1u);

  ASSERT_EQ(decoder.decode(view_of(v4(7, 0, 16, true)), p), DecodeStatus::kOk);
  EXPECT_TRUE(p.fragment && p.more_fragments && !p.later_fragment);
  EXPECT_EQ(p.payload_bytes, 8u);
  EXPECT_EQ(p.fragment_id, 7u);

  const Bytes last = v4(7, 16, 32, false);
  ASSERT_EQ(decoder.decode(view_of(last), p), DecodeStatus::kOk);
  EXPECT_TRUE(p.fragment && p.later_fragment && !p.more_fragments);
  EXPECT_EQ(p.tuple.source_port, 1000);
  EXPECT_EQ(p.tuple.dest_port, 53);
  EXPECT_EQ(p.ip_bytes, 36u);
  EXPECT_EQ(p.fragment_offset, 16);
  EXPECT_EQ(p.payload_bytes, 16u);
  EXPECT_EQ(p.payload_captured, 16u);

  PacketView late = view_of(last);
  late.time_ns += 61'000'000'000;
  ASSERT_EQ(decoder.decode(late, p), DecodeStatus::kOk);
  EXPECT_EQ(p.tuple.source_port, 0);
  EXPECT_EQ(decoder.stats().orphan_fragments, 2u);
  EXPECT_EQ(decoder.stats().later_fragments, 3u);
}

TEST(Decoder, GivesIpv6FragmentsTheTransportBehindTheirExtensionHeaders) {
  const Bytes first = join({hex("3c 00 0001 00000009 11 00 0000 00000000"), udp(1000, 53, Bytes(8))});
  const Bytes second = join({hex("3c 00 0018 00000009"), Bytes(8)});
  Decoder decoder;
  DecodedPacket p;
  ASSERT_EQ(decoder.decode(view_of(ethernet(0x86DD, ipv6(44, "2001:db8::1", "2001:db8::2", first))), p),
            DecodeStatus::kOk);
  EXPECT_TRUE(p.fragment);
  const Bytes frame = ethernet(0x86DD, ipv6(44, "2001:db8::1", "2001:db8::2", second));
  ASSERT_EQ(decoder.decode(view_of(frame), p), DecodeStatus::kOk);
  EXPECT_TRUE(p.later_fragment);
  EXPECT_EQ(p.tuple.protocol, model::kProtoUdp);
  EXPECT_EQ(p.tuple.dest_port, 53);
  EXPECT_EQ(p.fragment_offset, 24);
}

TEST(Decoder, LeavesOutLaterFragmentsOfATunnelThatItLookedInto) {
  const Bytes message = udp(7777, 4789, join({hex("08000000 00000100"), ethernet(0x0800, kUdp4)}));
  const auto piece = [&](std::size_t from, std::size_t to, bool more) {
    const Bytes bytes(message.begin() + static_cast<long>(from), message.begin() + static_cast<long>(to));
    return ethernet(0x0800, ipv4(17, "192.0.2.1", "192.0.2.2", bytes,
                                 {.more_fragments = more, .offset = static_cast<std::uint16_t>(from)}));
  };
  const Bytes first = piece(0, 56, true), last = piece(56, message.size(), false);
  Decoder inner, outer({.outer = true, .vxlan_ports = {}});
  DecodedPacket p;
  DecodeStatus status = inner.decode(view_of(first), p);
  EXPECT_EQ(text_of(status, p), kUdp4Text);
  EXPECT_EQ(inner.decode(view_of(last), p), DecodeStatus::kTunnelFragment);

  status = outer.decode(view_of(first), p);
  EXPECT_EQ(text_of(status, p), "udp 192.0.2.1:7777 > 192.0.2.2:4789 76");
  status = outer.decode(view_of(last), p);
  EXPECT_EQ(text_of(status, p), "udp 192.0.2.1:7777 > 192.0.2.2:4789 26");
}

TEST(Decoder, CountsFramesByStatus) {
  Decoder decoder;
  DecodedPacket p;
  const Bytes arp = ethernet(0x0806, Bytes(28)), good = ethernet(0x0800, kUdp4);
  const Bytes tunnel = ethernet(0x0800, ipv4(4, "192.0.2.1", "192.0.2.2", kUdp4));
  for (const Bytes* frame : {&arp, &good, &good, &tunnel}) (void)decoder.decode(view_of(*frame), p);
  EXPECT_EQ(decoder.stats().frames, (std::array<std::uint64_t, kDecodeStatuses>{3, 1, 0, 0, 0, 0}));
  EXPECT_EQ(decoder.stats().tunnelled, 1u);
}

TEST(Decoder, SurvivesEveryTruncation) {
  const Bytes frames[] = {
      ethernet(0x0800, ipv4(17, "192.0.2.1", "192.0.2.2",
                            udp(7, 4789, join({hex("08000000 00000100"), ethernet(0x86DD, kTcp6)})))),
      ethernet(0x8100, join({hex("0005 0800"), ipv4(47, "192.0.2.1", "192.0.2.2",
                                                    join({hex("b000 86dd 00000000 00000001 00000002"), kTcp6}))})),
      ethernet(0x0800, ipv4(1, "10.0.0.254", "10.0.0.1", icmp(3, 3, 0, kUdp4))),
  };
  for (const Bytes& frame : frames) {
    for (std::size_t size = 0; size <= frame.size(); ++size) {
      const Bytes cut(frame.begin(), frame.begin() + static_cast<long>(size));
      PacketView view = view_of(cut);
      view.wire_bytes = static_cast<std::uint32_t>(frame.size());
      Decoder decoder;
      DecodedPacket p;
      (void)decoder.decode(view, p);
    }
  }
}

}  // namespace
}  // namespace weir::packet
