#pragma once

#include <string>

#include "base/result.h"

namespace weir::app {

/// Replays the recording of a small shop (shop.pcap and manifests.yaml in `folder`) and prints what Weir makes of it.
Status show_recorded_demo(const std::string& folder);

}  // namespace weir::app
