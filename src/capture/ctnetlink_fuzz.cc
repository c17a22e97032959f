// Any bytes as a datagram of the connection tracker: no read outside it, and what is read is whole.

#include <linux/netfilter/nfnetlink.h>

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "capture/internal/ctnetlink.h"
#include "capture/internal/netlink.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;  // NOLINT(google-build-using-namespace): one function
  capture::NetlinkMessages messages({data, size});
  capture::NetlinkMessage message;
  std::size_t bytes = 0;
  while (messages.next(message)) {
    CHECK(message.payload.data() >= data && message.payload.data() + message.payload.size() <= data + size);
    bytes += message.payload.size();
    if (message.payload.size() < sizeof(nfgenmsg)) continue;
    model::ConntrackEvent event;
    event.kind = static_cast<model::ConntrackEvent::Kind>(message.flags % 3);
    event.time_ns = 1;
    if (!capture::parse_conntrack_attributes(message.payload.subspan(sizeof(nfgenmsg)), event)) continue;
    CHECK(event.time_ns == 1);
    const bool icmp = event.original.protocol == model::kProtoIcmp || event.original.protocol == model::kProtoIcmp6;
    const model::Tuple flow = capture::flow_tuple(event);
    CHECK(flow.source == event.original.source && flow.dest == event.reply.source);
    CHECK(!icmp || flow.dest_port == event.reply.dest_port);
  }
  CHECK(bytes <= size);
  return 0;
}
