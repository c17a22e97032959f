#include "ingest/id_index.h"

#include <absl/container/flat_hash_set.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "base/file.h"
#include "base/hash.h"

// A file: records of {count, hash of the ids, ids}, all 64 bits. One that is torn at its end is cut back when it is
// opened; nobody was told of its ids. A new file begins at each start, so that no range is ever used twice.

namespace weir::ingest {
namespace {

constexpr std::string_view kAgent = "-";
constexpr std::size_t kHeadWords = 2;

std::string stream_of(std::uint64_t number) { return "bulk-ids-" + std::to_string(number); }

std::uint64_t seal_of(const std::uint64_t* ids, std::size_t count) {
  return hash_bytes(ids, count * sizeof *ids, 0x1D5);
}

std::optional<std::uint64_t> number_of(const std::filesystem::path& path) {
  if (path.extension() != ".ids") return std::nullopt;
  const std::string stem = path.stem().string();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
  if (error != std::errc() || end != stem.data() + stem.size()) return std::nullopt;
  return number;
}

}  // namespace

struct IdIndex::State {
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (fd >= 0) ::close(fd);
  }

  std::string path_of(std::uint64_t number) const { return directory + '/' + std::to_string(number) + ".ids"; }
  Status load(const store::Store& store, std::uint64_t number);
  Status begin_file();
  bool stored(std::uint64_t id) const { return current.contains(id) || previous.contains(id); }

  std::string directory;
  std::size_t ids_per_file = 0;
  std::mutex mutex;  // guards everything
  absl::flat_hash_set<std::uint64_t> current, previous, pending;
  std::uint64_t file_number = 0, file_size = 0;
  int fd = -1;
};

Status IdIndex::State::load(const store::Store& store, std::uint64_t number) {
  TRY_ASSIGN(const FileBytes file, FileBytes::open(path_of(number)));
  const auto bytes = file.bytes();
  std::size_t at = 0;
  std::vector<std::uint64_t> ids;
  while (bytes.size() - at >= kHeadWords * sizeof(std::uint64_t)) {
    std::uint64_t head[kHeadWords];
    std::memcpy(head, bytes.data() + at, sizeof head);
    const std::size_t room = (bytes.size() - at - sizeof head) / sizeof(std::uint64_t);
    if (head[0] == 0 || head[0] > room) break;
    ids.resize(head[0]);
    std::memcpy(ids.data(), bytes.data() + at + sizeof head, ids.size() * sizeof(std::uint64_t));
    if (seal_of(ids.data(), ids.size()) != head[1]) break;
    const std::size_t end = at + sizeof head + ids.size() * sizeof(std::uint64_t);
    if (store.stored_until(kAgent, stream_of(number), at) >= end) {
      if (current.size() >= ids_per_file) previous = std::exchange(current, {});
      current.insert(ids.begin(), ids.end());
    }
    at = end;
  }
  return {};
}

Status IdIndex::State::begin_file() {
  if (fd >= 0) ::close(std::exchange(fd, -1));
  ++file_number;
  file_size = 0;
  const std::string path = path_of(file_number);
  fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return errno_error("open", path);
  const int folder = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno_error("open", directory);
  const bool synced = ::fsync(folder) == 0;
  ::close(folder);
  return synced ? Status() : Status(errno_error("sync", directory));
}

IdIndex::IdIndex(std::unique_ptr<State> state) : state_(std::move(state)) {}
IdIndex::~IdIndex() = default;

Result<std::unique_ptr<IdIndex>> IdIndex::open(const store::Store& store, const std::string& directory,
                                               std::size_t ids_per_file) {
  auto state = std::make_unique<State>();
  state->directory = directory;
  state->ids_per_file = ids_per_file;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  std::vector<std::uint64_t> numbers;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (const auto number = number_of(entry.path())) numbers.push_back(*number);
  }
  if (error) return Error{ErrorCode::kPermissionDenied, "open directory " + directory + ": " + error.message()};
  std::sort(numbers.begin(), numbers.end());
  for (const std::uint64_t number : numbers) {
    TRY(state->load(store, number));
    state->file_number = number;
  }
  // Enough files to fill both sets again at the next start; each start and each full set begins one.
  const std::size_t kept = 2 * ids_per_file * sizeof(std::uint64_t);
  std::size_t bytes = 0;
  for (std::size_t i = numbers.size(); i-- > 0;) {
    const std::string path = state->path_of(numbers[i]);
    if (bytes >= kept) std::filesystem::remove(path, error);
    bytes += bytes >= kept ? 0 : std::filesystem::file_size(path, error);
  }
  return std::unique_ptr<IdIndex>(new IdIndex(std::move(state)));
}

std::vector<IdIndex::Known> IdIndex::begin(const std::vector<std::uint64_t>& ids) {
  std::vector<Known> known;
  known.reserve(ids.size());
  const std::lock_guard lock(state_->mutex);
  for (const std::uint64_t id : ids) {
    if (state_->stored(id)) {
      known.push_back(Known::kStored);
    } else {
      known.push_back(state_->pending.insert(id).second ? Known::kNew : Known::kPending);
    }
  }
  return known;
}

Result<store::SourceRange> IdIndex::note(const std::vector<std::uint64_t>& ids) {
  std::vector<std::uint64_t> record = {ids.size(), seal_of(ids.data(), ids.size())};
  record.insert(record.end(), ids.begin(), ids.end());
  const std::size_t bytes = record.size() * sizeof(std::uint64_t);
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (s.fd < 0 || s.file_size >= s.ids_per_file * sizeof(std::uint64_t)) TRY(s.begin_file());
  const std::string path = s.path_of(s.file_number);
  std::size_t done = 0;
  const char* data = reinterpret_cast<const char*>(record.data());
  while (done < bytes) {
    const ssize_t wrote = ::pwrite(s.fd, data + done, bytes - done, static_cast<off_t>(s.file_size + done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return errno_error("write", path);
    done += static_cast<std::size_t>(wrote);
  }
  if (::fdatasync(s.fd) != 0) {
    // Nobody knows what is on the disk now: its places are not used.
    Error error = errno_error("sync", path);
    ::close(std::exchange(s.fd, -1));
    return error;
  }
  const store::SourceRange range{std::string(kAgent), stream_of(s.file_number), s.file_size, s.file_size + bytes};
  s.file_size += bytes;
  return range;
}

void IdIndex::commit(const std::vector<std::uint64_t>& ids) {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (s.current.size() >= s.ids_per_file) s.previous = std::exchange(s.current, {});
  for (const std::uint64_t id : ids) {
    s.current.insert(id);
    s.pending.erase(id);
  }
}

void IdIndex::abort(const std::vector<std::uint64_t>& ids) {
  const std::lock_guard lock(state_->mutex);
  for (const std::uint64_t id : ids) state_->pending.erase(id);
}

std::uint64_t IdIndex::hash(std::string_view index, std::string_view id) {
  return hash_bytes(id.data(), id.size(), hash_bytes(index.data(), index.size(), 0xB01C));
}

}  // namespace weir::ingest
