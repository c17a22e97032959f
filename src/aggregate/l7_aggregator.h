#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include "model/endpoint.h"
#include "model/http.h"
#include "model/l7_record.h"

namespace weir::aggregate {

/// Which fields are part of the key; a field that is not shows as `-`, 0 or null. The defaults are the log's own.
struct L7AggregatorOptions {
  /// User agent.
  bool include_headers = false;
  bool include_method = true;
  bool include_response_code = true;
  bool include_service = true;
  bool include_source = true;
  bool include_destination = true;
  /// kFull: with the query; kNoQuery; kNoPath: the host only; kNone.
  enum class Url : std::uint8_t { kFull, kNoQuery, kNoPath, kNone };
  Url url = Url::kFull;
  /// Components of the path that are kept, the query goes with the rest; negative: all.
  int url_path_parts = 5;
  /// Bytes of the URL that are kept; negative: all.
  int url_char_limit = 250;
  /// Records of one window; transactions above it are only counted. 0: no limit.
  std::uint64_t per_node_limit = 1500;
  /// Addresses that original_source_ips names.
  std::size_t max_original_ips = 50;
  /// One record per transaction, with addresses and ports and nothing cut.
  bool none = false;

  /// `--l7-level 0`: nothing is merged, cut or limited.
  static L7AggregatorOptions unaggregated();
};

/// Merges the HTTP transactions of a window that are equal in what the options keep.
///
/// Bounds: at most kMaxRecords records in a window; what is above is counted as unlogged. Threads: one.
class L7Aggregator {
 public:
  static constexpr std::uint64_t kMaxRecords = 1u << 20;

  explicit L7Aggregator(L7AggregatorOptions options = {}) : options_(options) {}

  /// `client`, `server`: who owns the addresses; null if that is not known. `service`: null if none was addressed.
  /// They live until the next flush.
  void add(const model::HttpTransaction& transaction, const model::Endpoint* client, const model::Endpoint* server,
           const model::ServiceRef* service);

  /// Calls `emit` for each record of the window, in a fixed order (by key; unaggregated: by time), and begins a new
  /// window. Times are Unix seconds.
  void flush(std::int64_t start_time, std::int64_t end_time, const std::function<void(const model::L7Record&)>& emit);

  std::uint64_t transactions() const { return transactions_; }
  /// Transactions above the limit.
  std::uint64_t unlogged() const { return unlogged_; }

 private:
  struct Entry {
    const model::Endpoint* client = nullptr;
    const model::Endpoint* server = nullptr;
    const model::ServiceRef* service = nullptr;
    model::Tuple tuple;
    std::string method, url, response_code, user_agent, type, version;
    std::uint64_t count = 0, bytes_in = 0, bytes_out = 0;
    std::uint64_t duration_count = 0, duration_sum = 0, duration_max = 0;
    /// Sorted and distinct, all of them up to kMaxCountedIps.
    std::vector<IpAddress> original_ips;
  };
  /// Distinct addresses that num_original_source_ips can count.
  static constexpr std::size_t kMaxCountedIps = 10'000;

  Entry describe(const model::HttpTransaction& transaction, const model::Endpoint* client,
                 const model::Endpoint* server, const model::ServiceRef* service) const;
  std::string url_of(const model::HttpTransaction& transaction) const;
  void make_key(const Entry& entry, const model::HttpTransaction& transaction);
  static void merge(Entry& entry, const model::HttpTransaction& transaction);
  model::L7Record record_of(const Entry& entry) const;

  L7AggregatorOptions options_;
  absl::flat_hash_map<std::string, Entry> entries_;
  std::string key_;
  std::uint64_t transactions_ = 0, unlogged_ = 0;
};

}  // namespace weir::aggregate
