#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {

/// RFC 3339 with any fraction and offset, as nanoseconds since the Unix epoch; nullopt if it is none (or before 1970
/// or after 2200).
std::optional<std::int64_t> parse_rfc3339(std::string_view text);

}  // namespace weir
