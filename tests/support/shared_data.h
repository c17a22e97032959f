#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace weir::tests {

/// The folder of the shared captures and policy cases: $WEIR_SHARED, else `shared` beside the repository.
/// Where it is absent a test skips with that reason, and fails under WEIR_CI=1.
inline std::optional<std::filesystem::path> shared_data() {
  const char* set = std::getenv("WEIR_SHARED");
  const std::filesystem::path root =
      set != nullptr ? std::filesystem::path(set) : std::filesystem::path(WEIR_SOURCE_DIR) / ".." / "shared";
  const std::filesystem::path data = root / "data";
  std::error_code error;
  if (!std::filesystem::is_directory(data, error)) return std::nullopt;
  return std::filesystem::canonical(data);
}

}  // namespace weir::tests

/// In a test body: declares `variable` as the shared data folder, or skips (fails in CI) with the reason.
#define WEIR_REQUIRE_SHARED_DATA(variable)                                                         \
  const auto variable##_found = ::weir::tests::shared_data();                                      \
  if (!variable##_found) {                                                                         \
    if (std::getenv("WEIR_CI") != nullptr) FAIL() << "the shared data is missing, and this is CI"; \
    GTEST_SKIP() << "no shared data: set WEIR_SHARED to a folder that holds data/";                \
  }                                                                                                \
  const std::filesystem::path& variable = *variable##_found
