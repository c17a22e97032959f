#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace weir::capture {

/// Makes libbpf's messages of this thread available to errors, instead of writing them to stderr.
void catch_libbpf_messages();
/// The last warnings of libbpf since it was asked before, in one line; empty: none.
std::string take_libbpf_messages();

/// A map as it is to be, to compare a pinned one with.
struct MapShape {
  std::uint32_t type = 0, key_bytes = 0, value_bytes = 0, max_entries = 0;
};

/// The folder for pins of this layout below `pin_path`, made if it is not there; folders of other layouts are removed.
/// `replaced` is set if there were any. Fails if `pin_path` cannot be made, or is in no BPF file system.
Result<std::string> open_pin_folder(const std::string& pin_path, std::uint32_t layout, bool& replaced);

/// Whether the map pinned at `path` has the shape, or there is none.
bool pin_fits(const std::string& path, const MapShape& shape);

/// Removes the folder and all pins in it.
void remove_pin_folder(const std::string& path);

/// Waits until all BPF programs that run now have ended.
void wait_for_programs();

}  // namespace weir::capture
