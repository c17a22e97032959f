#pragma once

#include <string>

#include "model/dns_record.h"

namespace weir::flowlog {

/// Appends the record as one line of dns.log, with its newline. An UNLOGGED record has only the fields that are valid.
void append_dns_line(std::string& out, const model::DnsRecord& record);

}  // namespace weir::flowlog
