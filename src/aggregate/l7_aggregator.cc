#include "aggregate/l7_aggregator.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace weir::aggregate {
namespace {

using Url = L7AggregatorOptions::Url;

/// Appends a part of a key with its length, as it may hold any byte.
void append_part(std::string& key, std::string_view part) {
  key += part;
  key += '\0';
  key += std::to_string(part.size());
  key += '\0';
}

/// Appends a number so that keys sort by it.
void append_number(std::string& key, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(number >> shift & 0xFF);
}

void append_endpoint(std::string& key, const model::Endpoint* endpoint) {
  if (endpoint == nullptr) return append_part(key, "");
  append_part(key, endpoint->namespace_name);
  append_part(key, endpoint->group->name_aggr);
  append_part(key, model::to_string(endpoint->type));
}

/// The first `parts` components of a path without its leading slash.
std::string_view cut_path(std::string_view path, int parts) {
  std::size_t end = 0;
  for (int i = 0; i < parts; ++i) {
    end = path.find('/', i == 0 ? 0 : end + 1);
    if (end == std::string_view::npos) return path;
  }
  return path.substr(0, end);
}

std::string_view text_or_dash(std::string_view text) { return text.empty() ? std::string_view("-") : text; }

}  // namespace

L7AggregatorOptions L7AggregatorOptions::unaggregated() {
  L7AggregatorOptions options;
  options.include_headers = true;
  options.url_path_parts = -1;
  options.url_char_limit = -1;
  options.per_node_limit = 0;
  options.none = true;
  return options;
}

std::string L7Aggregator::url_of(const model::HttpTransaction& transaction) const {
  if (options_.url == Url::kNone || (transaction.url.empty() && transaction.host.empty())) return "-";
  // A proxy is asked with the whole URL; "*" and CONNECT's host:port stand alone too.
  const bool relative = transaction.url.starts_with('/') || transaction.url.empty();
  std::string_view target = transaction.url;
  std::string url = relative ? transaction.host : std::string();
  if (!relative) {
    const std::size_t scheme = target.find("://");
    const std::size_t path = target.find('/', scheme == std::string_view::npos ? 0 : scheme + 3);
    url = target.substr(0, path);
    target = path == std::string_view::npos ? std::string_view() : target.substr(path);
  }
  if (options_.url != Url::kNoPath) {
    const std::size_t query = target.find('?');
    const std::string_view path = target.substr(0, query);
    const bool all = options_.url_path_parts < 0 || path.empty();
    const std::string_view kept =
        all ? path : path.substr(0, 1 + cut_path(path.substr(1), options_.url_path_parts).size());
    url += kept;
    const bool whole = kept.size() == path.size();
    if (whole && query != std::string_view::npos && options_.url == Url::kFull) url += target.substr(query);
  }
  if (options_.url_char_limit >= 0 && url.size() > static_cast<std::size_t>(options_.url_char_limit)) {
    url.resize(static_cast<std::size_t>(options_.url_char_limit));
  }
  return url;
}

L7Aggregator::Entry L7Aggregator::describe(const model::HttpTransaction& transaction, const model::Endpoint* client,
                                           const model::Endpoint* server, const model::ServiceRef* service) const {
  Entry entry;
  if (options_.include_source) entry.client = client;
  if (options_.include_destination) entry.server = server;
  if (options_.include_service) entry.service = service;
  entry.tuple = transaction.tuple;
  entry.method = options_.include_method ? text_or_dash(transaction.method) : "-";
  entry.url = url_of(transaction);
  const bool code = options_.include_response_code && transaction.status != 0;
  entry.response_code = code ? std::to_string(transaction.status) : "-";
  entry.user_agent = options_.include_headers ? text_or_dash(transaction.user_agent) : "-";
  entry.version = text_or_dash(transaction.version);
  entry.type = transaction.version.starts_with("HTTP/") ? "html/" + transaction.version.substr(5) : "-";
  return entry;
}

void L7Aggregator::make_key(const Entry& entry, const model::HttpTransaction& transaction) {
  key_.clear();
  if (options_.none) {
    append_number(key_, static_cast<std::uint64_t>(transaction.request_ns != 0 ? transaction.request_ns
                                                                               : transaction.response_ns));
    append_number(key_, transactions_);
    return;
  }
  append_endpoint(key_, entry.client);
  append_endpoint(key_, entry.server);
  if (entry.service != nullptr) {
    append_part(key_, entry.service->namespace_name);
    append_part(key_, entry.service->name);
    append_number(key_, entry.service->port);
  }
  for (const std::string* part : {&entry.url, &entry.method, &entry.response_code, &entry.user_agent, &entry.version}) {
    append_part(key_, *part);
  }
}

void L7Aggregator::add(const model::HttpTransaction& transaction, const model::Endpoint* client,
                       const model::Endpoint* server, const model::ServiceRef* service) {
  ++transactions_;
  Entry described = describe(transaction, client, server, service);
  make_key(described, transaction);
  auto found = entries_.find(key_);
  if (found == entries_.end()) {
    const std::uint64_t limit = options_.per_node_limit == 0 ? kMaxRecords : options_.per_node_limit;
    if (entries_.size() >= limit) {
      ++unlogged_;
      return;
    }
    found = entries_.emplace(key_, std::move(described)).first;
  }
  merge(found->second, transaction);
}

void L7Aggregator::merge(Entry& entry, const model::HttpTransaction& transaction) {
  ++entry.count;
  entry.bytes_in += transaction.request_bytes;
  entry.bytes_out += transaction.response_bytes;
  if (transaction.request_ns != 0 && transaction.response_ns >= transaction.request_ns) {
    const auto duration = static_cast<std::uint64_t>(transaction.response_ns - transaction.request_ns);
    ++entry.duration_count;
    entry.duration_sum += duration;
    entry.duration_max = std::max(entry.duration_max, duration);
  }
  if (transaction.original_source.is_none() || entry.original_ips.size() >= kMaxCountedIps) return;
  const auto at = std::lower_bound(entry.original_ips.begin(), entry.original_ips.end(), transaction.original_source);
  if (at == entry.original_ips.end() || *at != transaction.original_source) {
    entry.original_ips.insert(at, transaction.original_source);
  }
}

model::L7Record L7Aggregator::record_of(const Entry& entry) const {
  model::L7Record record;
  const auto describe_end = [](const model::Endpoint* end, std::string_view& name, std::string_view& space,
                               std::string_view& type) {
    if (end == nullptr) return;
    name = end->group->name_aggr;
    space = end->namespace_name;
    type = model::to_string(end->type);
  };
  if (!options_.include_source) record.src_type = "-";
  if (!options_.include_destination) record.dest_type = "-";
  describe_end(entry.client, record.src_name_aggr, record.src_namespace, record.src_type);
  describe_end(entry.server, record.dest_name_aggr, record.dest_namespace, record.dest_type);
  if (entry.service != nullptr) {
    record.dest_service_namespace = entry.service->namespace_name;
    record.dest_service_name = entry.service->name;
    record.dest_service_port = entry.service->port;
  }
  if (options_.none) {
    record.src_ip = entry.tuple.source;
    record.dest_ip = entry.tuple.dest;
    record.src_port = entry.tuple.source_port;
    record.dest_port = entry.tuple.dest_port;
  }
  record.method = entry.method;
  record.url = entry.url;
  record.response_code = entry.response_code;
  record.user_agent = entry.user_agent;
  record.type = entry.type;
  record.protocol_version = entry.version;
  record.count = entry.count;
  record.bytes_in = entry.bytes_in;
  record.bytes_out = entry.bytes_out;
  record.duration_mean = entry.duration_count == 0 ? 0 : entry.duration_sum / entry.duration_count;
  record.duration_max = entry.duration_max;
  record.original_source_ips =
      std::span(entry.original_ips).first(std::min(entry.original_ips.size(), options_.max_original_ips));
  record.num_original_source_ips = entry.original_ips.size();
  return record;
}

void L7Aggregator::flush(std::int64_t start_time, std::int64_t end_time,
                         const std::function<void(const model::L7Record&)>& emit) {
  std::vector<const std::pair<const std::string, Entry>*> sorted;
  sorted.reserve(entries_.size());
  for (const auto& entry : entries_) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  for (const auto* entry : sorted) {
    model::L7Record record = record_of(entry->second);
    record.start_time = start_time;
    record.end_time = end_time;
    emit(record);
  }
  entries_.clear();
}

}  // namespace weir::aggregate
