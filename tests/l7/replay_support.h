#pragma once

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "capture/capture_file.h"
#include "model/connection.h"
#include "packet/decoder.h"

namespace weir::tests {

/// A stand-in for the meter: numbers connections by their unordered ends; a SYN with a new sequence number on ends that
/// had a SYN before is a new connection.
class Connections {
 public:
  struct Place {
    model::ConnectionSlot slot = 0;
    bool forward = true;
    /// The connection that had these ends before has ended.
    bool ended_before = false;
    model::ConnectionSlot ended = 0;
  };

  Place place(const packet::DecodedPacket& p) {
    const End from{p.tuple.source, p.tuple.source_port}, to{p.tuple.dest, p.tuple.dest_port};
    const bool swapped = to < from;
    const auto [found, added] = known_.try_emplace({std::min(from, to), std::max(from, to), p.tuple.protocol});
    Known& known = found->second;
    Place place;
    const bool opens = (p.tcp_flags & (packet::kTcpSyn | packet::kTcpAck)) == packet::kTcpSyn;
    if (!added && opens && known.syn_seen && known.syn != p.tcp_seq) {
      place.ended_before = true;
      place.ended = known.slot;
    }
    if (added || place.ended_before) {
      known.slot = next_slot_++;
      known.first_swapped = swapped;
    }
    if (opens) known.syn_seen = true, known.syn = p.tcp_seq;
    place.slot = known.slot;
    place.forward = swapped == known.first_swapped;
    return place;
  }

 private:
  using End = std::pair<IpAddress, std::uint16_t>;
  struct Known {
    model::ConnectionSlot slot = 0;
    bool first_swapped = false, syn_seen = false;
    std::uint32_t syn = 0;
  };
  std::map<std::tuple<End, End, std::uint8_t>, Known> known_;
  model::ConnectionSlot next_slot_ = 0;
};

/// Calls `visit(packet)` for each packet of a capture that can be decoded.
template <typename Visit>
void for_each_packet(const std::string& path, const packet::Decoder::Options& options, Visit&& visit) {
  auto opened = capture::CaptureFile::open(path);
  if (!opened.ok()) return;
  packet::Decoder decoder(options);
  std::vector<packet::PacketView> batch(64);
  while (const std::size_t count = opened.value()->next_batch(batch)) {
    for (std::size_t i = 0; i < count; ++i) {
      packet::DecodedPacket p;
      if (decoder.decode(batch[i], p) == packet::DecodeStatus::kOk) visit(p);
    }
  }
}

/// The expectations of all captures, sorted by name.
inline std::vector<std::filesystem::path> expectations(const std::filesystem::path& data) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(data / "captures" / "expected")) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

inline packet::Decoder::Options decoder_options(const simdjson::dom::element& expectation) {
  packet::Decoder::Options options;
  for (const simdjson::dom::element option : expectation["oracle"]["extra_options"]) {
    if (option.get_string().value() == "udp.port==8472,vxlan") options.vxlan_ports = {8472};
  }
  return options;
}

/// A disagreement that was looked at, packet by packet, and stays. `line` is what its line begins with.
struct Accepted {
  const char* capture;
  const char* line;
  const char* reason;
};

inline bool is_accepted(std::span<const Accepted> table, const std::string& capture, const std::string& line) {
  return std::any_of(table.begin(), table.end(),
                     [&](const Accepted& known) { return capture == known.capture && line.starts_with(known.line); });
}

}  // namespace weir::tests
