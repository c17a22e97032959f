#include "base/ip.h"

#include <arpa/inet.h>

#include <charconv>

namespace weir {

IpAddress IpAddress::v4(std::uint32_t host_order) {
  const std::uint32_t network = htonl(host_order);
  std::uint8_t raw[4];
  std::memcpy(raw, &network, 4);
  return v4(raw);
}

IpAddress IpAddress::v4(const std::uint8_t* bytes) {
  IpAddress ip;
  ip.bytes[10] = 0xFF;
  ip.bytes[11] = 0xFF;
  std::memcpy(ip.bytes.data() + 12, bytes, 4);
  return ip;
}

IpAddress IpAddress::v6(const std::uint8_t* bytes) {
  IpAddress ip;
  std::memcpy(ip.bytes.data(), bytes, 16);
  return ip;
}

std::uint32_t IpAddress::v4_host_order() const {
  std::uint32_t network;
  std::memcpy(&network, bytes.data() + 12, 4);
  return ntohl(network);
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  char buffer[64];
  if (text.size() < sizeof buffer) {
    text.copy(buffer, text.size());  // unlike memcpy, it takes an empty view of null
    buffer[text.size()] = '\0';
    std::uint8_t raw[16];
    if (inet_pton(AF_INET, buffer, raw) == 1) return v4(raw);
    if (inet_pton(AF_INET6, buffer, raw) == 1) return v6(raw);
  }
  return invalid_argument("'" + std::string(text.substr(0, 60)) + "' is not an IP address");
}

char* IpAddress::format(char* out) const {
  if (!is_v4()) {
    char text[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
    const std::size_t size = std::strlen(text);
    std::memcpy(out, text, size);
    return out + size;
  }
  for (std::size_t i = 12; i < 16; ++i) {
    const unsigned value = bytes[i];
    if (value >= 100) *out++ = static_cast<char>('0' + value / 100);
    if (value >= 10) *out++ = static_cast<char>('0' + value / 10 % 10);
    *out++ = static_cast<char>('0' + value % 10);
    if (i < 15) *out++ = '.';
  }
  return out;
}

std::string IpAddress::to_string() const {
  char text[kMaxIpText + 1];
  return {text, format(text)};
}

Result<IpPrefix> IpPrefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  TRY_ASSIGN(const IpAddress address, IpAddress::parse(text.substr(0, slash)));
  const bool v4 = text.find(':') == std::string_view::npos;
  unsigned length = v4 ? 32 : 128;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const unsigned limit = length;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc() || end != digits.data() + digits.size() || length > limit) {
      return invalid_argument("'" + std::string(text.substr(0, 60)) + "' is not a CIDR block");
    }
  }
  if (v4) length += 96;
  IpPrefix prefix{address, static_cast<std::uint8_t>(length)};
  for (unsigned bit = length; bit < 128; ++bit) {
    prefix.address.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> (bit % 8)));
  }
  return prefix;
}

bool IpPrefix::contains(const IpAddress& ip) const {
  if (ip.is_v4() != is_v4()) return false;
  const std::size_t whole = length / 8u;
  if (std::memcmp(address.bytes.data(), ip.bytes.data(), whole) != 0) return false;
  const unsigned rest = length % 8u;
  if (rest == 0) return true;
  const unsigned mask = 0xFFu << (8 - rest) & 0xFFu;
  return ((address.bytes[whole] ^ ip.bytes[whole]) & mask) == 0;
}

std::string IpPrefix::to_string() const {
  return address.to_string() + "/" + std::to_string(is_v4() ? length - 96 : length);
}

}  // namespace weir
