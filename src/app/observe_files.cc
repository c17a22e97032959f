#include "app/observe_files.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <set>
#include <utility>

namespace weir::app {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace

bool report_bad_lines(const char* command, const observe::ScanStats& stats, bool silent) {
  if (stats.bad_lines == 0) return true;
  if (!silent) {
    std::fprintf(stderr, "%s: %llu lines are no records and were passed over; the first: %s\n", command,
                 static_cast<unsigned long long>(stats.bad_lines), stats.first_bad.c_str());
  }
  return false;
}

void report_losses(const std::vector<observe::LogFiles>& logs, const observe::TimeRange& range) {
  std::set<std::string> folders;
  for (const observe::LogFiles& log : logs) {
    if (log.path == "-" || log.node.empty() || !folders.insert(folder_of(log.path)).second) continue;
    auto files = observe::find_log_files({folder_of(log.path)}, "agent.log");
    if (!files.ok()) continue;
    observe::LineScan scan(std::move(files).value(), observe::Prefilter());
    flowlog::LogReader<model::AgentWindow> reader;
    std::map<std::string, std::uint64_t> lost;
    const Status read = scan.forward([&](const observe::Line& line) {
      const auto window = reader.read(line.text);
      if (!window.ok()) return observe::Verdict::kBad;
      const model::AgentWindow& w = *window.value();
      if (w.end_time <= range.from || w.start_time >= range.to) return observe::Verdict::kPass;
      for (const model::SourceCounts& source : w.sources) {
        for (const model::NamedCount& count : source.lost) lost[source.name + " " + count.name] += count.count;
      }
      for (const model::NamedCount& count : w.flows_dropped) lost["flows dropped " + count.name] += count.count;
      for (const model::NamedCount& count : w.lines_dropped) lost["lines dropped " + count.name] += count.count;
      return observe::Verdict::kPass;
    });
    if (!read.ok()) continue;
    for (const auto& [what, count] : lost) {
      if (count == 0) continue;
      std::fprintf(stderr, "EVENTS LOST: %s: %s %llu\n", log.node.c_str(), what.c_str(),
                   static_cast<unsigned long long>(count));
    }
  }
}

Result<LogWait> LogWait::create(const std::vector<observe::LogFiles>& logs) {
  const int fd = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fd < 0) return errno_error("inotify_init1");
  LogWait wait(fd);
  for (const observe::LogFiles& log : logs) {
    const std::string folder = folder_of(log.path);
    if (::inotify_add_watch(fd, folder.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
      return errno_error("inotify_add_watch", folder);
    }
  }
  return wait;
}

LogWait::~LogWait() {
  if (fd_ >= 0) ::close(fd_);
}

void LogWait::wait() {
  pollfd ready{fd_, POLLIN, 0};
  constexpr int kMostMs = 1000;
  if (::poll(&ready, 1, kMostMs) <= 0) return;
  alignas(inotify_event) char events[4096];
  while (::read(fd_, events, sizeof events) > 0) {
  }
}

}  // namespace weir::app
