#include "cluster/manifest_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/clock.h"
#include "base/file.h"
#include "cluster/internal/manifest_files.h"

namespace weir::cluster {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

std::int64_t to_ns(const timespec& time) { return time.tv_sec * kSecondNs + time.tv_nsec; }

/// All of a file. Not mapped: it may shrink while we read.
Result<std::string> read_whole(const InputFile& input) {
  std::string text;
  for (;;) {
    constexpr std::size_t kChunk = 256 * 1024;
    const std::size_t begun = text.size();
    text.resize(begun + kChunk);
    const ssize_t got = ::read(input.fd(), text.data() + begun, kChunk);
    text.resize(begun + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return text;
    if (got < 0 && errno != EINTR) return invalid_argument("read " + input.path() + ": " + std::strerror(errno));
    if (text.size() > kMaxManifestBytes) return invalid_argument(input.path() + ": too large for a manifest");
  }
}

}  // namespace

std::vector<std::string> ManifestWatch::list_files(std::vector<std::string>& errors) {
  std::vector<std::string> order;
  for (const std::string& path : paths_) {
    std::error_code ignored;
    const bool was_folder = folders_.contains(path);
    if (!was_folder && !std::filesystem::is_directory(path, ignored)) {
      order.push_back(path);
      continue;
    }
    auto listed = list_manifest_folder(path);
    std::string& error = folder_errors_[path];
    if (listed.ok()) {
      error.clear();
      folders_[path] = std::move(listed).value();
    } else if (error != listed.error().message) {
      error = listed.error().message;
      errors.push_back(error);
    }
    order.insert(order.end(), folders_[path].begin(), folders_[path].end());
  }
  return order;
}

bool ManifestWatch::read_again(const std::string& path, File& file, std::vector<std::string>& errors) {
  const auto fail = [&](std::string message) {
    if (file.error != message) errors.push_back(message);
    file.error = std::move(message);
    return false;
  };
  struct stat status {};
  const auto stamp_of = [](const struct stat& s) {
    return Stamp{s.st_ino, s.st_dev, s.st_size, to_ns(s.st_mtim), to_ns(s.st_ctim)};
  };
  if (::stat(path.c_str(), &status) != 0) {
    file.stamp = {};
    return fail("open " + path + ": " + std::strerror(errno));
  }
  if (!file.unsettled && stamp_of(status) == file.stamp) return false;

  auto input = InputFile::open(path);
  if (!input.ok()) return fail(input.error().message);
  if (::fstat(input.value().fd(), &status) != 0) return fail("open " + path + ": " + std::strerror(errno));
  file.stamp = stamp_of(status);
  file.unsettled = clock_ns(CLOCK_REALTIME) - std::max(file.stamp.modified_ns, file.stamp.changed_ns) < kSecondNs;
  auto text = read_whole(input.value());
  if (!text.ok()) return fail(text.error().message);
  ClusterObjects objects;
  ManifestNotes notes;
  const Status read = read_manifest_text(path, text.value(), path.ends_with(".json"), objects, notes);
  if (!read.ok()) return fail(read.error().message);
  file.error.clear();
  file.objects = flatten(std::move(objects));
  file.notes = std::move(notes);
  return true;
}

void ManifestWatch::diff(const std::vector<std::string>& order, std::int64_t now_ns, Changes& changes) {
  const std::int64_t time_ns = polled_ ? now_ns : kNoTime;
  std::map<std::string, const ClusterObject*> wanted;
  for (const std::string& path : order) {
    for (const ClusterObject& object : files_[path].objects) wanted[object_key(object, true)] = &object;
  }
  for (auto it = told_.begin(); it != told_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    changes.objects.push_back({ObjectChange::Action::kDelete, polled_, time_ns, std::move(it->second)});
    it = told_.erase(it);
  }
  // In the order of the files, in which owners stand before their pods.
  for (const std::string& path : order) {
    for (const ClusterObject& object : files_[path].objects) {
      const std::string key = object_key(object, true);
      if (wanted[key] != &object) continue;
      const auto [told, fresh] = told_.try_emplace(key, object);
      if (!fresh && told->second == object) continue;
      told->second = object;
      changes.objects.push_back({ObjectChange::Action::kPut, polled_, time_ns, object});
    }
  }
}

ManifestWatch::Changes ManifestWatch::poll(std::int64_t now_ns) {
  Changes changes;
  const std::vector<std::string> order = list_files(changes.errors);
  const std::set<std::string> listed(order.begin(), order.end());
  bool changed = std::erase_if(files_, [&](const auto& entry) { return !listed.contains(entry.first); }) > 0;
  for (const std::string& path : listed) changed |= read_again(path, files_[path], changes.errors);
  if (changed) diff(order, now_ns, changes);
  polled_ = true;
  return changes;
}

ManifestNotes ManifestWatch::notes() const {
  ManifestNotes all;
  for (const auto& [path, file] : files_) {
    for (const auto& [kind, count] : file.notes.not_evaluated) all.not_evaluated[kind] += count;
    for (const auto& [kind, count] : file.notes.skipped) all.skipped[kind] += count;
    all.told.insert(all.told.end(), file.notes.told.begin(), file.notes.told.end());
    all.remarks += file.notes.remarks;
  }
  return all;
}

}  // namespace weir::cluster
