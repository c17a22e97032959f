#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>

#include "model/record_field.h"

namespace weir::model {

/// One line of an audit log (audit.k8s.io/v1 Event): what is asked for most, and the event itself. A view.
struct AuditRecord {
  /// Unix seconds.
  std::int64_t start_time = 0;
  std::string_view audit_id = "-", stage = "-", verb = "-", user = "-";
  std::string_view resource = "-", api_group = "-", namespace_name = "-", name = "-";
  std::uint64_t response_code = 0;
  /// The line without its newline.
  std::string_view event = "-";
  /// The node or API server, where a shipper added it.
  std::string_view host = "-";
};

// clang-format off
/// What the store keeps of an audit event, in this order.
inline constexpr auto kAuditFields = std::tuple{
    RecordField<&AuditRecord::start_time>{"start_time", "When the request came (requestReceivedTimestamp), Unix seconds."},
    RecordField<&AuditRecord::audit_id>{"audit_id", "auditID: the same in all stages of a request."},
    RecordField<&AuditRecord::stage>{"stage", "Stage, such as `ResponseComplete`."},
    RecordField<&AuditRecord::verb>{"verb", "Verb, such as `create`."},
    RecordField<&AuditRecord::user>{"user", "user.username."},
    RecordField<&AuditRecord::resource>{"resource", "objectRef.resource."},
    RecordField<&AuditRecord::api_group>{"api_group", "objectRef.apiGroup, `-` for the core group."},
    RecordField<&AuditRecord::namespace_name>{"namespace", "objectRef.namespace."},
    RecordField<&AuditRecord::name>{"name", "objectRef.name."},
    RecordField<&AuditRecord::response_code>{"response_code", "responseStatus.code, 0 if there is none."},
    RecordField<&AuditRecord::event>{"event", "The whole event."},
};
// clang-format on

}  // namespace weir::model
