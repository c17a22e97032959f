#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "app/node_pipeline.h"
#include "config/settings.h"
#include "flowlog/flow_log.h"
#include "flowlog/log_file.h"

namespace weir::app {

/// The agent's log files: flows.log, dns.log, l7.log and agent.log in one directory. Threads: one.
class AgentLogs {
 public:
  /// `note` takes what a person should know: a torn line repaired, a disk that is full or well again.
  static Result<std::unique_ptr<AgentLogs>> open(const config::Settings& settings,
                                                 std::function<void(std::string_view)> note);

  /// Records go to their files' buffers; flush() writes them.
  RecordSinks sinks();
  /// Lines of agent.log, each with its newline.
  std::string& agent_lines() { return agent_->buffer(); }
  /// A new window begins: rendered identities may be gone.
  void begin_window() { flow_writer_.forget(); }
  /// `now_ns`: a clock that only goes forward. False: some file does not take its lines, they wait in memory.
  bool flush(std::int64_t now_ns);
  /// One last attempt; the error names what is lost.
  Status close();
  void set_limits(const config::Settings& settings);

  struct File {
    const char* name;
    const flowlog::LogFile* file;
  };
  /// Null: that log is off.
  std::array<File, 4> files() const;

 private:
  AgentLogs() = default;
  /// Null: that log is off.
  std::array<flowlog::LogFile*, 4> all() const { return {flows_.get(), dns_.get(), l7_.get(), agent_.get()}; }

  std::unique_ptr<flowlog::LogFile> flows_, dns_, l7_, agent_;
  flowlog::FlowLogWriter flow_writer_;
  bool allowed_ = true, denied_ = true;
};

}  // namespace weir::app
