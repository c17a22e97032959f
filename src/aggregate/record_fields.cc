#include "aggregate/record_fields.h"

#include <charconv>
#include <string_view>

namespace weir::aggregate {
namespace {

/// What a record shows of one end.
struct EndFields {
  std::string_view name = "-", name_aggr, namespace_name, type, workload, workload_kind;
  const void* identity;
};

EndFields end_fields(const model::Endpoint& endpoint, Level level) {
  const model::EndpointGroup& group = *endpoint.group;
  EndFields fields{
      "-",   group.name_aggr, group.namespace_name, model::to_string(group.type), group.workload, group.workload_kind,
      &group};
  if (has_addresses(level)) {
    fields.name = endpoint.name;
    fields.identity = &endpoint;
  }
  return fields;
}

}  // namespace

void set_source(model::FlowRecord& record, const model::Endpoint& endpoint, Level level) {
  const EndFields fields = end_fields(endpoint, level);
  record.source_name = fields.name;
  record.source_name_aggr = fields.name_aggr;
  record.source_namespace = fields.namespace_name;
  record.source_type = fields.type;
  record.source_workload = fields.workload;
  record.source_workload_kind = fields.workload_kind;
  record.source_identity = fields.identity;
}

void set_dest(model::FlowRecord& record, const model::Endpoint& endpoint, Level level) {
  const EndFields fields = end_fields(endpoint, level);
  record.dest_name = fields.name;
  record.dest_name_aggr = fields.name_aggr;
  record.dest_namespace = fields.namespace_name;
  record.dest_type = fields.type;
  record.dest_workload = fields.workload;
  record.dest_workload_kind = fields.workload_kind;
  record.dest_identity = fields.identity;
}

void set_service(model::FlowRecord& record, const model::ServiceRef* service, Level level) {
  const bool port = service != nullptr && level != Level::kNoDestPort;
  record.dest_service_namespace = service != nullptr ? std::string_view(service->namespace_name) : "-";
  record.dest_service_name = service != nullptr ? std::string_view(service->name) : "-";
  record.dest_service_port_name = port ? std::string_view(service->port_name) : "-";
  record.dest_service_port_num = port ? service->port : std::uint16_t{0};
}

void set_scalars(model::FlowRecord& record, const KeyScalars& scalars) {
  record.protocol = scalars.protocol;
  record.action = model::to_string(scalars.action);
  record.reporter = model::to_string(scalars.reporter);
  record.verdict_source = model::to_string(scalars.verdict_source);
  record.aggregation_level = static_cast<std::uint8_t>(scalars.level);
  record.source_port.reset();
  record.dest_port.reset();
  if (scalars.level == Level::kTuple) record.source_port = scalars.source_port;
  if (scalars.level != Level::kNoDestPort) record.dest_port = scalars.dest_port;
}

std::string_view number_text(std::uint32_t number, std::array<char, 10>& text) {
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), number);
  return {text.data(), static_cast<std::size_t>(end - text.data())};
}

void set_process(model::FlowRecord& record, const model::ReportedFlow& flow, std::array<char, 10>& text) {
  if (flow.process_id == 0) return;
  record.process_name = model::text_of(flow.process_name);
  record.process_id = number_text(flow.process_id, text);
  record.num_process_names = record.num_process_ids = 1;
}

model::FlowRecord single_flow_record(const model::ReportedFlow& flow) {
  model::FlowRecord record;
  set_source(record, *flow.source, Level::kTuple);
  set_dest(record, *flow.dest, Level::kTuple);
  set_service(record, flow.service, Level::kTuple);
  set_scalars(record, {flow.tuple.source_port, flow.tuple.dest_port, flow.tuple.protocol, flow.reporter, flow.action,
                       flow.verdict_source, Level::kTuple, false});
  record.source_ip = flow.tuple.source;
  record.dest_ip = flow.tuple.dest;
  record.source_labels = flow.source->labels;
  record.dest_labels = flow.dest->labels;
  record.dest_domains = flow.dest_domains;
  record.policies = {flow.enforced, flow.pending};
  record.num_flows = 1;
  record.num_flows_started = flow.starts ? 1 : 0;
  record.num_flows_completed = flow.ends ? 1 : 0;
  record.num_flows_established = flow.outcome == model::Outcome::kEstablished ? 1 : 0;
  record.num_flows_refused = flow.outcome == model::Outcome::kRefused ? 1 : 0;
  record.num_flows_unanswered = flow.outcome == model::Outcome::kUnanswered ? 1 : 0;
  record.packets_in = flow.packets_in;
  record.packets_out = flow.packets_out;
  record.bytes_in = flow.bytes_in;
  record.bytes_out = flow.bytes_out;
  record.tcp_resets = flow.tcp.resets;
  record.tcp_total_retransmissions = flow.tcp.retransmissions;
  record.original_source_ips = flow.original_source_ips;
  record.num_original_source_ips = flow.original_source_ips.size();
  return record;
}

}  // namespace weir::aggregate
