#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// The few file operations whose durability the store depends on. Errors name the path.
namespace weir::store {

/// A file that is appended to. Closes at its end.
class AppendFile {
 public:
  AppendFile() = default;
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  ~AppendFile();
  /// Opens or makes it; what it has stays.
  static Result<AppendFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// Writes all and fdatasync()s. After an error the file is cut back to what it was; if that fails too, broken().
  Status append_durably(std::string_view bytes);
  bool broken() const { return broken_; }

 private:
  std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  bool broken_ = false;
};

/// Makes the folder and those above it.
Status make_folder(const std::string& path);
Status sync_file(const std::string& path);
Status sync_folder(const std::string& path);
/// Durably: sync_file, rename, sync_folder of the target's.
Status publish_file(const std::string& temporary, const std::string& path);
/// Regular files below `folder`, as paths relative to it, sorted. Empty if there is no such folder.
std::vector<std::string> files_below(const std::string& folder);
std::uint64_t file_size(const std::string& path);
void remove_file(const std::string& path);

}  // namespace weir::store
