#include "flowlog/last_window.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/file.h"
#include "flowlog/flow_log_reader.h"

namespace weir::flowlog {
namespace {

/// An open file, read from its end.
struct Tail {
  int fd = -1;
  std::uint64_t size = 0;

  Tail() = default;
  Tail(const Tail&) = delete;
  Tail& operator=(const Tail&) = delete;
  ~Tail() {
    if (fd >= 0) ::close(fd);
  }
};

/// The last `bytes` bytes of the file, or all of it.
Status read_tail(const Tail& tail, const std::string& path, std::size_t bytes, std::string& out) {
  out.resize(std::min<std::uint64_t>(bytes, tail.size));
  const std::uint64_t from = tail.size - out.size();
  for (std::size_t done = 0; done < out.size();) {
    const ssize_t got = ::pread(tail.fd, out.data() + done, out.size() - done, static_cast<off_t>(from + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error("read", path);
    if (got == 0) out.resize(done);  // truncated while we read
    done += static_cast<std::size_t>(got);
  }
  return {};
}

/// `end_time` of the last line of the text that has one. `from_start`: the text begins with a line, not within one.
std::optional<std::int64_t> last_end_in(FlowLogReader& reader, std::string_view text, bool from_start) {
  std::size_t end = text.rfind('\n');  // what comes after it is torn
  while (end != std::string_view::npos) {
    const std::size_t before = end == 0 ? std::string_view::npos : text.rfind('\n', end - 1);
    if (before == std::string_view::npos && !from_start) return std::nullopt;
    const std::size_t start = before == std::string_view::npos ? 0 : before + 1;
    // Its reader takes lines of agent.log too: it passes over fields that it does not know.
    const auto record = reader.read(text.substr(start, end - start));
    if (record.ok() && record.value()->end_time != 0) return record.value()->end_time;
    end = before;
  }
  return std::nullopt;
}

/// None: the file has no line that tells, or there is no file.
Result<std::optional<std::int64_t>> last_end_of_file(const std::string& path, bool& there) {
  Tail tail;
  tail.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  there = tail.fd >= 0;
  if (!there && errno == ENOENT) return std::optional<std::int64_t>();
  if (!there) return errno_error("open", path);
  struct stat info {};
  if (::fstat(tail.fd, &info) != 0) return errno_error("stat", path);
  if (!S_ISREG(info.st_mode)) return invalid_argument("read " + path + ": it is no regular file");
  tail.size = static_cast<std::uint64_t>(info.st_size);
  FlowLogReader reader;
  std::string text;
  constexpr std::size_t kMostBytes = 2 * FlowLogReader::kMaxLineBytes;
  for (std::size_t bytes = 64 * 1024;; bytes *= 4) {
    TRY(read_tail(tail, path, bytes, text));
    const bool whole = bytes >= tail.size;
    const auto time = last_end_in(reader, text, whole);
    if (time || whole || bytes >= kMostBytes) return time;
  }
}

/// Of the active file, else of the youngest rotated one that has a line. A crash in a rotation may leave one number
/// out.
Result<std::optional<std::int64_t>> last_end_of_log(const std::string& path) {
  int missing = 0;
  for (int number = 0; missing < 3; ++number) {
    bool there = false;
    const std::string name = number == 0 ? path : path + '.' + std::to_string(number);
    TRY_ASSIGN(const std::optional<std::int64_t> time, last_end_of_file(name, there));
    if (time) return time;
    if (!there) ++missing;
  }
  return std::optional<std::int64_t>();
}

}  // namespace

Result<WindowEnds> last_window_ends(const std::string& directory) {
  WindowEnds ends;
  TRY_ASSIGN(ends.flows, last_end_of_log(directory + "/flows.log"));
  TRY_ASSIGN(ends.agent, last_end_of_log(directory + "/agent.log"));
  return ends;
}

Result<std::optional<std::int64_t>> last_window_end(const std::string& directory) {
  TRY_ASSIGN(const WindowEnds ends, last_window_ends(directory));
  return ends.newest();
}

}  // namespace weir::flowlog
