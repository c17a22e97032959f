#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/agent_window.h"
#include "model/dns_record.h"

/// The JSON of single fields that are lists of objects, as their logs have it.
namespace weir::flowlog {

void append_field(std::string& out, std::span<const model::DnsRrset> rrsets);
void append_field(std::string& out, std::span<const model::DnsServer> servers);
void append_field(std::string& out, const std::vector<model::NamedCount>& counts);
void append_field(std::string& out, const std::vector<model::SourceCounts>& sources);

}  // namespace weir::flowlog
