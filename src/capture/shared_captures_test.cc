// Runs the decoder over every shared capture and holds its sums per flow to what tshark counted.

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "capture/capture_file.h"
#include "model/protocol.h"
#include "packet/decoder.h"
#include "tests/support/shared_data.h"

namespace weir::capture {
namespace {

namespace fs = std::filesystem;
using packet::DecodedPacket;
using packet::Decoder;
using packet::DecodeStatus;

/// A flow as the expectations key it: without direction, and without ports where the protocol has none.
using End = std::pair<std::string, int>;
using FlowKey = std::tuple<int, End, End>;

/// Sums of one direction.
struct Sums {
  std::uint64_t packets = 0, ip_bytes = 0, frame_bytes = 0, payload_bytes = 0;
  std::uint64_t fragments = 0, fragment_ip_bytes = 0;
  int tcp_flags = 0;

  friend bool operator==(const Sums&, const Sums&) = default;
};

/// By the address and port that send.
using Flows = std::map<FlowKey, std::map<End, Sums>>;

struct Measured {
  Flows flows;
  std::uint64_t packets = 0, wire_bytes = 0, captured_bytes = 0, orphan_fragments = 0;
  std::int64_t first_ns = 0, last_ns = 0;
  Status status;
};

bool has_ports(int protocol) {
  return protocol == 6 || protocol == 17 || protocol == 132 || protocol == 33 || protocol == 136;
}

FlowKey key_of(int protocol, const End& a, const End& b) { return {protocol, std::min(a, b), std::max(a, b)}; }

void add(const DecodedPacket& p, std::uint32_t wire_bytes, Flows& flows) {
  const int protocol = p.tuple.protocol;
  const End from{p.tuple.source.to_string(), has_ports(protocol) ? p.tuple.source_port : -1};
  const End to{p.tuple.dest.to_string(), has_ports(protocol) ? p.tuple.dest_port : -1};
  auto& ends = flows[key_of(protocol, from, to)];
  ends[to];
  Sums& sums = ends[from];
  if (p.later_fragment) {
    ++sums.fragments;
    sums.fragment_ip_bytes += p.ip_bytes;
    return;
  }
  ++sums.packets;
  sums.ip_bytes += p.ip_bytes;
  sums.frame_bytes += wire_bytes;
  sums.payload_bytes += protocol == 6 || protocol == 17 ? p.payload_bytes : 0;
  sums.tcp_flags |= p.tcp_flags;
}

Measured measure(const std::string& path, const Decoder::Options& options) {
  Measured measured;
  auto opened = CaptureFile::open(path);
  if (!opened.ok()) {
    measured.status = opened.error();
    return measured;
  }
  CaptureFile& capture = *opened.value();
  Decoder decoder(options);
  std::vector<packet::PacketView> batch(7);
  while (const std::size_t count = capture.next_batch(batch)) {
    for (std::size_t i = 0; i < count; ++i) {
      ++measured.packets;
      // A simple packet block has no time; before any other packet ours is 0.
      if (measured.first_ns == 0) measured.first_ns = batch[i].time_ns;
      measured.last_ns = batch[i].time_ns;
      const std::uint64_t orphans = decoder.stats().orphan_fragments;
      DecodedPacket p;
      if (decoder.decode(batch[i], p) != DecodeStatus::kOk) continue;
      if (decoder.stats().orphan_fragments == orphans) add(p, batch[i].wire_bytes, measured.flows);
    }
  }
  measured.wire_bytes = capture.stats().wire_bytes;
  measured.captured_bytes = capture.stats().captured_bytes;
  measured.orphan_fragments = decoder.stats().orphan_fragments;
  measured.status = capture.status();
  return measured;
}

int protocol_number(std::string_view name) {
  if (name == "igmp") return 2;
  if (name == "udplite") return 136;
  if (name.starts_with("ip") && name != "ipip") name.remove_prefix(2);
  return model::parse_protocol(name);
}

/// "seconds.nanoseconds" in nanoseconds, at most what 64 bits hold; 0 if null.
std::int64_t to_ns(const simdjson::dom::element& value) {
  if (value.is_null()) return 0;
  const std::string text(value.get_string().value());
  const __int128_t ns = __int128_t{std::stoll(text)} * 1'000'000'000 + std::stoll(text.substr(text.find('.') + 1));
  return static_cast<std::int64_t>(std::min<__int128_t>(ns, std::numeric_limits<std::int64_t>::max()));
}

Flows expected_flows(simdjson::dom::array rows) {
  Flows flows;
  for (const simdjson::dom::array row : rows) {
    const auto number = [&](std::size_t column) -> std::int64_t {
      const auto cell = row.at(column);
      return cell.is_null() ? 0 : cell.get_int64().value();
    };
    const auto end = [&](std::size_t column) {
      const bool no_port = row.at(column + 1).is_null();
      const std::string address(row.at(column).get_string().value());
      return End{IpAddress::parse(address).value().to_string(), no_port ? -1 : static_cast<int>(number(column + 1))};
    };
    const auto direction = [&](std::size_t first) {
      const auto unsigned_number = [&](std::size_t column) { return static_cast<std::uint64_t>(number(column)); };
      return Sums{unsigned_number(5 + first),          unsigned_number(7 + first),  unsigned_number(9 + first),
                  unsigned_number(11 + first),         unsigned_number(18 + first), unsigned_number(20 + first),
                  static_cast<int>(number(15 + first))};
    };
    const End a = end(1), b = end(3);
    auto& ends = flows[key_of(protocol_number(row.at(0).get_string().value()), a, b)];
    ends[a] = direction(0);
    if (a != b) {
      ends[b] = direction(1);
    }
  }
  return flows;
}

/// A disagreement that was looked at, packet by packet, and stays.
struct Accepted {
  const char* capture;
  /// What its line begins with.
  const char* line;
  const char* reason;
};
constexpr Accepted kAccepted[] = {
    {"ndpi-fuzz-2021-06-07-c6c72a0a56", "first time",
     "its one packet has more than 2 billion ns after the second; tshark prints a negative time, we add them"},
    {"ndpi-fuzz-2021-06-07-c6c72a0a56", "last time", "the same packet"},
    {"pfl-pcap-flow-lab-showcase", "outer 6 extra: {192.0.2.50 49180:",
     "frame 1327, MPLS: tshark guesses a control word as the MAC address begins with 0; without one it is Ethernet, "
     "IPv4, TCP with all lengths right"},
    {"pfl-pcap-flow-lab-showcase", "inner 6 extra: {192.0.2.50 49180:", "the same frame"},
    {"sv-security-8510-defrag-af-confusion-spray-h8", "outer 44 extra:",
     "an attack: IPv4 with protocol 44. tshark reads an IPv6 fragment header there, which IPv4 does not have "
     "(RFC 8200 4.5), and finds orphans; for us protocol 44 has no header, and its fragments find their first"},
    {"sv-security-8510-defrag-af-confusion-spray-h8", "inner 44 extra:", "the same frames"},
    {"sv-security-8510-defrag-af-confusion-spray-h8", "orphan fragments", "the same frames"},
    {"tcpdump-bigtcp-ipv4-geneve-ipv4", "outer 17 want",
     "frame 1, BIG TCP: UDP length 0 means the rest of the packet (RFC 2675 4); tshark finds no payload"},
    {"tcpdump-bigtcp-ipv4-geneve-ipv4", "inner 17 missing:", "so it does not look into the tunnel, and we do"},
    {"tcpdump-bigtcp-ipv4-geneve-ipv4", "inner 6 extra:", "what is in the tunnel"},
    {"tcpdump-timestamp-invalid-nano", "last time",
     "frame 3 has 2147483648 ns after the second; tshark prints a negative time, we add them"},
    {"zeek-trunc-ip-discarder-truncated-tcp-oob",
     "outer 6 missing: {10.0.0.1 -1:", "no byte of the TCP header was captured: no port for tshark, port 0 for us"},
    {"zeek-trunc-ip-discarder-truncated-tcp-oob", "outer 6 extra: {10.0.0.1 0:", "the same frame"},
    {"zeek-trunc-ip-discarder-truncated-tcp-oob", "inner 6 missing: {10.0.0.1 -1:", "the same frame"},
    {"zeek-trunc-ip-discarder-truncated-tcp-oob", "inner 6 extra: {10.0.0.1 0:", "the same frame"},
};

bool accepted(const std::string& capture, const std::string& line) {
  return std::any_of(std::begin(kAccepted), std::end(kAccepted),
                     [&](const Accepted& known) { return capture == known.capture && line.starts_with(known.line); });
}

/// tshark's payload length is what the UDP header claims, which may be more than the packet holds (a first fragment, a
/// forged header), and none for a TCP fragment. We count what is there; all else must be equal.
bool only_payload_differs(int protocol, const Sums& want, const Sums& got) {
  Sums same = got;
  same.payload_bytes = want.payload_bytes;
  if (same != want) return false;
  if (want.fragments > 0) return true;
  return protocol == 17 && got.payload_bytes < want.payload_bytes &&
         got.payload_bytes + 28 * got.packets <= got.ip_bytes;
}

bool agree(int protocol, const std::map<End, Sums>& want, const std::map<End, Sums>& got) {
  return std::equal(want.begin(), want.end(), got.begin(), got.end(), [&](const auto& a, const auto& b) {
    return a.first == b.first && (a.second == b.second || only_payload_differs(protocol, a.second, b.second));
  });
}

std::string describe(const std::map<End, Sums>& ends) {
  std::ostringstream out;
  for (const auto& [end, s] : ends) {
    out << " {" << end.first << " " << end.second << ": packets " << s.packets << " ip " << s.ip_bytes << " frame "
        << s.frame_bytes << " payload " << s.payload_bytes << " fragments " << s.fragments << "/" << s.fragment_ip_bytes
        << " flags " << s.tcp_flags << "}";
  }
  return out.str();
}

std::vector<std::string> differences(const Flows& want, const Flows& got) {
  std::vector<std::string> lines;
  for (const auto& [key, ends] : want) {
    const auto found = got.find(key);
    const std::string name = std::to_string(std::get<0>(key));
    if (found == got.end()) {
      lines.push_back(name + " missing:" + describe(ends));
    } else if (!agree(std::get<0>(key), ends, found->second)) {
      lines.push_back(name + " want" + describe(ends) + " got" + describe(found->second));
    }
  }
  for (const auto& [key, ends] : got) {
    if (!want.contains(key)) lines.push_back(std::to_string(std::get<0>(key)) + " extra:" + describe(ends));
  }
  return lines;
}

/// All that differs between an expectation and what we measure, one line each.
std::vector<std::string> check(const fs::path& captures, const fs::path& expectation) {
  simdjson::dom::parser parser;
  const simdjson::dom::element want = parser.load(expectation.string());
  const std::string file = (captures / std::string(want["file"].get_string().value())).string();
  Decoder::Options options;
  for (const simdjson::dom::element option : want["oracle"]["extra_options"]) {
    if (option.get_string().value() == "udp.port==8472,vxlan") options.vxlan_ports = {8472};
  }
  const Measured inside = measure(file, options);
  options.outer = true;
  const Measured outside = measure(file, options);

  std::vector<std::string> lines;
  const auto compare = [&](const char* what, auto got, auto wanted) {
    if (got == wanted) return;
    std::ostringstream out;
    out << what << ": want " << wanted << ", got " << got;
    lines.push_back(out.str());
  };
  const simdjson::dom::element packets = want["packets"];
  compare("packets", inside.packets, packets["total"].get_uint64().value());
  compare("wire bytes", inside.wire_bytes, packets["bytes_wire"].get_uint64().value());
  compare("captured bytes", inside.captured_bytes, packets["bytes_captured"].get_uint64().value());
  compare("first time", inside.first_ns, to_ns(packets["first_ts"]));
  compare("last time", inside.last_ns, to_ns(packets["last_ts"]));
  compare("complete", inside.status.ok(), want["tshark_read"]["rc"].get_int64().value() == 0);
  const auto flows = [&](const char* part, const simdjson::dom::element& section, const Measured& got) {
    compare("orphan fragments", got.orphan_fragments, section["orphan_fragments"].get_uint64().value());
    for (const std::string& line : differences(expected_flows(section["rows"]), got.flows)) {
      lines.push_back(std::string(part) + " " + line);
    }
  };
  const simdjson::dom::element outer = want["flows"]["outer"], inner = want["flows"]["inner"];
  flows("outer", outer, outside);
  flows("inner", inner.is_object() ? inner : outer, inside);
  return lines;
}

TEST(SharedCaptures, FlowsHaveThePacketsAndBytesThatTsharkCounts) {
  WEIR_REQUIRE_SHARED_DATA(data);
  std::vector<fs::path> expectations;
  for (const auto& entry : fs::directory_iterator(data / "captures" / "expected")) expectations.push_back(entry.path());
  std::sort(expectations.begin(), expectations.end());
  EXPECT_GE(expectations.size(), 266u);
  for (const fs::path& expectation : expectations) {
    const std::string capture = expectation.stem().stem().string();
    try {
      for (const std::string& line : check(data / "captures", expectation)) {
        EXPECT_TRUE(accepted(capture, line)) << capture << ": " << line;
      }
    } catch (const simdjson::simdjson_error& error) {
      ADD_FAILURE() << capture << ": " << error.what();
    }
  }
}

}  // namespace
}  // namespace weir::capture
