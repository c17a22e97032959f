#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/result.h"

namespace weir {

/// An IP address and a port to listen at or to connect to.
struct SocketAddress {
  IpAddress ip;
  std::uint16_t port = 0;

  /// "127.0.0.1:9081" or "[::1]:9081"; port 0 lets the kernel choose one. No names.
  static Result<SocketAddress> parse(std::string_view text);
  /// 127.0.0.0/8 or ::1.
  bool is_loopback() const;
  std::string to_string() const;

  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
};

}  // namespace weir
