#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "aggregate/flow_key.h"
#include "model/endpoint.h"
#include "model/flow_record.h"
#include "model/reported_flow.h"

namespace weir::aggregate {

/// Sets the endpoint fields of one end to what `level` keeps of it.
void set_source(model::FlowRecord& record, const model::Endpoint& endpoint, Level level);
void set_dest(model::FlowRecord& record, const model::Endpoint& endpoint, Level level);
/// Sets what the level keeps of the service; null: none.
void set_service(model::FlowRecord& record, const model::ServiceRef* service, Level level);
/// Sets protocol, ports, action, reporter, verdict_source and aggregation_level.
void set_scalars(model::FlowRecord& record, const KeyScalars& scalars);

/// The number in `text`, as long as that lives.
std::string_view number_text(std::uint32_t number, std::array<char, 10>& text);
/// Sets the process fields to the report's; none if it knows of no process.
void set_process(model::FlowRecord& record, const model::ReportedFlow& flow, std::array<char, 10>& text);

/// The level-0 record of one report alone, for exclusion rules; without a process. Times are 0; strings are the
/// report's.
model::FlowRecord single_flow_record(const model::ReportedFlow& flow);

}  // namespace weir::aggregate
