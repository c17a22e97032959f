#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "model/conntrack.h"
#include "packet/decoder.h"

namespace weir::capture {

/// One logged packet as the kernel's message has it; the bytes belong to the message.
struct NflogMessage {
  std::uint16_t group = 0;
  /// Counts the packets of the group, lost ones too.
  std::optional<std::uint32_t> sequence;
  /// Without its terminator.
  std::string_view prefix;
  /// From the IP header on.
  std::span<const std::uint8_t> packet;
  /// Attributes of its entry in the connection tracker (CTA_*); empty: none.
  std::span<const std::uint8_t> conntrack;
  /// Nanoseconds since the Unix epoch; 0: not told.
  std::int64_t time_ns = 0;
};

/// Reads the payload of an NFULNL_MSG_PACKET message. False: it is damaged, or holds no packet.
/// Source: linux/netfilter/nfnetlink_log.h.
bool parse_nflog_message(std::span<const std::uint8_t> payload, NflogMessage& out);

/// Whose connection a logged packet belongs to.
struct NflogConnection {
  /// In the direction of the connection, after DNAT.
  model::Tuple tuple;
  IpAddress original_dest;
  std::uint16_t original_dest_port = 0;
  /// IP length of the packet.
  std::uint32_t bytes = 0;
};

/// False: the packet is none that can be metered. `scratch` is only to keep memory out of the stack.
bool find_connection(const NflogMessage& message, packet::Decoder& decoder, model::ConntrackEvent& scratch,
                     NflogConnection& out);

}  // namespace weir::capture
