#include "app/agent_logs.h"

#include "flowlog/dns_log.h"
#include "flowlog/l7_log.h"

namespace weir::app {
namespace {

flowlog::LogFileOptions file_options(const config::Settings& settings, std::function<void(std::string_view)> note) {
  flowlog::LogFileOptions options;
  options.max_bytes = static_cast<std::uint64_t>(settings.log_max_size_mb) * 1024 * 1024;
  options.max_files = static_cast<int>(settings.log_max_files);
  options.max_buffered_bytes = static_cast<std::size_t>(settings.log_buffer_mb) * 1024 * 1024;
  options.note = std::move(note);
  return options;
}

}  // namespace

Result<std::unique_ptr<AgentLogs>> AgentLogs::open(const config::Settings& settings,
                                                   std::function<void(std::string_view)> note) {
  std::unique_ptr<AgentLogs> logs(new AgentLogs());
  logs->allowed_ = settings.flow_log_allowed;
  logs->denied_ = settings.flow_log_denied;
  const flowlog::LogFileOptions options = file_options(settings, std::move(note));
  const std::string& directory = settings.log_directory;
  TRY_ASSIGN(logs->flows_, flowlog::LogFile::open(directory, "flows.log", options));
  if (settings.dns_log) {
    TRY_ASSIGN(logs->dns_, flowlog::LogFile::open(directory, "dns.log", options));
  }
  if (settings.l7_log) {
    TRY_ASSIGN(logs->l7_, flowlog::LogFile::open(directory, "l7.log", options));
  }
  TRY_ASSIGN(logs->agent_, flowlog::LogFile::open(directory, "agent.log", options));
  return logs;
}

RecordSinks AgentLogs::sinks() {
  RecordSinks sinks;
  sinks.flow = [this](const model::FlowRecord& record) {
    if (record.action == "deny" ? !denied_ : !allowed_) return;
    flow_writer_.append(record, flows_->buffer());
  };
  if (dns_ != nullptr) {
    sinks.dns = [this](const model::DnsRecord& record) { flowlog::append_dns_line(dns_->buffer(), record); };
  }
  if (l7_ != nullptr) {
    sinks.l7 = [this](const model::L7Record& record) { flowlog::append_l7_line(l7_->buffer(), record); };
  }
  return sinks;
}

std::array<AgentLogs::File, 4> AgentLogs::files() const {
  return {{{"flows", flows_.get()}, {"dns", dns_.get()}, {"l7", l7_.get()}, {"agent", agent_.get()}}};
}

bool AgentLogs::flush(std::int64_t now_ns) {
  bool written = true;
  for (flowlog::LogFile* file : all()) {
    if (file != nullptr) written &= file->flush(now_ns);
  }
  return written;
}

Status AgentLogs::close() {
  Status first;
  for (flowlog::LogFile* file : all()) {
    if (file == nullptr) continue;
    Status closed = file->close();
    if (first.ok() && !closed.ok()) first = std::move(closed);
  }
  return first;
}

void AgentLogs::set_limits(const config::Settings& settings) {
  allowed_ = settings.flow_log_allowed;
  denied_ = settings.flow_log_denied;
  const auto bytes = static_cast<std::uint64_t>(settings.log_max_size_mb) * 1024 * 1024;
  for (flowlog::LogFile* file : all()) {
    if (file != nullptr) file->set_limits(bytes, static_cast<int>(settings.log_max_files));
  }
}

}  // namespace weir::app
