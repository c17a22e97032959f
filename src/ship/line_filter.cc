#include "ship/internal/line_filter.h"

#include "flowlog/flow_log_reader.h"
#include "flowlog/log_readers.h"

namespace weir::ship {

struct LineFilter::Readers {
  flowlog::FlowLogReader flows;
  flowlog::LogReader<model::DnsRecord> dns;
  flowlog::LogReader<model::L7Record> l7;
  flowlog::LogReader<model::AgentWindow> agent;
  flowlog::LogReader<model::AuditRecord> audit;
};

Result<LineFilter> LineFilter::compile(std::string_view text, model::LogType log) {
  TRY_ASSIGN(filter::Filter compiled, filter::Filter::compile(text, log));
  return LineFilter(std::move(compiled), log);
}

LineFilter::LineFilter(filter::Filter filter, model::LogType log)
    : filter_(std::move(filter)), log_(log), readers_(std::make_unique<Readers>()) {}
LineFilter::LineFilter(LineFilter&&) noexcept = default;
LineFilter& LineFilter::operator=(LineFilter&&) noexcept = default;
LineFilter::~LineFilter() = default;

bool LineFilter::passes(std::string_view line) {
  const auto judge = [&](auto& reader) {
    const auto record = reader.read(line);
    return !record.ok() || filter_.matches(*record.value());
  };
  switch (log_) {
    case model::LogType::kFlows:
      return judge(readers_->flows);
    case model::LogType::kDns:
      return judge(readers_->dns);
    case model::LogType::kL7:
      return judge(readers_->l7);
    case model::LogType::kAgent:
      return judge(readers_->agent);
    case model::LogType::kAudit:
      return judge(readers_->audit);
  }
  return true;
}

}  // namespace weir::ship
