// The parsers on messages that a kernel sent (scripts/record_netlink.py) and on what is left of them when cut.

#include <gtest/gtest.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "capture/internal/ctnetlink.h"
#include "capture/internal/netlink.h"
#include "capture/internal/nflog_message.h"
#include "capture/nflog_prefix.h"

namespace weir::capture {
namespace {

using model::ConntrackEvent;
using Kind = ConntrackEvent::Kind;

/// The recorded datagrams of a folder whose names begin so.
std::vector<std::vector<std::uint8_t>> recorded(const char* folder, const std::string& start = {}) {
  std::vector<std::vector<std::uint8_t>> out;
  const auto path = std::filesystem::path(WEIR_SOURCE_DIR) / "fuzz/corpus" / folder;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (!entry.path().filename().string().starts_with(start)) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  EXPECT_FALSE(out.empty()) << path << start;
  return out;
}

std::vector<ConntrackEvent> events(const std::string& start, Kind kind) {
  std::vector<ConntrackEvent> out;
  for (const auto& datagram : recorded("ctnetlink", start)) {
    NetlinkMessages messages(datagram);
    NetlinkMessage message;
    while (messages.next(message)) {
      if (message.type == NLMSG_DONE) continue;
      ConntrackEvent& event = out.emplace_back();
      event.kind = kind;
      EXPECT_TRUE(parse_conntrack_attributes(message.payload.subspan(sizeof(nfgenmsg)), event));
    }
    EXPECT_FALSE(messages.damaged());
  }
  return out;
}

const ConntrackEvent& find(const std::vector<ConntrackEvent>& all, std::uint8_t protocol, std::uint16_t dest_port) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const ConntrackEvent& e) {
    return e.original.protocol == protocol && e.original.dest_port == dest_port;
  });
  EXPECT_NE(found, all.end());
  return found == all.end() ? all.front() : *found;
}

TEST(ConntrackMessages, ADestroyedEntryHasItsCountersAndTimes) {
  const auto all = events("destroy", Kind::kDestroy);
  struct Case {
    std::uint16_t port;
    const char* address;
    std::uint64_t headers;
  };
  for (const Case& c : {Case{9001, "127.0.0.1", 28}, Case{9002, "::1", 48}}) {
    SCOPED_TRACE(c.port);
    const ConntrackEvent& e = find(all, 17, c.port);
    EXPECT_EQ(e.original.source.to_string(), c.address);
    EXPECT_EQ(e.original.source_port, c.port + 100);
    EXPECT_EQ(e.reply.source_port, c.port);
    EXPECT_EQ(e.reply.dest_port, c.port + 100);
    EXPECT_TRUE(e.has_counters);
    EXPECT_EQ(e.packets_original, 1u);
    EXPECT_EQ(e.bytes_original, 100 + c.headers);
    EXPECT_EQ(e.packets_reply, 1u);
    EXPECT_EQ(e.bytes_reply, 50 + c.headers);
    EXPECT_GT(e.start_ns, 0);
    EXPECT_GT(e.stop_ns, e.start_ns);
    EXPECT_NE(e.id, 0u);
  }
}

TEST(ConntrackMessages, ANewEntryHasItsTranslation) {
  const auto all = events("new", Kind::kNew);
  const ConntrackEvent& tcp = find(all, 6, 80);
  EXPECT_EQ(tcp.original.dest.to_string(), "10.96.0.10");
  EXPECT_EQ(tcp.reply.source.to_string(), "127.0.0.1");
  EXPECT_EQ(tcp.reply.source_port, 8080);
  const model::Tuple flow = flow_tuple(tcp);
  EXPECT_EQ(flow.dest, tcp.reply.source);
  EXPECT_EQ(flow.dest_port, 8080);
  EXPECT_EQ(flow.source_port, tcp.original.source_port);
  EXPECT_FALSE(tcp.has_counters);
  constexpr std::uint8_t kSynSent = 1;
  EXPECT_EQ(tcp.tcp_state, kSynSent);
  const ConntrackEvent& udp = find(all, 17, 53);
  EXPECT_EQ(udp.original.dest.to_string(), "fd00::10");
  EXPECT_EQ(udp.reply.source.to_string(), "::1");
  EXPECT_EQ(udp.reply.source_port, 5353);
}

TEST(ConntrackMessages, APingKeepsTheRequestsTypeInBothTuples) {
  const auto all = events("new", Kind::kNew);
  for (const auto& [protocol, type] : {std::pair{model::kProtoIcmp, 8}, std::pair{model::kProtoIcmp6, 128}}) {
    const ConntrackEvent& ping = find(all, protocol, static_cast<std::uint16_t>(type << 8));
    EXPECT_EQ(ping.original.source_port, 0x1234);
    EXPECT_EQ(ping.reply.source_port, 0x1234);
    EXPECT_EQ(ping.reply.dest_port, type << 8);
    EXPECT_EQ(flow_tuple(ping).dest_port, type << 8);
  }
}

TEST(ConntrackMessages, ADumpHasEveryEntry) {
  const auto all = events("dump", Kind::kUpdate);
  // The refused connection is not among them: the kernel deletes it at once.
  EXPECT_EQ(all.size(), 6u);
  constexpr std::uint8_t kClose = 8;
  EXPECT_EQ(find(all, 6, 80).tcp_state, kClose);
  EXPECT_EQ(find(events("destroy", Kind::kDestroy), 6, 7003).tcp_state, kClose);
}

TEST(ConntrackMessages, CutAnywhereTheyAreReadAsFarAsTheyGo) {
  for (const char* folder : {"ctnetlink", "nflog"}) {
    for (const auto& whole : recorded(folder)) {
      for (std::size_t size = 0; size < whole.size(); ++size) {
        // A copy of the exact size, so that the sanitizer sees one byte too far.
        const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        NetlinkMessages messages(cut);
        NetlinkMessage message;
        while (messages.next(message)) {
          EXPECT_LE(message.payload.data() + message.payload.size(), cut.data() + cut.size());
        }
        const std::size_t first = whole[0] | whole[1] << 8;
        EXPECT_TRUE(size == 0 || size >= first || messages.damaged());
        if (size < 20) continue;
        ConntrackEvent event;
        const std::span<const std::uint8_t> attributes = std::span(cut).subspan(20);
        (void)parse_conntrack_attributes(attributes, event);
        NflogMessage logged;
        (void)parse_nflog_message(std::span(cut).subspan(16), logged);
      }
    }
  }
}

struct Logged {
  std::uint16_t group;
  std::string prefix;
  NflogConnection connection;
};

std::vector<Logged> logged(const std::string& start) {
  std::vector<Logged> out;
  packet::Decoder decoder;
  for (const auto& datagram : recorded("nflog", start)) {
    NetlinkMessages messages(datagram);
    NetlinkMessage message;
    while (messages.next(message)) {
      NflogMessage parsed;
      if (message.type == NLMSG_DONE) continue;
      EXPECT_TRUE(parse_nflog_message(message.payload, parsed));
      Logged& l = out.emplace_back();
      l.group = parsed.group;
      l.prefix = parsed.prefix;
      ConntrackEvent scratch;
      EXPECT_TRUE(find_connection(parsed, decoder, scratch, l.connection));
    }
  }
  return out;
}

TEST(NflogMessages, ALoggedPacketHasItsGroupPrefixTupleAndLength) {
  const auto all = logged("packets");
  std::map<std::string, int> count;
  for (const Logged& l : all) {
    SCOPED_TRACE(l.prefix);
    ++count[l.prefix];
    const model::Tuple& t = l.connection.tuple;
    EXPECT_EQ(l.group, l.prefix.starts_with("DPE") ? 2 : 1);
    EXPECT_EQ(t.source.to_string(), "127.0.0.1");
    EXPECT_EQ(l.connection.original_dest, t.dest);
    if (t.protocol == model::kProtoUdp) {
      EXPECT_EQ(l.connection.bytes, 38u);
    }
    if (t.protocol == model::kProtoTcp) {
      EXPECT_EQ(t.dest_port, 7003);
    }
    if (t.protocol == model::kProtoIcmp) {
      EXPECT_EQ(t.dest_port, 8 << 8);
    }
  }
  EXPECT_EQ(count["DPE1|knp/shop/web"], 2);
  EXPECT_EQ(count["DPI|default"], 1);
  EXPECT_EQ(count["API0|knp/shop/db"], 1);
  EXPECT_EQ(count["someone else's"], 1);
  EXPECT_EQ(count["DPI3|knp/a_l7BHlhFTEjehNcy2PDV-B7HusJsruDnW-xvVIZA3s_s-long-too"], 1);
}

TEST(NflogMessages, AnAttachedEntryTellsTheConnection) {
  const auto all = logged("made");
  ASSERT_EQ(all.size(), 1u);
  const NflogConnection& c = all[0].connection;
  EXPECT_EQ(c.original_dest.to_string(), "10.96.0.10");
  EXPECT_EQ(c.original_dest_port, 80);
  EXPECT_EQ(c.tuple.dest.to_string(), "127.0.0.1");
  EXPECT_EQ(c.tuple.dest_port, 8080);
}

TEST(NetlinkRequest, IsWhatTheWalkReads) {
  NetlinkRequest request(7, NLM_F_ACK, 9);
  request.put(nfgenmsg{AF_INET, 0, 0});
  request.attribute(3, std::uint16_t{0x1234});
  request.attribute(5, std::uint32_t{0x89ABCDEF});
  const auto bytes = request.finish();
  NetlinkMessages messages(bytes);
  NetlinkMessage message;
  ASSERT_TRUE(messages.next(message));
  EXPECT_EQ(message.type, 7);
  EXPECT_EQ(message.flags, NLM_F_ACK | NLM_F_REQUEST);
  EXPECT_EQ(message.sequence, 9u);
  NetlinkAttributes walk(message.payload.subspan(sizeof(nfgenmsg)));
  NetlinkAttribute a;
  ASSERT_TRUE(walk.next(a));
  EXPECT_EQ(a.type, 3);
  EXPECT_EQ(a.bytes.size(), 2u);
  ASSERT_TRUE(walk.next(a));
  EXPECT_EQ(a.type, 5);
  EXPECT_FALSE(walk.next(a));
  EXPECT_FALSE(messages.next(message));
  EXPECT_FALSE(messages.damaged());
}

}  // namespace
}  // namespace weir::capture
