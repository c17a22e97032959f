#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "filter/expression.h"
#include "model/log_fields.h"

namespace weir::filter {

/// The one filter language over the records of one log, compiled: `ns = shop AND (port IN {80, 443} OR dst.ip
/// = 10.0.0.0/8) AND NOT label.app = web`.
///
/// Fields are the names of flows.log, or short words (ns, pod, workload, kind, type, ip, port, label, svc, domain) that
/// mean either end, or one with src. or dst. before them. A negated test (!=, NOT IN, !~) holds when no end and no
/// element passes the positive one. Copies share the compiled form.
/// Threads: matches() may be called from several.
class Filter {
 public:
  /// Errors: "column 14: unknown field 'sorce_ip'; did you mean source_ip?".
  static Result<Filter> compile(std::string_view text, model::LogType log = model::LogType::kFlows);

  /// The record is of the log that the filter was compiled for. Allocates nothing of its own. O(size of the filter).
  bool matches(const model::FlowRecord& record) const;
  bool matches(const model::DnsRecord& record) const;
  bool matches(const model::L7Record& record) const;
  bool matches(const model::AgentWindow& record) const;
  bool matches(const model::AuditRecord& record) const;
  const Expression& expression() const { return *expression_; }

 private:
  explicit Filter(std::shared_ptr<const Expression> expression) : expression_(std::move(expression)) {}
  std::shared_ptr<const Expression> expression_;
};

}  // namespace weir::filter
