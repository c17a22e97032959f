#include "flowlog/tailer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <limits>
#include <utility>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"

// Each file is held open as long as it is of interest, so its inode cannot become another file's, and one that is
// renamed or removed in the middle of a read is read on. Of removed files only the one that is being read is held: a
// reader that is far behind must not fill the disk.

namespace weir::flowlog {
namespace {

constexpr std::uint32_t kHeadBytes = 512;
/// Between two looks at the folder, if the active file stays the same.
constexpr std::int64_t kLookNs = 2'000'000'000;
/// A file in the middle of a rotation may be missed by a look.
constexpr int kMissedLooks = 3;
constexpr unsigned kUnlisted = std::numeric_limits<unsigned>::max();

/// "NAME" is 0, "NAME.3" is 3; others are no files of the log.
std::optional<unsigned> rank_of(std::string_view entry, std::string_view name) {
  if (entry == name) return 0U;
  if (entry.size() < name.size() + 2 || !entry.starts_with(name) || entry[name.size()] != '.') return std::nullopt;
  unsigned number = 0;
  const char* begin = entry.data() + name.size() + 1;
  const char* end = entry.data() + entry.size();
  const auto [stop, error] = std::from_chars(begin, end, number);
  if (error != std::errc() || stop != end || number == 0 || number == kUnlisted) return std::nullopt;
  return number;
}

Result<std::size_t> read_at(int fd, char* to, std::size_t size, std::uint64_t at, const std::string& path) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::pread(fd, to + done, size - done, static_cast<off_t>(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error("read", path);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::int64_t created_ns(int fd) {
  struct statx info {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &info) != 0 || (info.stx_mask & STATX_BTIME) == 0) return 0;
  return info.stx_btime.tv_sec * 1'000'000'000 + info.stx_btime.tv_nsec;
}

}  // namespace

struct Tailer::File {
  File() = default;
  File(File&& other) noexcept { *this = std::move(other); }
  File& operator=(File&& other) noexcept {
    std::swap(fd, other.fd);
    device = other.device, rank = other.rank, missed = other.missed;
    removed = other.removed, skipping = other.skipping;
    path = std::move(other.path), stream = std::move(other.stream);
    generation = other.generation, offset = other.offset, size = other.size, skip_begin = other.skip_begin;
    return *this;
  }
  ~File() {
    if (fd >= 0) ::close(fd);
  }

  int fd = -1;
  std::uint64_t device = 0;
  /// In the folder: 0 the active file; kUnlisted: not there at the last look.
  unsigned rank = 0;
  int missed = 0;
  bool removed = false;
  /// In the middle of a line that is too long.
  bool skipping = false;
  std::string path;
  /// Empty until its first line is whole.
  std::string stream;
  Generation generation;
  std::uint64_t offset = 0, size = 0;
  /// Where the line begins that is being skipped.
  std::uint64_t skip_begin = 0;
};

Tailer::Tailer(Options options, const std::vector<Cursor>& cursors) : options_(std::move(options)) {
  log_ = options_.name.substr(0, options_.name.rfind('.'));
  for (const Cursor& cursor : cursors) {
    if (cursor.log == log_) unclaimed_.push_back(cursor);
  }
}
Tailer::Tailer(Tailer&&) noexcept = default;
Tailer& Tailer::operator=(Tailer&&) noexcept = default;
Tailer::~Tailer() = default;

/// Finds out which files there are, if something may have changed.
Status Tailer::look() {
  struct stat active {};
  const std::string path = options_.directory + '/' + options_.name;
  const bool there = ::stat(path.c_str(), &active) == 0;
  const auto is_active = [&](const File& file) {
    return file.rank == 0 && file.device == active.st_dev && file.generation.inode == active.st_ino;
  };
  const std::int64_t now = clock_ns(CLOCK_MONOTONIC);
  const bool same = there && std::any_of(files_.begin(), files_.end(), is_active);
  if (looks_ > 0 && same && now - looked_at_ns_ < kLookNs) return {};

  DIR* folder = ::opendir(options_.directory.c_str());
  if (folder == nullptr) {
    return errno == ENOENT ? Status() : Status(errno_error("open", options_.directory));
  }
  for (File& file : files_) file.rank = kUnlisted;
  while (const dirent* entry = ::readdir(folder)) {
    if (const auto rank = rank_of(entry->d_name, options_.name))
      look_at(options_.directory + '/' + entry->d_name, *rank);
  }
  ::closedir(folder);
  looks_ = std::min(looks_ + 1, kMissedLooks);
  looked_at_ns_ = now;
  std::stable_sort(files_.begin(), files_.end(), [](const File& a, const File& b) { return a.rank > b.rank; });
  forget_gone();
  return {};
}

void Tailer::look_at(const std::string& path, unsigned rank) {
  struct stat info {};
  // What goes away or cannot be read right now is met again at the next look.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return;
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return;
  }
  for (File& known : files_) {
    if (known.device != info.st_dev || known.generation.inode != info.st_ino) continue;
    ::close(fd);
    known.rank = std::min(known.rank, rank);
    known.path = path;
    known.missed = 0;
    return;
  }
  File file;
  file.fd = fd;
  file.device = info.st_dev;
  file.rank = rank;
  file.path = path;
  file.generation.inode = info.st_ino;
  file.generation.created_ns = created_ns(fd);
  file.size = static_cast<std::uint64_t>(info.st_size);
  files_.push_back(std::move(file));
}

void Tailer::forget_gone() {
  bool reading = false;  // one before it is still to be read
  for (File& file : files_) {
    struct stat info {};
    if (::fstat(file.fd, &info) != 0) continue;
    file.size = static_cast<std::uint64_t>(info.st_size);
    file.removed = info.st_nlink == 0;
    if (file.rank == kUnlisted) ++file.missed;
    const bool unread = file.size > file.offset;
    if (file.removed && unread && reading) {
      ++stats_.files_lost;
      stats_.bytes_lost += file.size - file.offset;
      file.offset = file.size;
    }
    reading |= unread;
  }
  std::erase_if(files_, [](const File& file) {
    return file.rank == kUnlisted && file.offset >= file.size && (file.removed || file.missed >= kMissedLooks);
  });
}

Tailer::File* Tailer::find(const std::string& stream) {
  for (File& file : files_) {
    if (file.stream == stream) return &file;
  }
  return nullptr;
}

/// Gives the file its generation, once its first line is whole.
Result<bool> Tailer::identify(File& file) {
  if (!file.stream.empty()) return true;
  char head[kHeadBytes];
  TRY_ASSIGN(const std::size_t got, read_at(file.fd, head, sizeof head, 0, file.path));
  const std::size_t newline = std::string_view(head, got).find('\n');
  if (newline == std::string_view::npos && got < sizeof head) return false;
  Generation& generation = file.generation;
  generation.head_bytes = static_cast<std::uint32_t>(newline == std::string_view::npos ? got : newline + 1);
  generation.head_hash = hash_bytes(head, generation.head_bytes);
  for (auto cursor = unclaimed_.begin(); cursor != unclaimed_.end(); ++cursor) {
    Generation same = cursor->generation;
    same.epoch = generation.epoch;
    if (!(same == generation)) continue;
    generation.epoch = cursor->generation.epoch;
    file.offset = cursor->offset;
    unclaimed_.erase(cursor);
    break;
  }
  file.stream = generation.stream(log_);
  return true;
}

void Tailer::begin_anew(File& file) {
  ++stats_.truncations;
  file.generation.head_bytes = 0;
  ++file.generation.epoch;
  file.stream.clear();
  file.offset = 0;
  file.skipping = false;
}

/// Takes the file's size; one that was truncated begins anew.
Status Tailer::check(File& file) {
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return errno_error("stat", file.path);
  file.size = static_cast<std::uint64_t>(info.st_size);
  if (file.stream.empty()) return {};
  bool truncated = file.size < file.offset;
  if (!truncated && file.size > file.offset) {
    char head[kHeadBytes];
    TRY_ASSIGN(const std::size_t got, read_at(file.fd, head, file.generation.head_bytes, 0, file.path));
    truncated = got < file.generation.head_bytes || hash_bytes(head, got) != file.generation.head_hash;
  }
  if (truncated) begin_anew(file);
  return {};
}

/// Whole lines from the cursor on. False: there is none yet.
Result<bool> Tailer::read_lines(File& file, TailBatch& batch) {
  std::size_t want = options_.batch_bytes;
  while (file.offset < file.size) {
    batch.lines.resize(std::min<std::uint64_t>(want, file.size - file.offset));
    TRY_ASSIGN(const std::size_t got, read_at(file.fd, batch.lines.data(), batch.lines.size(), file.offset, file.path));
    batch.lines.resize(got);
    if (file.skipping) {
      // The rest of a line whose begin was skipped.
      const std::size_t newline = batch.lines.find('\n');
      const std::size_t skip = newline == std::string::npos ? got : newline + 1;
      stats_.bytes_too_long += skip;
      file.offset += skip;
      file.skipping = newline == std::string::npos;
      if (got == 0) return false;
      continue;
    }
    const std::size_t last = batch.lines.rfind('\n');
    if (last != std::string::npos) {
      batch.lines.resize(last + 1);
      batch.stream = file.stream;
      batch.begin = file.offset;
      batch.end = file.offset + batch.lines.size();
      return true;
    }
    if (got < want) return false;  // the last line is not whole yet
    if (want >= options_.max_line_bytes) {
      ++stats_.lines_too_long;
      file.skipping = true;
      file.skip_begin = file.offset;
      continue;
    }
    want = std::min(want * 4, options_.max_line_bytes);
  }
  return false;
}

Result<std::optional<TailBatch>> Tailer::read() {
  TRY(look());
  TailBatch batch;
  for (File& file : files_) {
    TRY(check(file));
    if (file.size <= file.offset && !file.stream.empty()) continue;
    TRY_ASSIGN(const bool known, identify(file));
    if (!known) continue;
    // A cursor of an earlier run may lie behind the end of a file that was truncated since.
    TRY(check(file));
    TRY_ASSIGN(const bool still_known, identify(file));
    if (!still_known) continue;
    TRY_ASSIGN(const bool some, read_lines(file, batch));
    if (some) return std::optional<TailBatch>(std::move(batch));
  }
  return std::optional<TailBatch>();
}

void Tailer::advance(const TailBatch& batch, std::uint64_t offset) {
  CHECK(offset >= batch.begin && offset <= batch.end);
  File* file = find(batch.stream);
  if (file == nullptr || file->offset < batch.begin || file->offset > offset) return;
  const auto begin = batch.lines.begin() + static_cast<std::ptrdiff_t>(file->offset - batch.begin);
  const auto end = batch.lines.begin() + static_cast<std::ptrdiff_t>(offset - batch.begin);
  stats_.bytes += offset - file->offset;
  stats_.lines += static_cast<std::uint64_t>(std::count(begin, end, '\n'));
  file->offset = offset;
}

bool Tailer::seek(const TailBatch& batch, std::uint64_t offset) {
  File* file = find(batch.stream);
  if (file == nullptr || offset > file->size) return false;
  file->offset = offset;
  return true;
}

void Tailer::cursors(std::vector<Cursor>& out) const {
  for (const File& file : files_) {
    if (!file.stream.empty()) out.push_back({log_, file.generation, file.skipping ? file.skip_begin : file.offset});
  }
  // Until the folder was seen some times, nobody knows which of these are gone.
  if (looks_ < kMissedLooks) out.insert(out.end(), unclaimed_.begin(), unclaimed_.end());
}

std::uint64_t Tailer::lag_bytes() const {
  std::uint64_t bytes = 0;
  for (const File& file : files_) bytes += file.size - std::min(file.size, file.offset);
  return bytes;
}

}  // namespace weir::flowlog
