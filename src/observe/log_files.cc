#include "observe/log_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>
#include <utility>

#include "flowlog/log_readers.h"
#include "observe/line_scan.h"

namespace weir::observe {
namespace {

/// Numbers that may be missing between two rotated files: a crash in the middle of a rotation leaves one out.
constexpr int kMissingNumbers = 2;

using Inode = std::pair<dev_t, ino_t>;

/// None if it is not there.
Result<std::optional<InputFile>> open_if_there(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 && errno == ENOENT) return std::optional<InputFile>();
  TRY_ASSIGN(InputFile file, InputFile::open(path));
  return std::optional<InputFile>(std::move(file));
}

Result<Inode> inode_of(const InputFile& file) {
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return errno_error("stat", file.path());
  return Inode{info.st_dev, info.st_ino};
}

std::string node_of(const std::string& flows_path) {
  const std::size_t slash = flows_path.rfind('/');
  const std::string path = (slash == std::string::npos ? std::string() : flows_path.substr(0, slash + 1)) + "agent.log";
  Result<std::optional<InputFile>> file = open_if_there(path);
  if (!file.ok() || !file.value()) return {};
  LogFiles agent{path, {}, {}};
  agent.generations.push_back(std::move(*file.value()));
  std::vector<LogFiles> logs;
  logs.push_back(std::move(agent));
  LineScan scan(std::move(logs), Prefilter());
  flowlog::LogReader<model::AgentWindow> reader;
  std::string node;
  const auto last = scan.last(1, [&](const Line& line) {
    const auto window = reader.read(line.text);
    if (window.ok()) node = window.value()->node;
    return window.ok() ? Verdict::kTake : Verdict::kPass;
  });
  return last.ok() ? node : std::string();
}

/// By ascending number: a rotation at the same time renames towards what is opened later, so that nothing is missed;
/// what is met twice is known by its inode.
Result<LogFiles> open_log(const std::string& path, std::set<Inode>& seen) {
  LogFiles log{path, {}, {}};
  int missing = 0;
  for (int number = 0; missing <= kMissingNumbers; ++number) {
    const std::string name = number == 0 ? path : path + '.' + std::to_string(number);
    TRY_ASSIGN(std::optional<InputFile> file, open_if_there(name));
    if (!file) {
      ++missing;
      if (number == 0) return Error{ErrorCode::kNotFound, "open " + name + ": No such file or directory"};
      continue;
    }
    missing = 0;
    TRY_ASSIGN(const Inode inode, inode_of(*file));
    if (seen.insert(inode).second) log.generations.push_back(std::move(*file));
  }
  std::reverse(log.generations.begin(), log.generations.end());
  return log;
}

}  // namespace

Result<std::vector<LogFiles>> find_log_files(const std::vector<std::string>& names, const std::string& log_name) {
  std::vector<LogFiles> logs;
  std::set<Inode> seen;
  for (std::string path : names) {
    if (path == "-") {
      TRY_ASSIGN(InputFile input, InputFile::open("-"));
      LogFiles log{"-", {}, {}};
      log.generations.push_back(std::move(input));
      logs.push_back(std::move(log));
      continue;
    }
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) path += "/" + log_name;
    TRY_ASSIGN(LogFiles log, open_log(path, seen));
    if (log.generations.empty()) continue;
    log.node = node_of(path);
    logs.push_back(std::move(log));
  }
  return logs;
}

}  // namespace weir::observe
