#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster/internal/tenures.h"
#include "cluster/objects.h"
#include "model/policy_set.h"

namespace weir::cluster {

/// Objects of one type by key, each version of them in its time, and those of now as a list.
template <typename T>
class Timeline {
 public:
  /// `now` outlives it: those of now, in no order.
  explicit Timeline(model::SharedList<T>& now) : now_(now) {}

  /// `start_ns`: since when an object that is new counts. One that is there already changes at `time_ns`; kNoTime: it
  /// is read anew, and was never what it was before. Returns whether anything changed.
  bool put(const std::string& key, T object, std::int64_t start_ns, std::int64_t time_ns) {
    Entry& entry = entries_[key];
    const bool there = entry.index != kGone;
    if (there && *now_[entry.index] == object) return false;
    auto made = std::make_shared<const T>(std::move(object));
    const std::int64_t from = there && time_ns != kNoTime ? time_ns : start_ns;
    if (time_ns == kNoTime) {
      entry.versions.clear();
    } else if (!entry.versions.empty()) {
      cut(entry, from);
    }
    entry.versions.push_back({from, kForever, made});
    if (there) {
      now_[entry.index] = std::move(made);
    } else {
      entry.index = now_.size();
      now_.push_back(std::move(made));
      keys_.push_back(key);
    }
    return true;
  }

  bool remove(const std::string& key, std::int64_t time_ns) {
    const auto found = entries_.find(key);
    if (found == entries_.end() || found->second.index == kGone) return false;
    const std::size_t index = std::exchange(found->second.index, kGone);
    if (index + 1 != now_.size()) {
      now_[index] = std::move(now_.back());
      keys_[index] = std::move(keys_.back());
      entries_.find(keys_[index])->second.index = index;
    }
    now_.pop_back();
    keys_.pop_back();
    cut(found->second, time_ns);
    if (found->second.versions.empty()) entries_.erase(found);
    return true;
  }

  /// Appends each object as it was at the time, in no order.
  void at(std::int64_t time_ns, model::SharedList<T>& out) const {
    for (const auto& [key, entry] : entries_) {
      for (const Version& version : entry.versions) {
        if (version.from_ns <= time_ns && time_ns < version.to_ns) out.push_back(version.object);
      }
    }
  }

  /// Drops versions that ended before `time_ns`.
  void forget(std::int64_t time_ns) {
    for (auto it = entries_.begin(); it != entries_.end();) {
      std::erase_if(it->second.versions, [&](const Version& version) { return version.to_ns < time_ns; });
      const auto here = it++;
      if (here->second.versions.empty()) entries_.erase(here);
    }
  }

 private:
  static constexpr std::size_t kGone = ~std::size_t{0};
  struct Version {
    std::int64_t from_ns, to_ns;
    std::shared_ptr<const T> object;
  };
  struct Entry {
    /// In now_; kGone: there is none now.
    std::size_t index = kGone;
    /// By time.
    std::vector<Version> versions;
  };

  /// Ends the newest version; none are left that would begin at `time_ns` or later.
  static void cut(Entry& entry, std::int64_t time_ns) {
    while (!entry.versions.empty() && entry.versions.back().from_ns >= time_ns) entry.versions.pop_back();
    if (entry.versions.empty()) return;
    Version& last = entry.versions.back();
    if (last.to_ns > time_ns) last.to_ns = time_ns;
  }

  absl::flat_hash_map<std::string, Entry> entries_;
  model::SharedList<T>& now_;
  /// Of now_.
  std::vector<std::string> keys_;
};

}  // namespace weir::cluster
