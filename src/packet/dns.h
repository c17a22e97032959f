#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/dns.h"

namespace weir::packet {

struct DnsQuestion {
  /// Presentation form; "" if it could not be read (a compression loop).
  std::string name;
  std::uint16_t type = 0;
  std::uint16_t qclass = 1;
};

/// What the log needs of one DNS message (RFC 1035, EDNS RFC 6891).
struct DnsMessage {
  std::uint16_t id = 0;
  bool response = false;
  std::uint8_t opcode = 0;
  /// With the EDNS extension.
  std::uint16_t rcode = 0;
  std::vector<DnsQuestion> questions;
  std::vector<model::DnsRecordData> answers;
};

enum class DnsParse : std::uint8_t {
  kOk,
  kMalformed,  ///< the message holds what could be read before, or in spite of, the damage
  kNotDns,     ///< too short for a header; the message is empty
};

/// Parses a message without its TCP length prefix. Any bytes are safe; work is linear in the message (compression
/// pointers: at most 128 per name, 255 bytes of name). `out` is overwritten.
///
/// Names are written without the final dot, the root as "."; a dot or backslash inside a label as "\." and "\\", bytes
/// outside printable ASCII as "\DDD" (RFC 1035 5.1). Case is kept. Record data as in model::DnsRecordData; data that
/// does not fit its type is written in the form for unknown types (RFC 3597).
DnsParse parse_dns(std::span<const std::uint8_t> message, DnsMessage& out);

}  // namespace weir::packet
