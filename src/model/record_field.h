#pragma once

#include <string_view>

namespace weir::model {

/// A field of a log record: its name in JSON, its member, and its meaning for the documentation.
template <auto Member>
struct RecordField {
  std::string_view name;
  std::string_view doc;
  template <typename Record>
  static constexpr const auto& get(const Record& record) {
    return record.*Member;
  }
};

}  // namespace weir::model
