// One frame of any link type: byte 0 is the link type, byte 1 how much more there was on the wire than is captured.
// The fast path must agree with the general one, and no payload may lie outside the frame.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "packet/decoder.h"

namespace weir::packet {
namespace {

bool same(const DecodedPacket& a, const DecodedPacket& b) {
  return a.time_ns == b.time_ns && a.zone == b.zone && a.from_pod == b.from_pod && a.tuple == b.tuple &&
         a.ip_bytes == b.ip_bytes && a.tcp_flags == b.tcp_flags && a.later_fragment == b.later_fragment &&
         a.fragment == b.fragment && a.icmp_error == b.icmp_error && a.tcp_valid == b.tcp_valid &&
         a.tcp_seq == b.tcp_seq && a.tcp_ack == b.tcp_ack && a.tcp_window == b.tcp_window && a.tcp_mss == b.tcp_mss &&
         a.payload == b.payload && a.payload_captured == b.payload_captured && a.payload_bytes == b.payload_bytes;
}

void decode(const PacketView& view, const Decoder::Options& options) {
  Decoder fast(options), general(options);
  DecodedPacket a, b;
  const DecodeStatus status = fast.decode(view, a);
  CHECK(status == general.decode_any(view, b));
  CHECK(fast.stats().frames == general.stats().frames);
  if (status != DecodeStatus::kOk) return;
  CHECK(same(a, b));
  CHECK(a.payload_captured <= a.payload_bytes);
  CHECK(a.payload_captured == 0 ||
        (a.payload >= view.data && a.payload + a.payload_captured <= view.data + view.captured_bytes));
}

}  // namespace
}  // namespace weir::packet

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::packet;  // NOLINT(google-build-using-namespace): one function
  constexpr std::uint16_t kLinkTypes[] = {1,   101, 0,   9,   12,  50,  51,  104, 105, 108,
                                          113, 119, 127, 163, 166, 228, 229, 276, 14,  220};
  if (size < 2) return 0;
  const auto captured = static_cast<std::uint32_t>(size - 2);
  const PacketView view{data + 2, captured, captured + data[1], 1, kLinkTypes[data[0] % std::size(kLinkTypes)],
                        7,        true};
  decode(view, {.outer = false, .vxlan_ports = {8472}});
  decode(view, {.outer = true, .vxlan_ports = {}});
  return 0;
}
