#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "app/node_pipeline.h"
#include "meter/meter.h"
#include "packet/decoder.h"

namespace weir::app {

/// What a replay read, wrote and dropped: each stage's own counts, side by side.
struct ReplayStats {
  std::uint64_t files = 0, damaged_files = 0;
  /// Frames and their length on the wire.
  std::uint64_t frames = 0, wire_bytes = 0;
  packet::DecodeStats decode;
  meter::MeterStats meter;
  NodeStats node;
};

/// One line for each thing that was lost or not reported, and what to do about it; none if nothing was.
std::vector<std::string> loss_notes(const ReplayStats& stats);

/// One JSON object, indented, with a newline at the end.
std::string to_json(const ReplayStats& stats);

}  // namespace weir::app
