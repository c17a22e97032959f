#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/json.h"

namespace weir::flowlog {

/// A reused output buffer with explicit room: reserve once, then append without a check.
class TextBuffer {
 public:
  TextBuffer() { grow(16 * 1024); }

  /// Makes room for `bytes` more.
  void reserve(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - at_) < bytes) grow(bytes);
  }
  void clear() { at_ = start_.get(); }
  std::string_view text() const { return {start_.get(), static_cast<std::size_t>(at_ - start_.get())}; }

  // The rest wants reserve() to have made room.

  void put(char c) { *at_++ = c; }
  void put(std::string_view text) {
    if (text.empty()) return;  // memcpy wants an address even for nothing
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  template <std::size_t kSize>
  void put(const std::array<char, kSize>& text) {
    std::memcpy(at_, text.data(), kSize);
    at_ += kSize;
  }
  /// At most 20 characters.
  void put_uint(std::uint64_t value) {
    if (value < 10) {
      *at_++ = static_cast<char>('0' + value);
    } else {
      at_ = std::to_chars(at_, at_ + 20, value).ptr;
    }
  }
  void put_int(std::int64_t value) { at_ = std::to_chars(at_, at_ + 20, value).ptr; }
  /// At most kMaxIpText + 2 characters.
  void put_ip(const IpAddress& ip) {
    *at_++ = '"';
    at_ = ip.format(at_);
    *at_++ = '"';
  }

  /// `"text"` as json::append_string writes it. Makes its own room, and leaves `room` after it.
  void put_string(std::string_view text, std::size_t room) {
    reserve(text.size() + 2 + room);
    if (text.empty() || is_plain(text)) {
      *at_++ = '"';
      put(text);
      *at_++ = '"';
      return;
    }
    std::string escaped;
    json::append_string(escaped, text);
    reserve(escaped.size() + room);
    put(escaped);
  }

 private:
  /// Only printable ASCII without quote and backslash: nothing to escape, eight bytes at a time.
  static bool is_plain(std::string_view text) {
    constexpr std::uint64_t kOnes = 0x0101010101010101ULL, kHighs = 0x8080808080808080ULL;
    const auto special = [](std::uint64_t word) {
      const auto has_zero = [](std::uint64_t w) { return (w - kOnes) & ~w & kHighs; };
      const std::uint64_t below_space = (word - kOnes * 0x20) & ~word & kHighs;
      return (word & kHighs) | below_space | has_zero(word ^ kOnes * '"') | has_zero(word ^ kOnes * '\\') |
             has_zero(word ^ kOnes * 0x7F);
    };
    const char* at = text.data();
    std::size_t left = text.size();
    for (; left >= 8; at += 8, left -= 8) {
      std::uint64_t word;
      std::memcpy(&word, at, 8);
      if (special(word) != 0) return false;
    }
    std::uint64_t word = kOnes * ' ';
    std::memcpy(&word, at, left);
    return special(word) == 0;
  }

  void grow(std::size_t bytes) {
    const std::size_t used = start_ != nullptr ? text().size() : 0;
    const std::size_t capacity = 2 * (used + bytes);
    auto bigger = std::make_unique<char[]>(capacity);
    if (used != 0) std::memcpy(bigger.get(), start_.get(), used);
    start_ = std::move(bigger);
    at_ = start_.get() + used;
    end_ = start_.get() + capacity;
  }

  std::unique_ptr<char[]> start_;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

}  // namespace weir::flowlog
