#include "cluster/internal/document.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace weir::cluster {
namespace {

constexpr std::size_t kValueBlock = 4096;
constexpr std::size_t kTextBlock = 64 * 1024;
/// Up to here comparing all pairs of keys beats sorting them.
constexpr std::size_t kFewKeys = 12;

}  // namespace

const Value* Value::find(std::string_view key) const {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (children[2 * i].text == key) return &children[2 * i + 1];
  }
  return nullptr;
}

void DocumentTree::clear() {
  pending_.clear();
  value_blocks_.clear();
  text_blocks_.clear();
  values_left_ = text_left_ = 0;
}

std::string_view DocumentTree::keep(std::string_view text) {
  if (text.empty()) return {};
  if (text.size() > text_left_) {
    text_left_ = std::max(kTextBlock, text.size());
    text_blocks_.push_back(std::make_unique_for_overwrite<char[]>(text_left_));
    next_text_ = text_blocks_.back().get();
  }
  std::memcpy(next_text_, text.data(), text.size());
  const std::string_view kept(next_text_, text.size());
  next_text_ += text.size();
  text_left_ -= text.size();
  return kept;
}

Value* DocumentTree::value_room(std::size_t count) {
  if (count > values_left_) {
    values_left_ = std::max(kValueBlock, count);
    value_blocks_.push_back(std::make_unique<Value[]>(values_left_));
    next_value_ = value_blocks_.back().get();
  }
  Value* room = next_value_;
  next_value_ += count;
  values_left_ -= count;
  return room;
}

Value DocumentTree::close(Value::Type type, std::size_t from) {
  const std::size_t size = pending_.size() - from;
  Value value;
  value.type = type;
  value.count = static_cast<std::uint32_t>(type == Value::Type::kMap ? size / 2 : size);
  if (size > 0) {
    Value* room = value_room(size);
    std::copy(pending_.begin() + static_cast<std::ptrdiff_t>(from), pending_.end(), room);
    value.children = room;
  }
  std::uint64_t weight = 1;
  for (std::size_t i = from; i < pending_.size(); ++i) weight += pending_[i].weight;
  value.weight = static_cast<std::uint32_t>(std::min<std::uint64_t>(weight, std::numeric_limits<std::uint32_t>::max()));
  pending_.resize(from);
  return value;
}

Status check_distinct_keys(const Value& map) {
  const auto twice = [](std::string_view key) {
    return invalid_argument("key '" + std::string(key.substr(0, 100)) + "' is there twice");
  };
  if (map.count <= kFewKeys) {
    for (std::uint32_t i = 1; i < map.count; ++i) {
      for (std::uint32_t j = 0; j < i; ++j) {
        if (map.children[2 * i].text == map.children[2 * j].text) return twice(map.children[2 * i].text);
      }
    }
    return {};
  }
  std::vector<std::string_view> keys(map.count);
  for (std::uint32_t i = 0; i < map.count; ++i) keys[i] = map.children[2 * i].text;
  std::sort(keys.begin(), keys.end());
  const auto found = std::adjacent_find(keys.begin(), keys.end());
  if (found != keys.end()) return twice(*found);
  return {};
}

}  // namespace weir::cluster
