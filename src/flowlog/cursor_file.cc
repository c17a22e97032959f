#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>

#include "base/file.h"
#include "base/hash.h"
#include "flowlog/tailer.h"

// The file: a line that names its format, one line a cursor, and a line with the hash of all before it.

namespace weir::flowlog {
namespace {

constexpr std::string_view kFormat = "weir-cursors 1\n";
constexpr std::size_t kMaxLog = 64;

std::string line_of(const Cursor& cursor) {
  char numbers[192];
  const Generation& g = cursor.generation;
  std::snprintf(numbers, sizeof numbers,
                " %" PRIu64 " %" PRId64 " %016" PRIx64 " %" PRIu32 " %" PRIu32 " %" PRIu64 "\n", g.inode, g.created_ns,
                g.head_hash, g.head_bytes, g.epoch, cursor.offset);
  return cursor.log + numbers;
}

std::string seal_of(std::string_view text) {
  char seal[32];
  std::snprintf(seal, sizeof seal, "hash %016" PRIx64 "\n", hash_bytes(text.data(), text.size()));
  return seal;
}

bool parse_line(const std::string& line, Cursor& cursor) {
  char log[kMaxLog];
  Generation& g = cursor.generation;
  const int read =
      std::sscanf(line.c_str(), "%63s %" SCNu64 " %" SCNd64 " %" SCNx64 " %" SCNu32 " %" SCNu32 " %" SCNu64, log,
                  &g.inode, &g.created_ns, &g.head_hash, &g.head_bytes, &g.epoch, &cursor.offset);
  cursor.log = log;
  return read == 7;
}

Status write_all(int fd, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return errno_error("write", path);
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (::fdatasync(fd) != 0) return errno_error("sync", path);
  return {};
}

Status sync_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno_error("open", folder);
  const bool synced = ::fsync(fd) == 0;
  Status status = synced ? Status() : Status(errno_error("sync", folder));
  ::close(fd);
  return status;
}

}  // namespace

std::string Generation::stream(std::string_view log) const {
  const std::uint64_t words[] = {inode, static_cast<std::uint64_t>(created_ns), head_hash, epoch};
  char digits[24];
  std::snprintf(digits, sizeof digits, "-%016" PRIx64, hash_bytes(words, sizeof words));
  return std::string(log) + digits;
}

Result<std::vector<Cursor>> load_cursors(const std::string& path) {
  std::vector<Cursor> cursors;
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return cursors;
  TRY_ASSIGN(const FileBytes file, FileBytes::open(path));
  const std::string_view text = file.text();
  const std::size_t seal = text.rfind("hash ");
  if (!text.starts_with(kFormat) || seal == std::string_view::npos ||
      text.substr(seal) != seal_of(text.substr(0, seal))) {
    return data_loss(path + ": it is damaged, or no file of cursors");
  }
  std::string_view lines = text.substr(kFormat.size(), seal - kFormat.size());
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    Cursor cursor;
    if (end == std::string_view::npos || !parse_line(std::string(lines.substr(0, end)), cursor)) {
      return data_loss(path + ": a cursor in it cannot be read");
    }
    cursors.push_back(std::move(cursor));
    lines.remove_prefix(end + 1);
  }
  return cursors;
}

Status store_cursors(const std::string& path, const std::vector<Cursor>& cursors) {
  std::string text(kFormat);
  for (const Cursor& cursor : cursors) {
    CHECK(cursor.log.size() < kMaxLog && cursor.log.find_first_of(" \n") == std::string::npos);
    text += line_of(cursor);
  }
  text += seal_of(text);
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return errno_error("open", fresh);
  Status status = write_all(fd, fresh, text);
  if (::close(fd) != 0 && status.ok()) status = errno_error("close", fresh);
  if (status.ok() && ::rename(fresh.c_str(), path.c_str()) != 0) status = errno_error("rename", fresh);
  if (status.ok()) status = sync_folder_of(path);
  return status;
}

}  // namespace weir::flowlog
