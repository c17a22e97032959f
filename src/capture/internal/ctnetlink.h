#pragma once

#include <cstdint>
#include <span>

#include "model/conntrack.h"

namespace weir::capture {

/// Reads the attributes of one entry of the connection tracker (CTA_*) into `out`; fields that are not told become
/// zero. `kind` and `time_ns` are left alone. False: there are no two whole tuples, `out` is undefined. Source:
/// linux/netfilter/nfnetlink_conntrack.h, net/netfilter/nf_conntrack_netlink.c.
bool parse_conntrack_attributes(std::span<const std::uint8_t> attributes, model::ConntrackEvent& out);

/// The tuple of the flow: from who opened to who answers, after DNAT.
inline model::Tuple flow_tuple(const model::ConntrackEvent& event) {
  return {event.original.source, event.reply.source, event.original.source_port,
          event.original.protocol == model::kProtoIcmp || event.original.protocol == model::kProtoIcmp6
              ? event.original.dest_port
              : event.reply.source_port,
          event.original.protocol};
}

}  // namespace weir::capture
