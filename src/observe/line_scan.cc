#include "observe/line_scan.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/file.h"

namespace weir::observe {
namespace {

/// Reads up to `want` bytes behind the text's end; 0 at the end of the file.
Result<std::size_t> read_some(const InputFile& file, std::string& text, std::size_t want) {
  const std::size_t before = text.size();
  text.resize(before + want);
  while (true) {
    const ssize_t got = ::read(file.fd(), text.data() + before, want);
    if (got < 0 && errno == EINTR) continue;
    text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) return errno_error("read", file.path());
    return static_cast<std::size_t>(got);
  }
}

Status read_at(const InputFile& file, std::uint64_t offset, char* out, std::size_t want) {
  while (want > 0) {
    const ssize_t got = ::pread(file.fd(), out, want, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error("read", file.path());
    if (got == 0) return data_loss("read " + file.path() + ": it became shorter");
    out += got;
    offset += static_cast<std::uint64_t>(got);
    want -= static_cast<std::size_t>(got);
  }
  return {};
}

Error too_long(const std::string& path) { return data_loss("read " + path + ": a line is longer than 16 MiB"); }

}  // namespace

bool LineScan::examine_lines(std::size_t log, const std::string& path, std::uint64_t begin, std::string_view lines,
                             bool torn, const Examine& examine, const std::function<void(std::string_view)>& take) {
  if (!tuned_ && !lines.empty()) {
    // A part is enough to tell what is rare.
    constexpr std::size_t kSampleBytes = 256 * 1024;
    prefilter_.tune(lines.substr(0, kSampleBytes));
    tuned_ = true;
  }
  Prefilter::Search search(prefilter_, lines);
  while (true) {
    const std::string_view line = search.next();
    if (line.data() == nullptr) return false;
    switch (examine({line, log})) {
      case Verdict::kPass:
        break;
      case Verdict::kStop:
        return true;
      case Verdict::kTake:
        ++stats_.lines_taken;
        if (take) take(line);
        break;
      case Verdict::kBad:
        if (torn && line.end() == lines.end()) break;
        if (stats_.bad_lines++ == 0) {
          stats_.first_bad =
              path + ", byte " + std::to_string(begin + static_cast<std::uint64_t>(line.data() - lines.data()));
        }
        break;
    }
  }
}

Status LineScan::forward_file(std::size_t log, const InputFile& file, const Examine& examine, bool& stop) {
  std::string text;
  std::uint64_t begin = 0;
  while (!stop) {
    // The rest of an unfinished line is at the front.
    if (text.size() >= kMaxLineBytes) return too_long(file.path());
    TRY_ASSIGN(const std::size_t got, read_some(file, text, kBlockBytes));
    stats_.bytes_read += got;
    progress();
    const std::size_t newline = got == 0 ? std::string::npos : text.rfind('\n');
    if (got > 0 && newline == std::string::npos) continue;
    const std::size_t whole = got > 0 ? newline + 1 : leave_unfinished_ ? 0 : text.size();
    stop = examine_lines(log, file.path(), begin, std::string_view(text).substr(0, whole), got == 0, examine, nullptr);
    begin += whole;
    ends_[log] = begin;
    if (got == 0) return {};
    text.erase(0, whole);
  }
  return {};
}

Status LineScan::forward(const Examine& examine) {
  total_ = total_bytes();
  bool stop = false;
  for (std::size_t log = 0; log < logs_.size(); ++log) {
    for (const InputFile& file : logs_[log].generations) {
      if (stop) return {};
      TRY(forward_file(log, file, examine, stop));
    }
  }
  return {};
}

Status LineScan::last_of_file(std::size_t log, const InputFile& file, std::size_t count, const Examine& examine,
                              std::vector<OwnedLine>& newest_first) {
  const std::string& path = file.path();
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return errno_error("stat", path);
  if (!S_ISREG(info.st_mode)) return Error{ErrorCode::kUnsupported, path + " cannot be read backward"};
  // Bytes [begin, end) of the file are to be read; `text` holds those behind, up to the first newline.
  std::uint64_t end = static_cast<std::uint64_t>(info.st_size);
  std::string text;
  bool at_tail = true;
  while (end > 0 && newest_first.size() < count) {
    const std::size_t want = static_cast<std::size_t>(std::min<std::uint64_t>(end, kBlockBytes));
    if (text.size() > kMaxLineBytes) return too_long(path);
    text.insert(0, want, '\0');
    TRY(read_at(file, end - want, text.data(), want));
    end -= want;
    stats_.bytes_read += want;
    progress();
    const std::size_t newline = end == 0 ? 0 : text.find('\n');
    if (newline == std::string::npos) continue;
    const std::size_t whole = end == 0 ? 0 : newline + 1;
    std::vector<OwnedLine> taken;
    if (at_tail && leave_unfinished_) text.resize(text.rfind('\n') + 1);
    if (at_tail) ends_[log] = end + text.size();
    const bool torn = at_tail && !text.empty() && text.back() != '\n';
    examine_lines(log, path, end + whole, std::string_view(text).substr(whole), torn, examine,
                  [&](std::string_view line) {
                    taken.push_back({std::string(line), log});
                  });
    at_tail = false;
    newest_first.insert(newest_first.end(), std::make_move_iterator(taken.rbegin()),
                        std::make_move_iterator(taken.rend()));
    text.resize(whole);
  }
  return {};
}

Result<std::vector<LineScan::OwnedLine>> LineScan::last(std::size_t count, const Examine& examine) {
  std::vector<OwnedLine> all;
  for (std::size_t log = 0; log < logs_.size(); ++log) {
    std::vector<OwnedLine> newest_first;
    const std::vector<InputFile>& generations = logs_[log].generations;
    std::uint64_t active_end = 0;
    // At least one, to find where the active file ends.
    const std::size_t wanted = std::max<std::size_t>(count, 1);
    for (auto file = generations.rbegin(); file != generations.rend() && newest_first.size() < wanted; ++file) {
      TRY(last_of_file(log, *file, wanted, examine, newest_first));
      if (file == generations.rbegin()) active_end = ends_[log];
    }
    ends_[log] = active_end;
    newest_first.resize(std::min(newest_first.size(), count));
    all.insert(all.end(), std::make_move_iterator(newest_first.rbegin()), std::make_move_iterator(newest_first.rend()));
  }
  return all;
}

void LineScan::progress() {
  if (progress_) progress_(stats_.bytes_read, total_);
}

std::uint64_t LineScan::total_bytes() const {
  std::uint64_t total = 0;
  for (const LogFiles& log : logs_) {
    for (const InputFile& file : log.generations) {
      struct stat info {};
      if (::fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
      total += static_cast<std::uint64_t>(info.st_size);
    }
  }
  return total;
}

}  // namespace weir::observe
