#include <cstdio>

#include "app/commands.h"

namespace weir::app {

int run_version(std::span<const char* const>) {
  std::puts("weir " WEIR_VERSION);
  return 0;
}

}  // namespace weir::app
