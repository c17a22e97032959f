#pragma once

#include <vector>

#include "kube/api_client.h"
#include "kube/internal/reflector.h"

namespace weir::kube {

/// A kind to follow. Those of the later stage wait until the earlier ones are settled, so that owners are known before
/// their pods and services before their endpoints, and less has to be corrected.
struct Resource {
  ReflectorOptions options;
  int stage = 0;
};

/// Everything that a client with these options follows.
std::vector<Resource> resources_of(const ApiClientOptions& options);

}  // namespace weir::kube
