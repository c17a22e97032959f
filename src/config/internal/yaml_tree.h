#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::config {

/// A value of a YAML document.
struct YamlNode {
  enum class Type : std::uint8_t { kNull, kScalar, kList, kMap };
  Type type = Type::kNull;
  /// Within a map: its key, and the line where that stands (else the line of the value), from 1.
  std::string key;
  std::size_t line = 0;
  /// Of a scalar.
  std::string text;
  std::vector<YamlNode> children;

  /// The first member of that key; null if there is none.
  const YamlNode* find(std::string_view name) const;
};

/// The documents of a small YAML (or JSON) text, empty ones left out. `name` stands for the text in errors.
/// Bounds:  1 MiB, kMaxYamlDepth levels. No aliases: a configuration needs none, and they can make much of little.
inline constexpr int kMaxYamlDepth = 32;
Result<std::vector<YamlNode>> read_yaml(const std::string& name, std::string_view text);

}  // namespace weir::config
