#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "packet/http.h"

namespace weir::packet {

/// Which address of the forwarding headers is the client. Every proxy appends the address that it saw, so only what
/// trusted proxies appended is true: entries further left may be invented by the client.
struct XffRule {
  enum class Choose : std::uint8_t {
    kRightmostUntrusted,  ///< the rightmost address that is no trusted proxy (all are: the leftmost); the default
    kLeftmost,            ///< what the first hop claimed
    kIndex,               ///< the index-th from the right, 0 the rightmost; none if the list is shorter
  };
  Choose choose = Choose::kRightmostUntrusted;
  std::uint32_t index = 0;
  std::vector<IpPrefix> trusted_proxies;
};

/// One entry of X-Forwarded-For, X-Real-IP or Forwarded's `for`: "192.0.2.1", "192.0.2.1:80", "2001:db8::1",
/// "[2001:db8::1]:80", any of them quoted; none for "unknown", "_hidden" (RFC 7239 6) and all else.
std::optional<IpAddress> parse_forwarded_address(std::string_view text);

/// The client by the rule: from all X-Forwarded-For lines as one list; if they hold no address from X-Real-IP; else
/// from the `for` parameters of Forwarded (RFC 7239). Entries that are no addresses are passed over. The default value
/// (none) if nothing gave an address.
IpAddress original_client(const HttpHead& head, const XffRule& rule);

}  // namespace weir::packet
