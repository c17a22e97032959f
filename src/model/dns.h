#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "model/connection.h"
#include "model/endpoint.h"

namespace weir::model {

/// A resource record of an answer (RFC 1035 3.2), in presentation form.
struct DnsRecordData {
  std::string name;
  std::uint16_t type = 0;
  std::uint16_t rclass = 1;
  std::uint32_t ttl = 0;
  /// "10.0.0.1", "www.example.com", "10 mail.example.com", TXT strings joined; "\\# LEN HEX" (RFC 3597) for other
  /// types.
  std::string data;
  /// The address of an A or AAAA record, else none.
  IpAddress address;
};

/// One lookup: a query paired with its answer, or an answer without a query, or a query that nobody answered.
struct DnsTransaction {
  IpAddress client, server;
  std::uint16_t client_port = 0, server_port = 0;
  std::uint8_t protocol = kProtoUdp;
  /// Nanoseconds since the Unix epoch; 0 where that half was not seen.
  std::int64_t query_ns = 0, answer_ns = 0;
  std::string qname;
  std::uint16_t qtype = 0, qclass = 1;
  /// RCODE with EDNS extension (RFC 6891); kTimeout if nothing answered.
  std::uint16_t rcode = 0;
  static constexpr std::uint16_t kTimeout = 0xFFFF;
  /// The answer section in order.
  std::vector<DnsRecordData> answers;
};

/// "A", "AAAA", …, "TYPE65280" (RFC 3597).
std::string dns_type_name(std::uint16_t type);
/// "IN", "CH", "HS", "ANY", "CLASS12".
std::string dns_class_name(std::uint16_t rclass);
/// "NoError", "FormErr", "ServFail", "NXDomain", …, "Timeout", "RCODE24".
std::string dns_rcode_name(std::uint16_t rcode);

}  // namespace weir::model
