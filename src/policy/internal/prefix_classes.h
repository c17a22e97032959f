#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/ip.h"

namespace weir::policy {

/// Addresses that are in one of `include` and in none of `except`.
struct AddressSet {
  std::vector<IpPrefix> include, except;
  friend auto operator<=>(const AddressSet&, const AddressSet&) = default;
};

/// Sorts addresses into classes, so that all addresses of a class are in exactly the same of the given sets.
///
/// The prefixes cut the address space into ranges; ranges in the same sets share a class. Compiled in one sweep,
/// O(prefixes log prefixes + prefixes x sets / 64); a lookup is one table load and a search among the ranges of one
/// /16 (IPv4), or a binary search (IPv6). Immutable after construction.
class PrefixClasses {
 public:
  /// The class of addresses that are in no set.
  static constexpr std::uint32_t kNone = 0;

  /// `sets` are only read here.
  explicit PrefixClasses(std::span<const AddressSet* const> sets);

  std::uint32_t classify(const IpAddress& ip) const;
  std::uint32_t size() const { return class_count_; }
  /// The classes that make up a set (an index into the constructor's argument), ascending.
  const std::vector<std::uint32_t>& classes_of(std::uint32_t set) const { return classes_of_set_[set]; }

 private:
  using Ip6 = unsigned __int128;
  template <typename Key>
  struct Ranges {
    /// First address of each range, ascending from 0, and its class. Empty: every address is in class kNone.
    std::vector<Key> starts;
    std::vector<std::uint32_t> classes;
  };
  /// The combinations of sets that make up classes, while classes are numbered.
  struct Numbering;

  template <typename Key>
  static Ranges<Key> sweep(std::span<const AddressSet* const> sets, bool v4, Numbering& numbering);
  void index_v4();

  Ranges<std::uint64_t> v4_;
  Ranges<Ip6> v6_;
  /// By the upper 16 bits of an IPv4 address: the range that holds the first address of that /16. 65,537 long.
  std::vector<std::uint32_t> v4_first_;
  std::uint32_t class_count_ = 1;
  std::vector<std::vector<std::uint32_t>> classes_of_set_;
};

}  // namespace weir::policy
