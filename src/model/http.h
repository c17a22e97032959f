#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "model/connection.h"

namespace weir::model {

/// One HTTP/1.x request and, if seen, its response.
struct HttpTransaction {
  /// Oriented client → server as HTTP has it, whoever opened the connection.
  Tuple tuple;
  ConnectionSlot slot = 0;
  /// Of `tuple`: at the client's interface (kSource), at the server's (kDest).
  ObservedAt observed_at = ObservedAt::kAnywhere;
  std::int64_t request_ns = 0;
  /// 0: no response seen.
  std::int64_t response_ns = 0;
  std::string method, url, host, user_agent;
  /// "HTTP/1.1".
  std::string version;
  /// 0: no response seen.
  std::uint16_t status = 0;
  /// Bytes of heads and bodies as sent, as far as lengths are known.
  std::uint64_t request_bytes = 0, response_bytes = 0;
  /// The client address by the configured rule; none if no forwarding header gave one.
  IpAddress original_source;
};

}  // namespace weir::model
