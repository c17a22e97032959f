#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// A document of a manifest, YAML or JSON, as one tree: what the object readers walk.
namespace weir::cluster {

/// One value. Children and text live in the tree's arena.
struct Value {
  enum class Type : std::uint8_t {
    kNull,
    kPlain,   ///< a number or boolean, or a YAML scalar without quotes: what it is depends on the field
    kString,  ///< quoted
    kList,
    kMap,
  };
  Type type = Type::kNull;
  /// Items of a list; pairs of a map.
  std::uint32_t count = 0;
  /// Values below this one, itself included, each counted as often as aliases repeat it.
  std::uint32_t weight = 1;
  /// List: `count` items. Map: key, value, key, value, ….
  const Value* children = nullptr;
  std::string_view text;

  const Value* find(std::string_view key) const;
};

/// Owns the values and texts of one document, and builds them from the bottom up: add the children, then close their
/// list or map. clear() keeps the memory for the next document.
class DocumentTree {
 public:
  void clear();
  std::string_view keep(std::string_view text);
  void add(const Value& value) { pending_.push_back(value); }
  /// The values added since mark() was `from` become the children of a new list or map.
  std::size_t mark() const { return pending_.size(); }
  Value close(Value::Type type, std::size_t from);
  /// The document: the one value left.
  const Value& root() const { return pending_.front(); }
  bool empty() const { return pending_.empty(); }

 private:
  std::vector<Value> pending_;
  std::vector<std::unique_ptr<Value[]>> value_blocks_;
  std::vector<std::unique_ptr<char[]>> text_blocks_;
  Value* value_room(std::size_t count);
  std::size_t values_left_ = 0;
  Value* next_value_ = nullptr;
  std::size_t text_left_ = 0;
  char* next_text_ = nullptr;
};

/// Called for each document with its number from 1; an error ends the reading.
using DocumentHandler = std::function<Status(std::size_t number, const Value& root)>;

/// Errors of syntax read "document 2, line 7: did not find expected key". Empty documents are counted, not handed on.
Status read_yaml(std::string_view text, const DocumentHandler& handler);
/// One JSON text; with `several`, any number of them one after the other.
Status read_json(std::string_view text, bool several, const DocumentHandler& handler);

/// Fails where a map has the same key twice: which of them counts would be a guess.
Status check_distinct_keys(const Value& map);

}  // namespace weir::cluster
