#include "aggregate/flow_aggregator.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>
#include <utility>

#include "aggregate/record_fields.h"

// Reports go through the store in batches of kBatch and three passes: make keys and fetch table slots; fetch entries;
// count. The memory latency of a look-up is so shared by the whole batch.
//
// Widening. A key that has no room at its level is counted under the key of a wider level. As long as that wide entry
// lives, narrow keys that are not in the store go to it as well, so a flow that started under a wide key also ends
// under it: its narrow key cannot come into being while the flow keeps the wide one open. A wide key has no process
// name; nor has the key of a process whose name had no room, which is a wide one in this sense.
//
// Processes. Each name has an entry of its own, and what exceeds process_limit is merged only in the records. Flows
// without a process have keys without one, and cost nothing more.

namespace weir::aggregate {
namespace {

/// Label sets made by intersection that are kept before unused ones are looked for.
constexpr std::size_t kMaxIdleLabelSets = 4096;
/// Process names that are kept before unused ones are looked for.
constexpr std::size_t kMaxIdleNames = 1024;
static_assert(ProcessNames::kBits + KeyScalars::kProcessShift == 64);

/// "index|tier|policy|action|rule" or, from older writers, without the rule.
bool has_deny_entry(const model::PolicyTrace& trace) {
  return std::any_of(trace.entries.begin(), trace.entries.end(), [](const std::string& entry) {
    return entry.find("|deny|") != std::string::npos || entry.ends_with("|deny");
  });
}

std::uint64_t hash_text(std::string_view text, std::uint64_t seed) {
  return hash_bytes(text.data(), text.size(), seed);
}

bool shows_external_addresses(const model::Endpoint& endpoint) {
  const model::EndpointType type = endpoint.group->type;
  return type == model::EndpointType::kNet || type == model::EndpointType::kNetworkSet;
}

void add_tcp(TcpTotals& totals, const model::TcpSample& sample) {
  if (sample.smooth_rtt_us != 0) {
    totals.smooth_rtt_sum += sample.smooth_rtt_us;
    totals.smooth_rtt_max = std::max(totals.smooth_rtt_max, sample.smooth_rtt_us);
    ++totals.smooth_rtt_samples;
  }
  if (sample.min_rtt_us != 0) {
    totals.min_rtt_sum += sample.min_rtt_us;
    totals.min_rtt_max = std::max(totals.min_rtt_max, sample.min_rtt_us);
    ++totals.min_rtt_samples;
  }
  if (sample.mss != 0) {
    totals.mss_sum += sample.mss;
    totals.mss_min = totals.mss_samples == 0 ? sample.mss : std::min(totals.mss_min, sample.mss);
    ++totals.mss_samples;
  }
  if (sample.congestion_window != 0) {
    // The least of the span, if the source knows it.
    const std::uint32_t least =
        sample.min_congestion_window != 0 ? sample.min_congestion_window : sample.congestion_window;
    totals.window_sum += sample.congestion_window;
    totals.window_min = totals.window_samples == 0 ? least : std::min(totals.window_min, least);
    ++totals.window_samples;
  }
  totals.retransmissions += sample.retransmissions;
  totals.resets += sample.resets;
  if ((sample.lost | sample.timeouts) != 0) {
    totals.lost += sample.lost;
    totals.timeouts += sample.timeouts;
  }
}

bool is_empty(const model::TcpSample& sample) {
  return (sample.smooth_rtt_us | sample.min_rtt_us | sample.mss | sample.retransmissions | sample.resets |
          sample.congestion_window | sample.lost | sample.timeouts) == 0;
}

std::uint64_t mean(std::uint64_t sum, std::uint32_t samples) { return samples == 0 ? 0 : sum / samples; }

void fill_tcp(model::FlowRecord& record, const TcpTotals& totals) {
  record.tcp_mean_smooth_rtt = mean(totals.smooth_rtt_sum, totals.smooth_rtt_samples);
  record.tcp_max_smooth_rtt = totals.smooth_rtt_max;
  record.tcp_mean_min_rtt = mean(totals.min_rtt_sum, totals.min_rtt_samples);
  record.tcp_max_min_rtt = totals.min_rtt_max;
  record.tcp_mean_mss = mean(totals.mss_sum, totals.mss_samples);
  record.tcp_min_mss = totals.mss_min;
  record.tcp_total_retransmissions = totals.retransmissions;
  record.tcp_resets = totals.resets;
  record.tcp_mean_send_congestion_window = mean(totals.window_sum, totals.window_samples);
  record.tcp_min_send_congestion_window = totals.window_min;
  record.tcp_lost_packets = totals.lost;
  record.tcp_unrecovered_to = totals.timeouts;
}

}  // namespace

Status AggregateOptions::validate() const {
  std::string wrong;
  const auto require = [&](bool holds, const char* what) {
    if (!holds) wrong.append(wrong.empty() ? "" : "; ").append(what);
  };
  require(level_allowed >= 0 && level_allowed <= 3, "level_allowed must be 0 to 3");
  require(level_denied >= 0 && level_denied <= 3, "level_denied must be 0 to 3");
  require(external_ips_limit <= 65'536, "external_ips_limit must be at most 65536");
  require(original_ips_limit <= 65'536, "original_ips_limit must be at most 65536");
  require(nat_ports_limit <= 65'536, "nat_ports_limit must be at most 65536");
  require(domains_limit <= 65'536, "domains_limit must be at most 65536");
  require(process_limit <= 65'536, "process_limit must be at most 65536");
  require(max_keys >= 16, "max_keys must be at least 16");
  if (!wrong.empty()) return invalid_argument("aggregate options: " + wrong);
  return {};
}

Result<std::unique_ptr<FlowAggregator>> FlowAggregator::create(AggregateOptions options) {
  TRY(options.validate());
  return std::unique_ptr<FlowAggregator>(new FlowAggregator(std::move(options)));
}

FlowAggregator::FlowAggregator(AggregateOptions options) : options_(std::move(options)) {}

// Keys.

bool FlowAggregator::is_denied(const model::ReportedFlow& flow) {
  const auto denies = [this](const model::PolicyTrace* trace) {
    return trace != nullptr &&
           denies_.get(trace, [](const model::PolicyTrace& t) { return std::uint64_t{has_deny_entry(t)}; }) != 0;
  };
  return flow.action == model::Action::kDeny || denies(flow.enforced) ||
         (flow.pending != flow.enforced && denies(flow.pending));
}

std::uint64_t FlowAggregator::endpoint_word(const model::Endpoint& endpoint, Level level) {
  const auto group = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(endpoint.group));
  if (!has_addresses(level)) return group;
  return endpoint_names_.get(&endpoint, [group](const model::Endpoint& e) { return hash_text(e.name, group); });
}

std::uint64_t FlowAggregator::service_word(const model::ServiceRef* service, Level level) {
  if (service == nullptr || !options_.include_services) return 0;
  const auto name = [](const model::ServiceRef& s) { return hash_text(s.name, hash_text(s.namespace_name, 1)); };
  if (level == Level::kNoDestPort) return service_names_.get(service, name);
  return services_.get(service, [&](const model::ServiceRef& s) { return hash_text(s.port_name, name(s) + s.port); });
}

ProcessNames::Id FlowAggregator::process_of(const model::ReportedFlow& flow) {
  if (!options_.include_processes) return ProcessNames::kNone;
  const ProcessNames::Id id = processes_.intern(flow.process_name);
  if (id == ProcessNames::kSeveral) ++stats_.widened;
  return id;
}

bool FlowAggregator::is_wide(const FlowKey& key) const {
  const KeyScalars scalars = KeyScalars::unpack(key.scalars);
  const int wanted = scalars.denied_store ? options_.level_denied : options_.level_allowed;
  return static_cast<int>(scalars.level) != wanted || scalars.process == ProcessNames::kSeveral;
}

void FlowAggregator::make_key(const model::ReportedFlow& flow, Level level, bool denied, ProcessNames::Id process,
                              Keyed& keyed) {
  const KeyScalars scalars{level == Level::kTuple ? flow.tuple.source_port : std::uint16_t{0},
                           level != Level::kNoDestPort ? flow.tuple.dest_port : std::uint16_t{0},
                           flow.tuple.protocol,
                           flow.reporter,
                           flow.action,
                           flow.verdict_source,
                           level,
                           denied,
                           process};
  keyed.flow = &flow;
  keyed.key = {endpoint_word(*flow.source, level), endpoint_word(*flow.dest, level),
               options_.include_policies ? flow.enforced : nullptr, service_word(flow.service, level), scalars.pack()};
  if (has_addresses(level)) keyed.addresses = {flow.tuple.source, flow.tuple.dest};
  keyed.hash = hash_key(keyed.key, keyed.addresses);
}

std::size_t FlowAggregator::room(const FlowKey& key, Level wanted) const {
  const std::size_t all = options_.max_keys;
  const Level level = key.level();
  if (key.process() > ProcessNames::kSeveral) return all - all / 4;
  if (level == kWidest) return all;
  if (level == wanted) return key.process() == ProcessNames::kSeveral ? all - all / 16 * 3 : all - all / 4;
  return level == Level::kGroups ? all - all / 16 : all - all / 8;
}

std::uint32_t FlowAggregator::admit(const Keyed& keyed) {
  const Level wanted = keyed.key.level();
  if (widened_entries_ == 0 && store_.size() < room(keyed.key, wanted)) return insert(keyed);

  const KeyScalars scalars = KeyScalars::unpack(keyed.key.scalars);
  const bool has_process = scalars.process != ProcessNames::kNone;
  const bool has_name = has_process && scalars.process != ProcessNames::kSeveral;
  std::array<Keyed, 4> wide;
  std::size_t wides = 0;
  for (Level level = has_name || wanted == kWidest ? wanted : wider(wanted);; level = wider(level)) {
    if (level == wanted && !has_name) break;
    Keyed& candidate = wide[wides++];
    make_key(*keyed.flow, level, scalars.denied_store, has_process ? ProcessNames::kSeveral : ProcessNames::kNone,
             candidate);
    const std::uint32_t position = store_.find(candidate.hash, candidate.key, candidate.addresses);
    if (position != FlowStore::kNone) {
      ++stats_.widened;
      return position;
    }
    if (level == kWidest) break;
  }
  if (store_.size() < room(keyed.key, wanted)) return insert(keyed);
  for (std::size_t i = 0; i < wides; ++i) {
    if (store_.size() >= room(wide[i].key, wanted)) continue;
    ++stats_.widened;
    return insert(wide[i]);
  }
  ++stats_.dropped;
  return FlowStore::kNone;
}

std::uint32_t FlowAggregator::insert(const Keyed& keyed) {
  FlowIdentity identity;
  if (is_wide(keyed.key)) ++widened_entries_;
  if (keyed.key.process() != ProcessNames::kNone) ++process_entries_;
  identity.source = keyed.flow->source;
  identity.dest = keyed.flow->dest;
  identity.service = options_.include_services ? keyed.flow->service : nullptr;
  if (has_addresses(keyed.key.level())) identity.addresses = keyed.addresses;
  return store_.insert(keyed.hash, keyed.key, std::move(identity));
}

// Counting.

bool FlowAggregator::is_excluded(const model::ReportedFlow& flow) const {
  if (options_.exclude.empty()) return false;
  std::array<char, 10> process_id;
  model::FlowRecord record = single_flow_record(flow);
  if (options_.include_processes) set_process(record, flow, process_id);
  return std::any_of(options_.exclude.begin(), options_.exclude.end(),
                     [&](const filter::Filter& rule) { return rule.matches(record); });
}

void FlowAggregator::add(std::span<const model::ReportedFlow> flows) {
  stats_.reports += flows.size();
  std::size_t size = 0;
  for (const model::ReportedFlow& flow : flows) {
    if (is_excluded(flow)) {
      ++stats_.excluded;
      continue;
    }
    const bool denied = is_denied(flow);
    make_key(flow, static_cast<Level>(denied ? options_.level_denied : options_.level_allowed), denied,
             flow.process_id != 0 ? process_of(flow) : ProcessNames::kNone, batch_[size]);
    store_.prefetch_slot(batch_[size].hash);
    if (++size == kBatch) {
      count_batch(size);
      size = 0;
    }
  }
  count_batch(size);
}

void FlowAggregator::count_batch(std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) store_.prefetch_entry(batch_[i].hash);
  for (std::size_t i = 0; i < size; ++i) {
    const Keyed& keyed = batch_[i];
    std::uint32_t position = store_.find(keyed.hash, keyed.key, keyed.addresses);
    if (position == FlowStore::kNone) position = admit(keyed);
    if (position != FlowStore::kNone) apply(position, *batch_[i].flow);
  }
}

void FlowAggregator::apply(std::uint32_t position, const model::ReportedFlow& flow) {
  FlowEntry& entry = store_.entry(position);
  if (entry.window != window_) {
    begin_window(entry, position, flow);
  } else if (options_.include_labels) {
    entry.source_labels = labels_.intersect(entry.source_labels, flow.source->labels);
    entry.dest_labels = labels_.intersect(entry.dest_labels, flow.dest->labels);
  }
  entry.pending = flow.pending;

  const bool opens = flow.starts || (!flow.trailing && entry.open == 0);
  entry.started += flow.starts ? 1 : 0;
  entry.flows += opens || flow.trailing ? 1 : 0;
  entry.open += opens ? 1 : 0;
  if (flow.ends && !flow.trailing) {  // open is at least 1 here
    ++entry.completed;
    --entry.open;
  }
  if (flow.outcome != model::Outcome::kUnknown) ++entry.outcomes[static_cast<std::size_t>(flow.outcome) - 1];
  entry.packets_in += flow.packets_in;
  entry.packets_out += flow.packets_out;
  entry.bytes_in += flow.bytes_in;
  entry.bytes_out += flow.bytes_out;

  if (!is_empty(flow.tcp)) add_tcp(store_.tcp(position), flow.tcp);
  if (entry.key.process() != ProcessNames::kNone) add_process(position, flow.process_id);
  const bool external = !has_addresses(entry.key.level()) &&
                        (shows_external_addresses(*flow.source) || shows_external_addresses(*flow.dest));
  if (external || flow.nat_port != 0 || !flow.original_source_ips.empty() || !flow.dest_domains.empty()) {
    update_details(position, flow);
  }
}

void FlowAggregator::begin_window(FlowEntry& entry, std::uint32_t position, const model::ReportedFlow& flow) {
  entry.window = window_;
  if (options_.include_labels) {
    entry.source_labels = flow.source->labels;
    entry.dest_labels = flow.dest->labels;
  }
  FlowIdentity& identity = store_.identity(position);
  identity.source = flow.source;
  identity.dest = flow.dest;
  if (entry.key.process() != ProcessNames::kNone) store_.tcp(position).process_id = 0;
  if (identity.details != nullptr) {
    addresses_held_ -= identity.details->held();
    identity.details->clear();
  }
}

FlowDetails& FlowAggregator::details_of(FlowIdentity& identity) {
  if (identity.details == nullptr) {
    if (free_details_.empty()) {
      identity.details = std::make_unique<FlowDetails>();
    } else {
      identity.details = std::move(free_details_.back());
      free_details_.pop_back();
    }
  }
  return *identity.details;
}

void FlowAggregator::update_details(std::uint32_t position, const model::ReportedFlow& flow) {
  FlowDetails& details = details_of(store_.identity(position));
  if (!has_addresses(store_.entry(position).key.level())) {
    if (shows_external_addresses(*flow.source)) add_bounded(details.source_external, flow.tuple.source, 0);
    if (shows_external_addresses(*flow.dest)) add_bounded(details.dest_external, flow.tuple.dest, 0);
  }
  if (flow.nat_port != 0) {
    details.nat_ports.add(flow.nat_port, flow.ends || flow.trailing, options_.nat_ports_limit);
  }
  for (const IpAddress& ip : flow.original_source_ips) {
    details.add_original_source(ip, options_.original_ips_limit);
  }
  for (const std::string_view domain : flow.dest_domains) details.add_domain(domain, options_.domains_limit);
}

/// `free`: so many are added whatever is held elsewhere.
template <typename T>
void FlowAggregator::add_bounded(DistinctSet<T>& set, const T& value, std::size_t free) {
  const bool full = set.size() >= kMaxDistinctAddresses || addresses_held_ >= options_.max_addresses;
  if (full && set.size() >= free) {
    stats_.addresses_not_held += set.contains(value) ? 0 : 1;
    return;
  }
  if (set.add(value)) ++addresses_held_;
}

/// Most keys only ever see one process: they hold no set.
void FlowAggregator::add_process(std::uint32_t position, std::uint32_t process_id) {
  std::uint32_t& newest = store_.tcp(position).process_id;
  if (newest == process_id || process_id == 0) return;
  if (newest != 0) {
    DistinctSet<std::uint32_t>& ids = details_of(store_.identity(position)).process_ids;
    // That there are two must be known.
    add_bounded(ids, newest, 2);
    add_bounded(ids, process_id, 2);
  }
  newest = process_id;
}

// Flushing.

void FlowAggregator::flush(std::int64_t window_start_s, std::int64_t window_end_s, const RecordSink& sink) {
  record_ = {};
  record_.start_time = window_start_s;
  record_.end_time = window_end_s;
  if (process_entries_ != 0) groups_.build(store_, options_.process_limit);
  for (std::uint32_t position = 0; position < store_.size(); ++position) {
    if (process_entries_ == 0 || !groups_.is_follower(position)) {
      fill_record(position);
      sink(record_);
      ++stats_.records;
    }
    reset_entry(position);  // of a follower, its leader was before
  }
  release_removed();
  store_.compact();
  if (processes_.size() > kMaxIdleNames) sweep_processes();
  ++window_;
  denies_.clear();
  endpoint_names_.clear();
  services_.clear();
  service_names_.clear();
  labels_.forget_pairs();
  if (labels_.size() > kMaxIdleLabelSets) sweep_labels();
}

void FlowAggregator::merge_followers(std::uint32_t position) {
  const DetailLimits limits{options_.nat_ports_limit, options_.domains_limit, options_.original_ips_limit};
  merged_.clear();
  for (std::uint32_t at = position; at != FlowStore::kNone; at = groups_.next(at)) {
    const FlowEntry& entry = store_.entry(at);
    if (options_.include_labels) {
      FlowEntry& sum = merged_.entry;
      const bool first = at == position;
      sum.source_labels = first ? entry.source_labels : labels_.intersect(sum.source_labels, entry.source_labels);
      sum.dest_labels = first ? entry.dest_labels : labels_.intersect(sum.dest_labels, entry.dest_labels);
    }
    merged_.add(entry, store_.identity(at), store_.tcp(at), limits, kMaxDistinctAddresses);
  }
}

void FlowAggregator::fill_record(std::uint32_t position) {
  if (process_entries_ != 0 && groups_.is_leader(position)) {
    merge_followers(position);
    fill_ends(merged_.entry, merged_.identity);
    fill_counters(merged_.entry, merged_.tcp);
    fill_details(merged_.details);
    const std::span<const std::uint32_t> ids = merged_.details.process_ids.values();
    fill_process("*", merged_.names, ids.empty() ? 0 : ids.front(), ids.size());
    return;
  }
  const FlowEntry& entry = store_.entry(position);
  const FlowIdentity& identity = store_.identity(position);
  const TcpTotals& tcp = store_.tcp(position);
  static const FlowDetails kNoDetails;
  const FlowDetails& details = identity.details != nullptr ? *identity.details : kNoDetails;
  fill_ends(entry, identity);
  fill_counters(entry, tcp);
  fill_details(details);
  const ProcessNames::Id process = entry.key.process();
  fill_process(processes_.text(process), process != ProcessNames::kNone ? 1 : 0, tcp.process_id,
               std::max<std::size_t>(details.process_ids.size(), tcp.process_id != 0 ? 1 : 0));
}

void FlowAggregator::fill_ends(const FlowEntry& entry, const FlowIdentity& identity) {
  const Level level = entry.key.level();
  set_source(record_, *identity.source, level);
  set_dest(record_, *identity.dest, level);
  set_service(record_, identity.service, level);
  set_scalars(record_, KeyScalars::unpack(entry.key.scalars));
  record_.source_ip.reset();
  record_.dest_ip.reset();
  if (has_addresses(level)) {
    record_.source_ip = identity.addresses.source;
    record_.dest_ip = identity.addresses.dest;
  }
  record_.source_labels = entry.source_labels;
  record_.dest_labels = entry.dest_labels;
  record_.policies = {entry.key.trace, options_.include_policies ? entry.pending : nullptr};
}

void FlowAggregator::fill_counters(const FlowEntry& entry, const TcpTotals& tcp) {
  record_.num_flows = entry.flows;
  record_.num_flows_started = entry.started;
  record_.num_flows_completed = entry.completed;
  record_.num_flows_established = entry.count(model::Outcome::kEstablished);
  record_.num_flows_refused = entry.count(model::Outcome::kRefused);
  record_.num_flows_unanswered = entry.count(model::Outcome::kUnanswered);
  record_.packets_in = entry.packets_in;
  record_.packets_out = entry.packets_out;
  record_.bytes_in = entry.bytes_in;
  record_.bytes_out = entry.bytes_out;
  fill_tcp(record_, tcp);
}

void FlowAggregator::fill_process(std::string_view name, std::uint64_t names, std::uint32_t process_id,
                                  std::uint64_t process_ids) {
  record_.process_name = name;
  record_.num_process_names = names;
  record_.process_id = process_ids == 0 ? "-" : process_ids == 1 ? number_text(process_id, process_id_) : "*";
  record_.num_process_ids = process_ids;
}

void FlowAggregator::fill_details(const FlowDetails& details) {
  const auto first = [](std::span<const IpAddress> ips, std::size_t limit) {
    return ips.first(std::min(ips.size(), limit));
  };
  domains_.assign(details.domains.begin(), details.domains.end());
  ports_.clear();
  details.nat_ports.list(ports_);
  record_.dest_domains = domains_;
  record_.nat_outgoing_ports = ports_;
  record_.original_source_ips = details.original_sources;
  record_.num_original_source_ips = details.original_sources_seen;
  record_.source_external_ips = first(details.source_external.values(), options_.external_ips_limit);
  record_.dest_external_ips = first(details.dest_external.values(), options_.external_ips_limit);
  record_.num_source_external_ips = details.source_external.size();
  record_.num_dest_external_ips = details.dest_external.size();
}

void FlowAggregator::reset_entry(std::uint32_t position) {
  FlowEntry& entry = store_.entry(position);
  entry.flows = entry.open;
  entry.started = entry.completed = 0;
  entry.outcomes = {};
  entry.packets_in = entry.packets_out = entry.bytes_in = entry.bytes_out = 0;
  TcpTotals& tcp = store_.tcp(position);
  const std::uint32_t process_id = tcp.process_id;
  tcp = {};
  tcp.process_id = process_id;  // shown as long as nothing newer comes, as labels are
  const std::unique_ptr<FlowDetails>& details = store_.identity(position).details;
  if (details == nullptr) return;
  details->original_sources.clear();
  details->original_sources_seen = 0;
}

void FlowAggregator::release_removed() {
  for (std::uint32_t position = 0; position < store_.size(); ++position) {
    const FlowEntry& entry = store_.entry(position);
    if (entry.open != 0) continue;
    if (is_wide(entry.key)) --widened_entries_;
    if (entry.key.process() != ProcessNames::kNone) --process_entries_;
    std::unique_ptr<FlowDetails>& details = store_.identity(position).details;
    if (details == nullptr) continue;
    addresses_held_ -= details->held();
    details->clear();
    free_details_.push_back(std::move(details));
  }
}

void FlowAggregator::sweep_processes() {
  std::vector<bool> used(processes_.end());
  for (std::uint32_t position = 0; position < store_.size(); ++position) {
    used[store_.entry(position).key.process()] = true;
  }
  processes_.sweep(used);
}

void FlowAggregator::sweep_labels() {
  std::unordered_set<const model::LabelSet*> used;
  for (std::uint32_t position = 0; position < store_.size(); ++position) {
    used.insert(store_.entry(position).source_labels);
    used.insert(store_.entry(position).dest_labels);
  }
  labels_.sweep([&](const model::LabelSet* set) { return used.contains(set); });
}

}  // namespace weir::aggregate
