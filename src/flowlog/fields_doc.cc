#include "flowlog/fields_doc.h"

#include <tuple>

#include "model/agent_window.h"
#include "model/dns_record.h"
#include "model/fields.h"
#include "model/l7_record.h"

namespace weir::flowlog {
namespace {

const char* kind_text(model::FieldKind kind) {
  using model::FieldKind;
  switch (kind) {
    case FieldKind::kSeconds:
      return "Unix seconds";
    case FieldKind::kCount:
      return "number";
    case FieldKind::kPackets:
      return "number, packets";
    case FieldKind::kBytes:
      return "number, bytes";
    case FieldKind::kMicroseconds:
      return "number, µs";
    case FieldKind::kInteger:
      return "number";
    case FieldKind::kKeyword:
      return "text";
    case FieldKind::kKeywordList:
      return "list of text, or null";
    case FieldKind::kProtocol:
      return "text";
    case FieldKind::kPort:
      return "port, or null";
    case FieldKind::kPortList:
      return "list of ports, or null";
    case FieldKind::kIp:
      return "IP address, or null";
    case FieldKind::kIpList:
      return "list of IP addresses, or null";
    case FieldKind::kLabels:
      return "`{\"labels\":[\"k=v\",…]}`, or null";
    case FieldKind::kPolicies:
      return "`{\"enforced_policies\":[…],\"pending_policies\":[…]}`, or null";
    case FieldKind::kNanoseconds:
      return "number, ns";
    case FieldKind::kReal:
      return "number";
    case FieldKind::kAnswers:
    case FieldKind::kServers:
    case FieldKind::kJson:
      return "object";
  }
  return "";
}

template <typename Fields>
void append_table(std::string& page, const char* log, const char* header, const Fields& fields) {
  page.append("\n# Fields of ").append(log).append("\n\nMade from the field table in `src/model/").append(header);
  page.append("`. Same rules.\n\n| Field | Meaning |\n|---|---|\n");
  const auto append = [&](const auto& field) {
    page.append("| `").append(field.name).append("` | ").append(field.doc).append(" |\n");
  };
  std::apply([&](const auto&... field) { (append(field), ...); }, fields);
}

}  // namespace

std::string fields_markdown() {
  std::string page =
      "# Fields of flows.log\n\n"
      "Made from the field table in `src/model/fields.h`. One JSON object per line, with these fields in this order.\n"
      "Absent is `-` for text, 0 for numbers, and null where the type says so. All counts are of the window.\n\n"
      "| Field | Type | Meaning |\n|---|---|---|\n";
  model::for_each_flow_field([&](const auto& field) {
    page.append("| `").append(field.name).append("` | ").append(kind_text(field.kind)).append(" | ");
    page.append(field.doc).append(" |\n");
  });
  append_table(page, "dns.log", "dns_record.h", model::kDnsFields);
  append_table(page, "l7.log", "l7_record.h", model::kL7Fields);
  append_table(page, "agent.log", "agent_window.h", model::kAgentFields);
  return page;
}

}  // namespace weir::flowlog
