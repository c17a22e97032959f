#pragma once

#include <string>
#include <string_view>

#include "model/flow_record.h"

namespace weir::observe {

/// Appends a record as one line of `hubble observe -o jsonpb`: a GetFlowsResponse of Cilium's observer API in
/// protobuf's JSON mapping (api/v1/flow/flow.proto; field names as in the .proto).
///
/// A flow record adds up connections: `time` is the begin of its window, `aggregate` counts its connections, `Summary`
/// has its bytes. What a record does not know is left out. `line`: the record's own, which `uuid` is made of.
void append_hubble_json(std::string& out, const model::FlowRecord& record, std::string_view node,
                        std::string_view line);

}  // namespace weir::observe
