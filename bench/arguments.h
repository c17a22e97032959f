#pragma once

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::bench {

/// Command line of a generator: positional words, and options that each take a number.
struct Arguments {
  std::vector<std::string> words;
  std::map<std::string, std::uint64_t> numbers;

  std::uint64_t number(const std::string& name) const { return numbers.at(name); }

  /// Returns false, having said why, on an unknown option, a bad number or a wrong count of words.
  bool parse(std::span<const char* const> arguments, std::size_t word_count) {
    for (std::size_t i = 1; i < arguments.size(); ++i) {
      const std::string_view text = arguments[i];
      if (!text.starts_with("--")) {
        words.emplace_back(text);
        continue;
      }
      const auto found = numbers.find(std::string(text.substr(2)));
      const std::string_view value = i + 1 < arguments.size() ? arguments[++i] : "";
      const char* end = value.data() + value.size();
      if (found == numbers.end() || value.empty() || std::from_chars(value.data(), end, found->second).ptr != end) {
        std::fprintf(stderr, "%s: unknown option or bad number: %s\n", arguments[0], arguments[i]);
        return false;
      }
    }
    if (words.size() == word_count) return true;
    std::fprintf(stderr, "%s: %zu file names wanted\n", arguments[0], word_count);
    return false;
  }
};

}  // namespace weir::bench
