#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "model/endpoint.h"
#include "model/flow_record.h"
#include "model/policy_trace.h"
#include "model/reported_flow.h"

/// For tests and benchmarks: makes interned endpoints, traces and flows, and copies records out of a sink.
namespace weir::aggregate {

inline IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

class World {
 public:
  const model::LabelSet* labels(std::vector<std::string> pairs) {
    for (const model::LabelSet& set : label_sets_) {
      if (set.pairs == pairs) return &set;
    }
    return &label_sets_.emplace_back(model::LabelSet{std::move(pairs)});
  }

  const model::EndpointGroup* group(model::EndpointType type, const std::string& ns, const std::string& name_aggr) {
    for (const model::EndpointGroup& group : groups_) {
      if (group.type == type && group.namespace_name == ns && group.name_aggr == name_aggr) return &group;
    }
    model::EndpointGroup& group = groups_.emplace_back();
    group.type = type;
    group.namespace_name = ns;
    group.name_aggr = name_aggr;
    return &group;
  }

  /// "client-*" gives `name` the generateName "client-"; an empty aggregate leaves the name as it is.
  const model::Endpoint* pod(const std::string& ns, const std::string& name, const std::string& name_aggr = "",
                             std::vector<std::string> pairs = {}) {
    model::Endpoint& endpoint = endpoints_.emplace_back();
    endpoint.type = model::EndpointType::kWorkload;
    endpoint.namespace_name = ns;
    endpoint.name = name;
    endpoint.group = group(endpoint.type, ns, name_aggr.empty() ? name : name_aggr);
    endpoint.labels = labels(std::move(pairs));
    return &endpoint;
  }

  /// An address that nobody owns: "pub" or "pvt".
  const model::Endpoint* net(const std::string& kind) {
    model::Endpoint& endpoint = endpoints_.emplace_back();
    endpoint.group = group(endpoint.type, "-", kind);
    endpoint.labels = labels({});
    return &endpoint;
  }

  const model::PolicyTrace* trace(std::vector<std::string> entries, model::Action verdict = model::Action::kAllow) {
    for (const model::PolicyTrace& trace : traces_) {
      if (trace.entries == entries) return &trace;
    }
    return &traces_.emplace_back(model::PolicyTrace{std::move(entries), verdict});
  }

 private:
  std::deque<model::LabelSet> label_sets_;
  std::deque<model::EndpointGroup> groups_;
  std::deque<model::Endpoint> endpoints_;
  std::deque<model::PolicyTrace> traces_;
};

/// One whole TCP connection with 2 packets of 22 bytes in and 3 of 33 bytes out.
inline model::ReportedFlow tcp_flow(const model::Endpoint* source, std::string_view source_ip,
                                    std::uint16_t source_port, const model::Endpoint* dest, std::string_view dest_ip,
                                    std::uint16_t dest_port) {
  model::ReportedFlow flow;
  flow.tuple = {ip(source_ip), ip(dest_ip), source_port, dest_port, model::kProtoTcp};
  flow.source = source;
  flow.dest = dest;
  flow.packets_in = 2;
  flow.bytes_in = 22;
  flow.packets_out = 3;
  flow.bytes_out = 33;
  flow.starts = true;
  flow.ends = true;
  return flow;
}

}  // namespace weir::aggregate
