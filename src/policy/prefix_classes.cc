#include "policy/internal/prefix_classes.h"

#include <algorithm>
#include <bit>
#include <map>

namespace weir::policy {
namespace {

/// A prefix of a set begins or ends.
template <typename Key>
struct Event {
  Key at;
  std::uint32_t set;
  bool begins;
  bool except;
};

std::pair<std::uint64_t, std::uint64_t> bounds_of(const IpPrefix& prefix, std::uint64_t) {
  const std::uint64_t size = std::uint64_t{1} << (128U - prefix.length);
  const std::uint64_t first = prefix.address.v4_host_order() & ~(size - 1);
  return {first, first + size};
}

unsigned __int128 key_of(const IpAddress& ip) {
  unsigned __int128 key = 0;
  for (const std::uint8_t byte : ip.bytes) key = key << 8 | byte;
  return key;
}

/// The end of a range that reaches the last address wraps to 0.
std::pair<unsigned __int128, unsigned __int128> bounds_of(const IpPrefix& prefix, unsigned __int128) {
  if (prefix.length == 0) return {0, 0};
  const unsigned __int128 size = static_cast<unsigned __int128>(1) << (128U - prefix.length);
  const unsigned __int128 first = key_of(prefix.address) & ~(size - 1);
  return {first, first + size};
}

template <typename Key>
void add_events(const IpPrefix& prefix, bool v4, std::uint32_t set, bool except, std::vector<Event<Key>>& events) {
  if (prefix.is_v4() != v4) return;
  const auto [first, end] = bounds_of(prefix, Key{});
  events.push_back({first, set, true, except});
  if (end != 0) events.push_back({end, set, false, except});
}

}  // namespace

struct PrefixClasses::Numbering {
  std::map<std::vector<std::uint64_t>, std::uint32_t> classes;

  std::uint32_t number(const std::vector<std::uint64_t>& set) {
    return classes.try_emplace(set, static_cast<std::uint32_t>(classes.size())).first->second;
  }
};

PrefixClasses::PrefixClasses(std::span<const AddressSet* const> sets) {
  Numbering numbering;
  numbering.number(std::vector<std::uint64_t>((sets.size() + 63) / 64));  // kNone
  v4_ = sweep<std::uint64_t>(sets, true, numbering);
  v6_ = sweep<Ip6>(sets, false, numbering);
  index_v4();
  class_count_ = static_cast<std::uint32_t>(numbering.classes.size());
  classes_of_set_.resize(sets.size());
  for (const auto& [set, number] : numbering.classes) {
    for (std::size_t word = 0; word < set.size(); ++word) {
      for (std::uint64_t bits = set[word]; bits != 0; bits &= bits - 1) {
        classes_of_set_[word * 64 + static_cast<std::size_t>(std::countr_zero(bits))].push_back(number);
      }
    }
  }
  for (std::vector<std::uint32_t>& classes : classes_of_set_) std::sort(classes.begin(), classes.end());
}

template <typename Key>
PrefixClasses::Ranges<Key> PrefixClasses::sweep(std::span<const AddressSet* const> sets, bool v4,
                                                Numbering& numbering) {
  std::vector<Event<Key>> events;
  for (std::uint32_t i = 0; i < sets.size(); ++i) {
    for (const IpPrefix& include : sets[i]->include) add_events(include, v4, i, false, events);
    for (const IpPrefix& except : sets[i]->except) add_events(except, v4, i, true, events);
  }
  Ranges<Key> ranges;
  if (events.empty()) return ranges;
  std::sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  ranges.starts.push_back(0);
  ranges.classes.push_back(kNone);
  // How many inclusions and exceptions of each set hold the address the sweep is at.
  std::vector<std::uint32_t> inside(sets.size()), excepted(sets.size());
  std::vector<std::uint64_t> in((sets.size() + 63) / 64);
  for (std::size_t i = 0; i < events.size();) {
    const Key at = events[i].at;
    for (; i < events.size() && events[i].at == at; ++i) {
      const Event<Key>& event = events[i];
      std::uint32_t& count = event.except ? excepted[event.set] : inside[event.set];
      event.begins ? ++count : --count;
      const std::uint64_t bit = std::uint64_t{1} << (event.set % 64);
      std::uint64_t& word = in[event.set / 64];
      word = inside[event.set] > 0 && excepted[event.set] == 0 ? word | bit : word & ~bit;
    }
    const std::uint32_t number = numbering.number(in);
    if (ranges.starts.back() == at) {
      ranges.classes.back() = number;
    } else {
      ranges.starts.push_back(at);
      ranges.classes.push_back(number);
    }
  }
  return ranges;
}

void PrefixClasses::index_v4() {
  if (v4_.starts.empty()) return;
  v4_first_.resize(65'537);
  std::uint32_t range = 0;
  for (std::uint64_t high = 0; high <= 65'536; ++high) {
    while (range + 1 < v4_.starts.size() && v4_.starts[range + 1] <= high << 16) ++range;
    v4_first_[high] = range;
  }
}

std::uint32_t PrefixClasses::classify(const IpAddress& ip) const {
  if (ip.is_v4()) {
    if (v4_.starts.empty()) return kNone;
    const std::uint64_t key = ip.v4_host_order();
    std::uint32_t low = v4_first_[key >> 16];
    std::uint32_t high = v4_first_[(key >> 16) + 1];
    while (low < high) {
      const std::uint32_t middle = low + (high - low + 1) / 2;
      if (v4_.starts[middle] <= key) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return v4_.classes[low];
  }
  if (v6_.starts.empty()) return kNone;
  const auto after = std::upper_bound(v6_.starts.begin(), v6_.starts.end(), key_of(ip));
  return v6_.classes[static_cast<std::size_t>(after - v6_.starts.begin()) - 1];
}

}  // namespace weir::policy
