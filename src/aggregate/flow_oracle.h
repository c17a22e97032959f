#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "aggregate/flow_aggregator.h"

/// The aggregator as one would say it in words: text keys, a std::map, sets of strings. For tests only.
namespace weir::aggregate {

/// What the oracle and the aggregator must agree on.
struct OracleRecord {
  std::string key;
  std::uint64_t flows = 0, started = 0, completed = 0, refused = 0;
  std::uint64_t packets_in = 0, packets_out = 0, bytes_in = 0, bytes_out = 0;
  std::set<std::string> source_labels, dest_labels;
  std::set<std::string> external;
  std::string process_id;
  std::uint64_t process_names = 0, process_ids = 0;
  std::uint64_t rtt_mean = 0;
  const model::PolicyTrace* pending = nullptr;

  auto tie() const {
    return std::tie(key, flows, started, completed, refused, packets_in, packets_out, bytes_in, bytes_out,
                    source_labels, dest_labels, external, process_id, process_names, process_ids, rtt_mean, pending);
  }
  friend bool operator==(const OracleRecord& a, const OracleRecord& b) { return a.tie() == b.tie(); }
};

class FlowOracle {
 public:
  explicit FlowOracle(AggregateOptions options) : options_(std::move(options)) {}

  void add(const model::ReportedFlow& flow) {
    std::string base = key_of(flow);
    base.pop_back();  // of the process's name, which is empty
    const std::string name = has_process(flow) ? std::string(model::text_of(flow.process_name)) : "";
    const std::string text = base + (name.empty() ? "-" : name) + " ";
    // Two stores: flows with and without a deny never merge, even at one level.
    const std::string store = is_denied(flow) ? "deny " : "allow ";
    const auto [it, fresh] = entries_.try_emplace(store + text);
    if (fresh) order_.push_back(store + text);
    Entry& e = it->second;
    e.base = base;
    e.group = store + base;
    e.name = name;
    OracleRecord& r = e.record;
    r.key = text;
    const std::set<std::string> source = label_set(flow.source), dest = label_set(flow.dest);
    if (!e.touched) {
      r.source_labels = source;
      r.dest_labels = dest;
      r.external.clear();
      e.processes.clear();
    } else {
      intersect(r.source_labels, source);
      intersect(r.dest_labels, dest);
    }
    e.touched = true;
    e.window = window_;
    if (has_process(flow)) e.processes.insert(flow.process_id);
    r.pending = flow.pending;
    if (flow.starts || (e.open == 0 && !flow.trailing)) {
      ++e.open;
      ++r.flows;
    }
    if (flow.starts) ++r.started;
    if (flow.trailing) ++r.flows;
    if (flow.ends) {
      ++r.completed;
      --e.open;
    }
    if (flow.outcome == model::Outcome::kRefused) ++r.refused;
    r.packets_in += flow.packets_in;
    r.packets_out += flow.packets_out;
    r.bytes_in += flow.bytes_in;
    r.bytes_out += flow.bytes_out;
    if (flow.tcp.smooth_rtt_us != 0) e.rtts.push_back(flow.tcp.smooth_rtt_us);
    if (level_of(flow) < 2) return;
    if (flow.source->type == model::EndpointType::kNet) r.external.insert("src " + flow.tuple.source.to_string());
    if (flow.dest->type == model::EndpointType::kNet) r.external.insert("dst " + flow.tuple.dest.to_string());
  }

  std::vector<OracleRecord> flush() {
    std::vector<OracleRecord> records = merged_records();
    ++window_;
    std::vector<std::string> kept;
    for (const std::string& key : order_) {
      Entry& e = entries_[key];
      if (e.open == 0) {
        entries_.erase(key);
        continue;
      }
      kept.push_back(key);
      OracleRecord next;
      next.key = e.record.key;
      next.flows = e.open;
      next.source_labels = e.record.source_labels;
      next.dest_labels = e.record.dest_labels;
      next.external = e.record.external;
      next.pending = e.record.pending;
      e.record = next;
      e.touched = false;
      e.rtts.clear();
    }
    order_ = kept;
    return records;
  }

  /// The key as the record's own fields show it: the aggregator's records are brought to the same form with it.
  static std::string key_text(const model::FlowRecord& r) {
    const auto number = [](const auto& v) { return v ? std::to_string(*v) : std::string("-"); };
    const auto ip = [](const auto& v) { return v ? v->to_string() : std::string("-"); };
    std::string key;
    for (const std::string& part : {std::string(r.source_type),
                                    std::string(r.source_namespace),
                                    std::string(r.source_name),
                                    std::string(r.source_name_aggr),
                                    std::string(r.dest_type),
                                    std::string(r.dest_namespace),
                                    std::string(r.dest_name),
                                    std::string(r.dest_name_aggr),
                                    ip(r.source_ip),
                                    ip(r.dest_ip),
                                    number(r.source_port),
                                    number(r.dest_port),
                                    std::to_string(r.protocol),
                                    std::string(r.action),
                                    std::string(r.reporter),
                                    std::string(r.verdict_source),
                                    std::string(r.dest_service_namespace),
                                    std::string(r.dest_service_name),
                                    std::string(r.dest_service_port_name),
                                    std::to_string(r.dest_service_port_num),
                                    std::to_string(r.aggregation_level),
                                    trace_text(r.policies.enforced),
                                    std::string(r.process_name)}) {
      key.append(part).push_back(' ');
    }
    return key;
  }

 private:
  struct Entry {
    OracleRecord record;
    std::uint64_t open = 0;
    bool touched = false;
    std::vector<std::uint64_t> rtts;
    /// The key without the name, and the name, "" if there is none; ids; when it was last reported.
    std::string base, name;
    /// With its store.
    std::string group;
    std::set<std::uint32_t> processes;
    std::uint64_t window = 0;
  };

  bool has_process(const model::ReportedFlow& flow) const { return options_.include_processes && flow.process_id != 0; }

  /// Of each key the names that came first are told, and the rest are one record, where the first of them stands.
  std::vector<OracleRecord> merged_records() {
    std::vector<std::vector<Entry*>> groups;
    std::map<std::string, std::uint32_t> told;
    std::map<std::string, std::size_t> rest;
    for (const std::string& key : order_) {
      Entry& e = entries_[key];
      const bool alone = e.name.empty() || told[e.group]++ < options_.process_limit;
      if (alone || !rest.contains(e.group)) {
        if (!alone) rest[e.group] = groups.size();
        groups.push_back({&e});
      } else {
        groups[rest[e.group]].push_back(&e);
      }
    }
    std::vector<OracleRecord> records;
    for (const std::vector<Entry*>& group : groups) {
      const Entry& first = *group.front();
      const bool one_of_rest = rest.contains(first.group) && &first == groups[rest[first.group]].front();
      records.push_back(merge(group, one_of_rest));
    }
    return records;
  }

  static OracleRecord merge(const std::vector<Entry*>& group, bool nameless) {
    OracleRecord sum = group.front()->record;
    if (nameless) sum.key = group.front()->base + "* ";
    std::vector<std::uint64_t> rtts;
    std::set<std::uint32_t> processes;
    std::uint64_t window = 0;
    for (const Entry* e : group) {
      const OracleRecord& r = e->record;
      rtts.insert(rtts.end(), e->rtts.begin(), e->rtts.end());
      processes.insert(e->processes.begin(), e->processes.end());
      if (e->window >= window) sum.pending = r.pending;
      window = std::max(window, e->window);
      if (e == group.front()) continue;
      sum.flows += r.flows;
      sum.started += r.started;
      sum.completed += r.completed;
      sum.refused += r.refused;
      sum.packets_in += r.packets_in;
      sum.packets_out += r.packets_out;
      sum.bytes_in += r.bytes_in;
      sum.bytes_out += r.bytes_out;
      intersect(sum.source_labels, r.source_labels);
      intersect(sum.dest_labels, r.dest_labels);
      sum.external.insert(r.external.begin(), r.external.end());
    }
    for (const std::uint64_t rtt : rtts) sum.rtt_mean += rtt;
    if (!rtts.empty()) sum.rtt_mean /= rtts.size();
    sum.process_names = group.front()->name.empty() ? 0 : group.size();
    sum.process_ids = processes.size();
    sum.process_id = processes.empty() ? "-" : processes.size() == 1 ? std::to_string(*processes.begin()) : "*";
    return sum;
  }

  static std::string trace_text(const model::PolicyTrace* trace) {
    std::string text;
    for (std::size_t i = 0; trace != nullptr && i < trace->entries.size(); ++i) text += trace->entries[i] + ",";
    return text;
  }
  static bool denies(const model::PolicyTrace* trace) { return trace_text(trace).find("|deny|") != std::string::npos; }
  static std::set<std::string> label_set(const model::Endpoint* endpoint) {
    return {endpoint->labels->pairs.begin(), endpoint->labels->pairs.end()};
  }
  /// Equal sets stay as they are; others lose what differs and what Calico adds by itself.
  static void intersect(std::set<std::string>& into, const std::set<std::string>& other) {
    if (into == other) return;
    std::erase_if(
        into, [&](const std::string& pair) { return !other.contains(pair) || pair.starts_with("projectcalico.org/"); });
  }
  static bool is_denied(const model::ReportedFlow& f) {
    return f.action == model::Action::kDeny || denies(f.enforced) || denies(f.pending);
  }
  int level_of(const model::ReportedFlow& f) const {
    return is_denied(f) ? options_.level_denied : options_.level_allowed;
  }

  /// Table 2.2, read from the top.
  std::string key_of(const model::ReportedFlow& f) const {
    const int level = level_of(f);
    model::FlowRecord r;
    r.aggregation_level = static_cast<std::uint8_t>(level);
    r.source_type = to_string(f.source->type);
    r.dest_type = to_string(f.dest->type);
    r.source_namespace = f.source->namespace_name;
    r.dest_namespace = f.dest->namespace_name;
    r.source_name_aggr = f.source->group->name_aggr;
    r.dest_name_aggr = f.dest->group->name_aggr;
    r.protocol = f.tuple.protocol;
    r.action = to_string(f.action);
    r.reporter = to_string(f.reporter);
    r.verdict_source = to_string(f.verdict_source);
    r.policies.enforced = f.enforced;
    r.process_name = "";
    if (level <= 0) r.source_port = f.tuple.source_port;
    if (level <= 1) {
      r.source_ip = f.tuple.source;
      r.dest_ip = f.tuple.dest;
      r.source_name = f.source->name;
      r.dest_name = f.dest->name;
    }
    if (level <= 2) r.dest_port = f.tuple.dest_port;
    if (f.service != nullptr) {
      r.dest_service_namespace = f.service->namespace_name;
      r.dest_service_name = f.service->name;
      if (level <= 2) {
        r.dest_service_port_name = f.service->port_name;
        r.dest_service_port_num = f.service->port;
      }
    }
    return key_text(r);
  }

  AggregateOptions options_;
  std::map<std::string, Entry> entries_;
  std::vector<std::string> order_;
  std::uint64_t window_ = 0;
};

}  // namespace weir::aggregate
