#include "base/socket_address.h"

#include <charconv>

namespace weir {

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  const auto bad = [&] {
    return invalid_argument("'" + std::string(text.substr(0, 60)) +
                            "' is not ADDRESS:PORT (such as 127.0.0.1:9081 or [::1]:9081)");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  std::string_view address = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  // An IPv6 address stands in brackets: else its last group would pass for a port.
  const bool brackets = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (brackets) address = address.substr(1, address.size() - 2);
  const Result<IpAddress> ip = IpAddress::parse(address);
  if (!ip.ok() || brackets == (address.find(':') == std::string_view::npos)) return bad();
  SocketAddress result{ip.value(), 0};
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), result.port);
  if (error != std::errc() || end != port_text.data() + port_text.size()) return bad();
  return result;
}

bool SocketAddress::is_loopback() const {
  return ip.is_v4() ? ip.bytes[12] == 127 : ip == IpAddress::parse("::1").value();
}

std::string SocketAddress::to_string() const {
  const std::string address = ip.to_string();
  return (ip.is_v4() ? address : '[' + address + ']') + ':' + std::to_string(port);
}

}  // namespace weir
