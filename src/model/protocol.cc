#include "model/protocol.h"

#include <charconv>

#include "base/text.h"
#include "model/connection.h"

namespace weir::model {
namespace {

struct Name {
  std::uint8_t protocol;
  std::string_view text;
};
constexpr Name kNames[] = {{kProtoTcp, "tcp"},      {kProtoUdp, "udp"},   {kProtoIcmp, "icmp"}, {kProtoIcmp6, "icmp6"},
                           {kProtoIcmp6, "icmpv6"}, {kProtoSctp, "sctp"}, {kProtoIpip, "ipip"}, {kProtoEsp, "esp"}};

}  // namespace

void append_protocol(std::string& out, std::uint8_t protocol) {
  for (const Name& name : kNames) {
    if (name.protocol == protocol) {
      out += name.text;
      return;
    }
  }
  out += std::to_string(protocol);
}

std::string protocol_name(std::uint8_t protocol) {
  std::string text;
  append_protocol(text, protocol);
  return text;
}

int parse_protocol(std::string_view text) {
  for (const Name& name : kNames) {
    if (equal_ignoring_case(text, name.text)) return name.protocol;
  }
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value <= 255 ? static_cast<int>(value) : -1;
}

}  // namespace weir::model
