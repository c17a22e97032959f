#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cluster/manifest_reader.h"
#include "cluster/object_change.h"

namespace weir::cluster {

/// Manifests that may change while we run: files and folders, read once and again when they change.
///
/// A file is looked at by its inode, size and times; one that was written in the last second is read again, as a clock
/// tick may hide a second write. Files appear and vanish in folders. A file that cannot be read, is malformed, or is
/// named and gone keeps what it said last, and its error is given once. Objects are compared by content: what is put
/// again as it was is no change. Of an object that stands in several places, the last one counts, in the order of
/// load_manifests().
///
/// Bounds:  memory about twice the objects; what load_manifests() bounds. Threads: one.
class ManifestWatch {
 public:
  /// `paths` as load_manifests() takes them, but for "-".
  explicit ManifestWatch(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  struct Changes {
    /// Deletions first. Of the first poll() they have been so from the start; of later ones, they are live at its time.
    std::vector<ObjectChange> objects;
    /// One line each: file, place, what is wrong.
    std::vector<std::string> errors;
  };
  /// Costs a stat() for each file and a listing of each folder where nothing changed. Call it a few times a second: a
  /// pod counts from the poll that found it.
  Changes poll(std::int64_t now_ns);

  /// What the files hold that is passed over, as they are now.
  ManifestNotes notes() const;

 private:
  struct Stamp {
    std::uint64_t inode = 0;
    std::uint64_t device = 0;
    std::int64_t size = -1;
    std::int64_t modified_ns = 0;
    std::int64_t changed_ns = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  struct File {
    Stamp stamp;
    /// Read when its last write was too young to trust the stamp.
    bool unsettled = true;
    /// The one given last, so that it is given once.
    std::string error;
    std::vector<ClusterObject> objects;
    ManifestNotes notes;
  };

  std::vector<std::string> list_files(std::vector<std::string>& errors);
  /// Whether its objects may have changed.
  bool read_again(const std::string& path, File& file, std::vector<std::string>& errors);
  void diff(const std::vector<std::string>& order, std::int64_t now_ns, Changes& changes);

  std::vector<std::string> paths_;
  std::map<std::string, File> files_;
  /// By path: errors of folders.
  std::map<std::string, std::string> folder_errors_;
  /// What a folder held when it was last readable.
  std::map<std::string, std::vector<std::string>> folders_;
  /// By object_key(): what we told.
  std::map<std::string, ClusterObject> told_;
  bool polled_ = false;
};

}  // namespace weir::cluster
