#include "policy/internal/http_match.h"

#include <algorithm>
#include <vector>

namespace weir::policy {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Nothing: a malformed escape.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return decoded;
}

/// A dot, slash or backslash encoded twice, or a NUL.
bool hides_something(std::string_view decoded) {
  if (decoded.find('\0') != std::string_view::npos) return true;
  for (std::size_t i = 0; i + 2 < decoded.size(); ++i) {
    if (decoded[i] != '%') continue;
    const int code = hex_digit(decoded[i + 1]) << 4 | hex_digit(decoded[i + 2]);
    if (code == '.' || code == '/' || code == '\\' || code == 0) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> normalized_path(std::string_view path) {
  auto decoded = percent_decoded(path.substr(0, path.find_first_of("?#")));
  if (!decoded || hides_something(*decoded)) return std::nullopt;
  std::replace(decoded->begin(), decoded->end(), '\\', '/');
  std::vector<std::string_view> segments;
  const std::string_view text = *decoded;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('/', begin), text.size());
    std::string_view segment = text.substr(begin, end - begin);
    segment = segment.substr(0, segment.find(';'));
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
    begin = end + 1;
  }
  std::string normalized;
  for (const std::string_view segment : segments) normalized.append("/").append(segment);
  return normalized.empty() ? "/" : normalized;
}

bool path_matches(const model::HttpPath& rule, std::string_view normalized) {
  if (!rule.prefix) return rule.path == normalized;
  if (!normalized.starts_with(rule.path)) return false;
  return normalized.size() == rule.path.size() || rule.path.ends_with('/') || normalized[rule.path.size()] == '/';
}

bool http_matches(const model::HttpMatch& match, const HttpRequest& request) {
  const auto method_matches = [&](const std::string& method) { return method == "*" || method == request.method; };
  if (!match.methods.empty() && std::none_of(match.methods.begin(), match.methods.end(), method_matches)) return false;
  if (match.paths.empty()) return true;
  const auto path = normalized_path(request.path);
  return path && std::any_of(match.paths.begin(), match.paths.end(),
                             [&](const model::HttpPath& rule) { return path_matches(rule, *path); });
}

}  // namespace weir::policy
