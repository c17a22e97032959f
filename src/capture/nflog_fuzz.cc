// Any bytes as a datagram of the policy log, down to the packet's connection; and any bytes as a prefix, which is
// written again as it was read.

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "capture/internal/netlink.h"
#include "capture/internal/nflog_message.h"
#include "capture/nflog_prefix.h"

namespace {

using namespace weir;  // NOLINT(google-build-using-namespace): one program

void check_prefix(std::string_view text) {
  capture::ParsedNflogPrefix parsed;
  if (!capture::parse_nflog_prefix(text, parsed)) return;
  CHECK(text.size() <= capture::kMaxNflogPrefix && text.ends_with(parsed.id));
  const auto again =
      capture::format_nflog_prefix({parsed.action, parsed.kind, parsed.egress, parsed.rule, std::string(parsed.id)});
  CHECK(again.ok());
  // A cut name cannot give back what was hashed.
  CHECK(parsed.hashed || again.value() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check_prefix({reinterpret_cast<const char*>(data), size});
  packet::Decoder decoder(packet::Decoder::Options{.outer = true, .vxlan_ports = {}});
  model::ConntrackEvent scratch;
  capture::NetlinkMessages messages({data, size});
  capture::NetlinkMessage message;
  while (messages.next(message)) {
    capture::NflogMessage logged;
    if (!capture::parse_nflog_message(message.payload, logged)) continue;
    CHECK(logged.packet.data() >= data && logged.packet.data() + logged.packet.size() <= data + size);
    CHECK(logged.time_ns >= 0);
    check_prefix(logged.prefix);
    capture::NflogConnection connection;
    (void)capture::find_connection(logged, decoder, scratch, connection);
  }
  return 0;
}
