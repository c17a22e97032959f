#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "aggregate/flow_store.h"
#include "aggregate/label_intersection.h"
#include "aggregate/pointer_memo.h"
#include "aggregate/process_groups.h"
#include "aggregate/process_names.h"
#include "base/result.h"
#include "filter/filter.h"
#include "model/flow_record.h"
#include "model/reported_flow.h"

namespace weir::aggregate {

struct AggregateOptions {
  /// Level, 0 to 3, of flows without and with a deny in their traces (enforced or pending).
  int level_allowed = 2;
  int level_denied = 1;
  /// Off: the fields are null, and traces split no records.
  bool include_labels = true;
  bool include_policies = true;
  /// Off: the service fields are absent, and services split no records.
  bool include_services = true;
  /// Off: the process fields are absent, and processes split no records.
  bool include_processes = true;
  /// Most values listed in a record; 0 to 65,536.
  std::uint32_t external_ips_limit = 50;
  std::uint32_t original_ips_limit = 50;
  std::uint32_t nat_ports_limit = 3;
  std::uint32_t domains_limit = 5;
  /// Process names of one key that have records of their own, at most 65,536; those that come later in a window have
  /// one together, named `*`.
  std::uint32_t process_limit = 2;
  /// Keys held at once, about 300 B each. At three quarters of it new keys are widened level by level, and at the whole
  /// of it a flow that fits no key is dropped (counted). At least 16.
  std::uint32_t max_keys = 1'000'000;
  /// External addresses and process ids (of keys with several) held at once over all keys, about 32 B each; past it
  /// their true numbers are lower bounds.
  std::uint32_t max_addresses = 1'000'000;
  /// A report that matches any is left out. A rule sees the level-0 record of that one report: rules on counters may
  /// match some reports of a connection and not others, so name endpoints, ports, labels, policies.
  std::vector<filter::Filter> exclude;

  /// Names every violated bound.
  Status validate() const;
};

/// Totals since creation.
struct AggregateStats {
  std::uint64_t reports = 0;
  /// Reports left out by Options::exclude.
  std::uint64_t excluded = 0;
  /// Reports counted under a wider key than their level's, or under no name of their process, for want of room.
  std::uint64_t widened = 0;
  /// Reports lost because not even a key of level 3 had room.
  std::uint64_t dropped = 0;
  /// External addresses and process ids not told apart because of max_addresses or the limit of one record.
  std::uint64_t addresses_not_held = 0;
  std::uint64_t records = 0;
};

/// Takes one record; it and all it points to live only for the call.
using RecordSink = std::function<void(const model::FlowRecord&)>;

/// Merges reported flows with equal keys into one record per window.
///
/// Two stores by "a trace holds any deny", each with its own level, so that what policy denies, or would deny, keeps
/// its detail. A flow's routing and key must not change between its `starts` and its `ends`: the sender ends and starts
/// it anew when they do.
///
/// A key has the process's name at all levels, where one is known.
///
/// In:      ReportedFlow in any order; a report of a flow that nobody started counts it as open, not as started.
/// Out:     flush(): one record per key with traffic or open flows, in order of the keys' first appearance. An open
/// flow
///          without traffic keeps its key's last labels, pending trace and addresses.
/// Bounds:  Options::max_keys, max_addresses; O(1) per report.
/// Errors:  none; drops are counted.
/// Lifetime: endpoints, groups, label sets, services and traces must outlive the aggregator.
/// Threads: one, not synchronised.
class FlowAggregator {
 public:
  /// At most this many distinct external addresses, and process ids, are told apart in one record; then their number
  /// stands still.
  static constexpr std::size_t kMaxDistinctAddresses = 65'536;

  static Result<std::unique_ptr<FlowAggregator>> create(AggregateOptions options);

  void add(const model::ReportedFlow& flow) { add(std::span(&flow, 1)); }
  /// Many at once is faster: memory is fetched for several flows at the same time.
  void add(std::span<const model::ReportedFlow> flows);

  /// Closes the window [window_start_s, window_end_s), in Unix seconds: gives its records to `sink`, sets counters to 0
  /// and drops keys without an open flow.
  void flush(std::int64_t window_start_s, std::int64_t window_end_s, const RecordSink& sink);

  /// Keys held now.
  std::size_t keys() const { return store_.size(); }
  const AggregateStats& stats() const { return stats_; }

 private:
  static constexpr std::size_t kBatch = 32;
  /// A report with its key, on the way into the store.
  struct Keyed {
    const model::ReportedFlow* flow = nullptr;
    FlowKey key;
    KeyAddresses addresses;
    std::uint64_t hash = 0;
  };

  explicit FlowAggregator(AggregateOptions options);

  bool is_excluded(const model::ReportedFlow& flow) const;
  void count_batch(std::size_t size);
  bool is_denied(const model::ReportedFlow& flow);
  std::uint64_t endpoint_word(const model::Endpoint& endpoint, Level level);
  std::uint64_t service_word(const model::ServiceRef* service, Level level);
  void make_key(const model::ReportedFlow& flow, Level level, bool denied, ProcessNames::Id process, Keyed& keyed);
  [[gnu::noinline]] ProcessNames::Id process_of(const model::ReportedFlow& flow);
  /// It holds what has no key of its own for want of room.
  bool is_wide(const FlowKey& key) const;
  /// What is not in the store: where it is counted.
  [[gnu::noinline]] std::uint32_t admit(const Keyed& keyed);
  std::uint32_t insert(const Keyed& keyed);
  /// Most keys that may be held for a new key like `key`, wished for at `wanted`.
  std::size_t room(const FlowKey& key, Level wanted) const;

  void apply(std::uint32_t position, const model::ReportedFlow& flow);
  void begin_window(FlowEntry& entry, std::uint32_t position, const model::ReportedFlow& flow);
  void update_details(std::uint32_t position, const model::ReportedFlow& flow);
  FlowDetails& details_of(FlowIdentity& identity);
  template <typename T>
  void add_bounded(DistinctSet<T>& set, const T& value, std::size_t free);
  [[gnu::noinline]] void add_process(std::uint32_t position, std::uint32_t process_id);
  void merge_followers(std::uint32_t position);
  void fill_record(std::uint32_t position);
  void fill_counters(const FlowEntry& entry, const TcpTotals& tcp);
  void fill_ends(const FlowEntry& entry, const FlowIdentity& identity);
  void fill_details(const FlowDetails& details);
  void fill_process(std::string_view name, std::uint64_t names, std::uint32_t process_id, std::uint64_t process_ids);
  void reset_entry(std::uint32_t position);
  void release_removed();
  void sweep_labels();
  void sweep_processes();

  AggregateOptions options_;
  AggregateStats stats_;
  FlowStore store_;
  std::uint32_t window_ = 1;
  /// Entries of wide keys: while there are any, new keys are looked for among them first.
  std::size_t widened_entries_ = 0;
  /// Entries with a process.
  std::size_t process_entries_ = 0;
  std::size_t addresses_held_ = 0;

  LabelIntersections labels_;
  ProcessNames processes_;
  ProcessGroups groups_;
  PointerMemo<model::PolicyTrace> denies_;
  PointerMemo<model::Endpoint, 4096> endpoint_names_;
  PointerMemo<model::ServiceRef> services_, service_names_;
  std::vector<std::unique_ptr<FlowDetails>> free_details_;

  std::array<Keyed, kBatch> batch_;
  // The record under way, and the lists that it borrows.
  model::FlowRecord record_;
  std::vector<std::string_view> domains_;
  std::vector<std::uint16_t> ports_;
  std::array<char, 10> process_id_;
  MergedFlow merged_;
};

}  // namespace weir::aggregate
