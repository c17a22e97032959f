#include "kube/internal/base64.h"

#include <cstdint>

namespace weir::kube {
namespace {

int digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  std::string bytes;
  std::uint32_t word = 0;
  int digits = 0, padding = 0;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    const int digit = c == '=' ? 0 : digit_of(c);
    if (digit < 0 || (padding > 0 && c != '=')) return std::nullopt;
    if (c == '=') ++padding;
    word = word << 6 | static_cast<std::uint32_t>(digit);
    if (++digits < 4) continue;
    if (padding > 2) return std::nullopt;
    for (int i = 0; i < 3 - padding; ++i) bytes.push_back(static_cast<char>(word >> (16 - 8 * i) & 0xFF));
    word = 0;
    digits = 0;
    if (padding > 0) padding = 4;  // nothing may follow
  }
  if (digits != 0 || (padding > 0 && padding < 4)) return std::nullopt;
  return bytes;
}

}  // namespace weir::kube
