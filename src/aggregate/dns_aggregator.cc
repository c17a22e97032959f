#include "aggregate/dns_aggregator.h"

#include <algorithm>
#include <string_view>
#include <tuple>

#include "aggregate/common_labels.h"

namespace weir::aggregate {
namespace {

/// The answer as a set: grouped by name, type and class; sorted, without doubles.
std::vector<model::DnsRrset> group_answers(const std::vector<model::DnsRecordData>& answers) {
  std::vector<const model::DnsRecordData*> sorted;
  sorted.reserve(answers.size());
  for (const model::DnsRecordData& answer : answers) sorted.push_back(&answer);
  const auto set_of = [](const model::DnsRecordData& a) { return std::tie(a.name, a.type, a.rclass); };
  std::sort(sorted.begin(), sorted.end(), [&](const auto* a, const auto* b) {
    return std::tuple_cat(set_of(*a), std::tie(a->data)) < std::tuple_cat(set_of(*b), std::tie(b->data));
  });
  std::vector<model::DnsRrset> sets;
  const model::DnsRecordData* newest = nullptr;
  for (const model::DnsRecordData* answer : sorted) {
    if (newest == nullptr || set_of(*newest) != set_of(*answer)) {
      sets.push_back({answer->name, model::dns_type_name(answer->type), model::dns_class_name(answer->rclass), {}});
    }
    newest = answer;
    std::vector<std::string>& rdata = sets.back().rdata;
    if (rdata.empty() || rdata.back() != answer->data) rdata.push_back(answer->data);
  }
  return sets;
}

/// Appends a part of a key. No part holds a NUL: DNS names and data are escaped.
void append_part(std::string& key, std::string_view part) {
  key += part;
  key += '\0';
}

std::string text_or_dash(std::string text) { return text.empty() ? "-" : text; }

}  // namespace

void DnsAggregator::add(const model::DnsTransaction& lookup, const model::Endpoint* client,
                        const model::Endpoint* server) {
  ++lookups_;
  std::vector<model::DnsRrset> rrsets = group_answers(lookup.answers);
  make_key(lookup, client, rrsets);
  auto found = entries_.find(key_);
  if (found == entries_.end()) {
    const std::uint64_t limit = options_.per_node_limit == 0 ? kMaxRecords : options_.per_node_limit;
    if (entries_.size() >= limit) {
      ++window_unlogged_;
      ++unlogged_;
      return;
    }
    found = entries_.emplace(key_, Entry()).first;
    fill(found->second, lookup, client);
    found->second.rrsets = std::move(rrsets);
  }
  merge(found->second, lookup, client, server);
}

void DnsAggregator::make_key(const model::DnsTransaction& lookup, const model::Endpoint* client,
                             const std::vector<model::DnsRrset>& rrsets) {
  key_.clear();
  if (client != nullptr) {
    append_part(key_, client->namespace_name);
    append_part(key_, client->group->name_aggr);
    key_ += static_cast<char>('0' + static_cast<int>(client->type));
  }
  if (options_.level == 0) {
    if (client != nullptr) append_part(key_, client->name);
    key_.append(reinterpret_cast<const char*>(lookup.client.bytes.data()), lookup.client.bytes.size());
  }
  append_part(key_, lookup.qname);
  for (const std::uint16_t number : {lookup.qtype, lookup.qclass, lookup.rcode})
    append_part(key_, std::to_string(number));
  for (const model::DnsRrset& set : rrsets) {
    append_part(key_, set.name);
    append_part(key_, set.type);
    append_part(key_, set.rclass);
    for (const std::string& data : set.rdata) append_part(key_, data);
    append_part(key_, "");
  }
}

void DnsAggregator::fill(Entry& entry, const model::DnsTransaction& lookup, const model::Endpoint* client) {
  const bool question = lookup.qtype != 0 || !lookup.qname.empty();
  entry.client_ip = lookup.client;
  entry.client = client;
  if (client != nullptr) entry.labels = *client->labels;
  entry.qname = text_or_dash(lookup.qname);
  entry.qtype = question ? model::dns_type_name(lookup.qtype) : "-";
  entry.qclass = question ? model::dns_class_name(lookup.qclass) : "-";
  entry.rcode = model::dns_rcode_name(lookup.rcode);
}

void DnsAggregator::merge(Entry& entry, const model::DnsTransaction& lookup, const model::Endpoint* client,
                          const model::Endpoint* server) const {
  ++entry.count;
  if (client != nullptr && client != entry.client) keep_common_labels(entry.labels, *client->labels);
  if (lookup.query_ns != 0 && lookup.answer_ns >= lookup.query_ns) {
    const auto latency = static_cast<std::uint64_t>(lookup.answer_ns - lookup.query_ns);
    ++entry.latency_count;
    entry.latency_sum += latency;
    entry.latency_max = std::max(entry.latency_max, latency);
  }
  const auto at = std::lower_bound(entry.servers.begin(), entry.servers.end(), lookup.server,
                                   [](const model::DnsServer& s, const IpAddress& ip) { return s.ip < ip; });
  if ((at != entry.servers.end() && at->ip == lookup.server) || entry.servers.size() >= options_.max_servers) return;
  model::DnsServer named;
  named.ip = lookup.server;
  if (server != nullptr) {
    named.name = server->name;
    named.name_aggr = server->group->name_aggr;
    named.namespace_name = server->namespace_name;
    if (options_.include_labels) named.labels = server->labels;
  }
  entry.servers.insert(at, named);
}

model::DnsRecord DnsAggregator::record_of(const Entry& entry) const {
  model::DnsRecord record;
  record.count = entry.count;
  if (options_.level == 0) record.client_ip = entry.client_ip;
  if (entry.client != nullptr) {
    if (options_.level == 0) record.client_name = entry.client->name;
    record.client_name_aggr = entry.client->group->name_aggr;
    record.client_namespace = entry.client->namespace_name;
    if (options_.include_labels) record.client_labels = &entry.labels;
  }
  record.qname = entry.qname;
  record.qtype = entry.qtype;
  record.qclass = entry.qclass;
  record.rcode = entry.rcode;
  record.rrsets = entry.rrsets;
  record.servers = entry.servers;
  record.latency_count = entry.latency_count;
  record.latency_mean = entry.latency_count == 0 ? 0 : entry.latency_sum / entry.latency_count;
  record.latency_max = entry.latency_max;
  return record;
}

void DnsAggregator::flush(std::int64_t start_time, std::int64_t end_time,
                          const std::function<void(const model::DnsRecord&)>& emit) {
  std::vector<const std::pair<const std::string, Entry>*> sorted;
  sorted.reserve(entries_.size());
  for (const auto& entry : entries_) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  for (const auto* entry : sorted) {
    model::DnsRecord record = record_of(entry->second);
    record.start_time = start_time;
    record.end_time = end_time;
    emit(record);
  }
  if (window_unlogged_ > 0) {
    model::DnsRecord record;
    record.start_time = start_time;
    record.end_time = end_time;
    record.type = "UNLOGGED";
    record.count = window_unlogged_;
    emit(record);
  }
  entries_.clear();
  window_unlogged_ = 0;
}

}  // namespace weir::aggregate
