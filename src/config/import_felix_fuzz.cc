#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/import_felix.h"
#include "config/settings.h"

// Whatever comes in: no crash, and what comes out is a configuration that we read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto imported = weir::config::import_felix("input", {reinterpret_cast<const char*>(data), size});
  if (!imported.ok()) return 0;
  weir::config::Settings settings;
  if (!weir::config::load_settings_text(settings, "output", imported.value().yaml).ok()) std::abort();
  return 0;
}
