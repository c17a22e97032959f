#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include "model/dns.h"
#include "model/dns_record.h"
#include "model/endpoint.h"

namespace weir::aggregate {

struct DnsAggregatorOptions {
  /// 0: one record a client address; 1: clients with the same name prefix are one.
  int level = 1;
  bool include_labels = true;
  /// Records of one window; lookups above it only count in one UNLOGGED record. 0: no limit.
  std::uint64_t per_node_limit = 0;
  /// Servers that a record names.
  std::size_t max_servers = 50;
};

/// Merges equal lookups of a window: same client (by level), question, rcode and answer. The answer is a set: neither
/// the order of records (servers rotate it) nor their TTL matters.
///
/// Bounds: memory grows with the distinct lookups of a window, at most kMaxRecords; what is above counts as unlogged.
/// Threads: one.
class DnsAggregator {
 public:
  static constexpr std::uint64_t kMaxRecords = 1u << 20;

  explicit DnsAggregator(DnsAggregatorOptions options = {}) : options_(options) {}

  /// `client`, `server`: who owns the addresses; null if that is not known. They live until the next flush.
  void add(const model::DnsTransaction& lookup, const model::Endpoint* client, const model::Endpoint* server);

  /// Calls `emit` for each record of the window, in a fixed order (by key), last the UNLOGGED one if there is any, and
  /// begins a new window. Times are Unix seconds.
  void flush(std::int64_t start_time, std::int64_t end_time, const std::function<void(const model::DnsRecord&)>& emit);

  /// Lookups of all windows; of them not logged.
  std::uint64_t lookups() const { return lookups_; }
  std::uint64_t unlogged() const { return unlogged_; }

 private:
  struct Entry {
    IpAddress client_ip;
    const model::Endpoint* client = nullptr;
    model::LabelSet labels;
    std::string qname, qtype, qclass, rcode;
    std::vector<model::DnsRrset> rrsets;
    /// By address.
    std::vector<model::DnsServer> servers;
    std::uint64_t count = 0;
    std::uint64_t latency_count = 0, latency_sum = 0, latency_max = 0;
  };

  void make_key(const model::DnsTransaction& lookup, const model::Endpoint* client,
                const std::vector<model::DnsRrset>& rrsets);
  static void fill(Entry& entry, const model::DnsTransaction& lookup, const model::Endpoint* client);
  void merge(Entry& entry, const model::DnsTransaction& lookup, const model::Endpoint* client,
             const model::Endpoint* server) const;
  model::DnsRecord record_of(const Entry& entry) const;

  DnsAggregatorOptions options_;
  absl::flat_hash_map<std::string, Entry> entries_;
  std::string key_;
  std::uint64_t window_unlogged_ = 0;
  std::uint64_t lookups_ = 0, unlogged_ = 0;
};

}  // namespace weir::aggregate
