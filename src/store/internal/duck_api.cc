#include "store/internal/duck_api.h"

#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace weir::store {
namespace {

constexpr std::string_view kEngineVersion = "v1.5.6";

/// Where it is in the build tree, where `cmake --install` puts it, or where the system's loader looks. By path and not
/// by the program's RUNPATH, which a sanitizer's dlopen() does not see. Never closed: its threads may outlive any
/// store.
void* open_library() {
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  for (const char* folder : {"../lib", "../lib/weir"}) {
    const std::filesystem::path path = program.parent_path() / folder / "libduckdb.so";
    if (std::filesystem::exists(path, ignored)) return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  return dlopen("libduckdb.so", RTLD_NOW | RTLD_LOCAL);
}

Status load() {
  void* const library = open_library();
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
