#include "flowlog/dns_log.h"

#include "flowlog/field_json.h"
#include "flowlog/record_json.h"

namespace weir::flowlog {
namespace {

struct DnsWriter : ValueWriter {
  using ValueWriter::operator();

  void operator()(std::span<const model::DnsRrset> rrsets) const { append_list(out, rrsets, *this); }
  void operator()(const model::DnsRrset& rrset) const {
    out += "{\"name\":";
    json::append_string(out, rrset.name);
    out += ",\"type\":";
    json::append_string(out, rrset.type);
    out += ",\"class\":";
    json::append_string(out, rrset.rclass);
    out += ",\"rdata\":";
    append_list(out, rrset.rdata, [&](const std::string& data) { json::append_string(out, data); });
    out += '}';
  }
  void operator()(std::span<const model::DnsServer> servers) const { append_list(out, servers, *this); }
  void operator()(const model::DnsServer& server) const {
    out += "{\"ip\":";
    json::append_ip(out, server.ip);
    out += ",\"name\":";
    json::append_string(out, server.name);
    out += ",\"name_aggr\":";
    json::append_string(out, server.name_aggr);
    out += ",\"namespace\":";
    json::append_string(out, server.namespace_name);
    out += ",\"labels\":";
    (*this)(server.labels);
    out += '}';
  }
};

void append_unlogged(std::string& out, const model::DnsRecord& record) {
  out += "{\"start_time\":";
  json::append_int(out, record.start_time);
  out += ",\"end_time\":";
  json::append_int(out, record.end_time);
  out += ",\"type\":\"UNLOGGED\",\"count\":";
  json::append_uint(out, record.count);
  out += '}';
}

}  // namespace

void append_field(std::string& out, std::span<const model::DnsRrset> rrsets) { DnsWriter{{out}}(rrsets); }
void append_field(std::string& out, std::span<const model::DnsServer> servers) { DnsWriter{{out}}(servers); }

void append_dns_line(std::string& out, const model::DnsRecord& record) {
  if (record.type == "UNLOGGED") {
    append_unlogged(out, record);
  } else {
    append_record(out, record, model::kDnsFields, DnsWriter{{out}});
  }
  out += '\n';
}

}  // namespace weir::flowlog
