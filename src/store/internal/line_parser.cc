#include "store/internal/line_parser.h"

#include <utility>

#include "base/text.h"
#include "flowlog/flow_log_reader.h"
#include "flowlog/log_readers.h"

namespace weir::store {
namespace {

constexpr std::int64_t kLatestStart = 253'402'300'799;

template <typename Reader>
Status add_line(Reader& reader, std::string_view line, std::string_view host, RowBatch& batch) {
  auto record = reader.read(line);
  if (!record.ok()) return std::move(record).error();
  const std::int64_t start = record.value()->start_time;
  if (start <= 0 || start > kLatestStart)
    return data_loss("field start_time: expected Unix seconds up to the year 9999");
  batch.append(*record.value(), reader.unknown_fields(), host);
  return {};
}

/// A reader's buffers are worth keeping: one of each a thread.
Status add_line(LogType log, std::string_view line, std::string_view host, RowBatch& batch) {
  thread_local flowlog::FlowLogReader flows;
  thread_local flowlog::LogReader<model::DnsRecord> dns;
  thread_local flowlog::LogReader<model::L7Record> l7;
  thread_local flowlog::LogReader<model::AgentWindow> agent;
  thread_local flowlog::LogReader<model::AuditRecord> audit;
  switch (log) {
    case LogType::kFlows:
      return add_line(flows, line, host, batch);
    case LogType::kDns:
      return add_line(dns, line, host, batch);
    case LogType::kL7:
      return add_line(l7, line, host, batch);
    case LogType::kAgent:
      return add_line(agent, line, host, batch);
    case LogType::kAudit:
      return add_line(audit, line, host, batch);
  }
  return {};
}

}  // namespace

ParsedLines parse_lines(LogType log, std::string_view ndjson, std::string_view host, const RangeSet* stored,
                        std::uint64_t begin) {
  ParsedLines parsed(log);
  std::size_t at = 0;
  const auto leave_out = [&](std::size_t line_begin) {
    // As long as nothing was left out, the accepted lines are the input itself.
    if (parsed.is_whole) parsed.owned.assign(ndjson.substr(0, line_begin));
    parsed.is_whole = false;
  };
  for (std::uint64_t number = 1; at < ndjson.size(); ++number) {
    const std::size_t newline = ndjson.find('\n', at);
    const std::size_t next = newline == std::string_view::npos ? ndjson.size() : newline + 1;
    const std::string_view line = trim(ndjson.substr(at, next - at));
    const std::size_t line_begin = std::exchange(at, next);
    if (line.empty()) {
      leave_out(line_begin);
      continue;
    }
    if (stored != nullptr && stored->contains(begin + line_begin)) {
      ++parsed.duplicates;
      leave_out(line_begin);
      continue;
    }
    Status status = line.size() > kMaxLineBytes ? data_loss("the line is longer than 1 MiB")
                                                : add_line(log, line, host, parsed.batch);
    if (!status.ok()) {
      ++parsed.refused_lines;
      if (parsed.refused.size() < kMaxRefusedShown)
        parsed.refused.push_back({number, std::move(status.error().message)});
      leave_out(line_begin);
    } else if (!parsed.is_whole) {
      parsed.owned.append(line).append(1, '\n');
    }
  }
  return parsed;
}

}  // namespace weir::store
