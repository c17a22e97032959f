#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::model {

/// Appends "tcp", "udp", "icmp", "icmp6", "sctp", "ipip", "esp", or the number in decimal.
void append_protocol(std::string& out, std::uint8_t protocol);
std::string protocol_name(std::uint8_t protocol);

/// Any of those names in any case ("icmpv6" too), or a number 0 to 255; -1 if it is neither.
int parse_protocol(std::string_view text);

}  // namespace weir::model
