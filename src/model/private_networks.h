#pragma once

#include <array>
#include <string_view>

namespace weir::model {

/// What is `pvt` by default: RFC 1918, RFC 6598, link-local, loopback, RFC 4193.
inline constexpr std::array<std::string_view, 9> kPrivateNetworks = {
    "10.0.0.0/8",  "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
    "127.0.0.0/8", "fc00::/7",      "fe80::/10",      "::1/128"};

}  // namespace weir::model
