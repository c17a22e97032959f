#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "model/agent_window.h"
#include "model/audit_record.h"
#include "model/dns_record.h"
#include "model/l7_record.h"

namespace weir::flowlog {

/// Reads the lines of dns.log, l7.log, agent.log and audit logs, as FlowLogReader those of flows.log: fields in any
/// order, missing or null ones keep their absent form, unknown ones are kept beside the record.
/// `Record`: model::DnsRecord, L7Record, AgentWindow or AuditRecord.
/// Threads: one, not synchronised.
template <typename Record>
class LogReader {
 public:
  static constexpr std::size_t kMaxLineBytes = 16 * 1024 * 1024;

  LogReader();
  LogReader(LogReader&&) noexcept;
  LogReader& operator=(LogReader&&) noexcept;
  ~LogReader();

  /// The record of one line, with or without its newline. It lives until the next call.
  /// Errors: kDataLoss, "not JSON: …" or "field count: expected an unsigned integer".
  Result<const Record*> read(std::string_view line);
  /// A JSON object of the last line's members that are no fields; empty if there are none. Audit: always empty, the
  /// record has the whole event.
  std::string_view unknown_fields() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

extern template class LogReader<model::DnsRecord>;
extern template class LogReader<model::L7Record>;
extern template class LogReader<model::AgentWindow>;
extern template class LogReader<model::AuditRecord>;

}  // namespace weir::flowlog
