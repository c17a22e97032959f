#include "store/internal/duck_api.h"

#include <dlfcn.h>

#include <string>
#include <string_view>

namespace weir::store {
namespace {

constexpr std::string_view kEngineVersion = "v1.5.6";

Status load() {
  // Never closed: its threads and its results may outlive any store.
  void* library = dlopen("libduckdb.so", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Error{ErrorCode::kUnavailable,
                 std::string("the store's engine is not found: ") + dlerror() + "; run scripts/fetch_duckdb.sh"};
  }
  bool complete = true;
#define X(name)                                                                       \
  duck.name = reinterpret_cast<decltype(duck.name)>(dlsym(library, "duckdb_" #name)); \
  complete &= duck.name != nullptr;
  WEIR_DUCK_FUNCTIONS(X)
#undef X
  // The header is of another release than the library: nothing but the pinned pair is tested.
  const std::string version = duck.library_version != nullptr ? duck.library_version() : "unknown";
  if (!complete || version != kEngineVersion) {
    return Error{ErrorCode::kUnsupported, "libduckdb.so is " + version + ", expected " + std::string(kEngineVersion) +
                                              ": run scripts/fetch_duckdb.sh"};
  }
  return {};
}

}  // namespace

DuckApi duck;

Status load_duck() {
  static const Status loaded = load();
  return loaded;
}

}  // namespace weir::store
