#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir::kube {

/// RFC 4648 base64 with its padding; blanks and line breaks are passed over. nullopt if it is none.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace weir::kube
