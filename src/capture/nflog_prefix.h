#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "model/policy_hit.h"

namespace weir::capture {

/// What a log rule of the data plane stands for. Names as in model::PolicyHit.
struct NflogRule {
  model::Action action = model::Action::kAllow;
  model::HitKind kind = model::HitKind::kPolicyRule;
  bool egress = false;
  /// Of the rule in its policy or profile; -1 for tier ends and for "no profile".
  std::int32_t rule = -1;
  std::string id;

  friend bool operator==(const NflogRule&, const NflogRule&) = default;
};

/// The kernel's limit: longer prefixes are cut.
inline constexpr std::size_t kMaxNflogPrefix = 63;

/// The prefix by which the rule's packets are logged, in the form of Calico's iptables and nftables data planes:
///   <A|D|P>P<I|E><rule>|<policy>   a policy's rule         DP<I|E>|<tier>  the end of a tier drops
///   <A|D|P>R<I|E><rule>|<profile>  a profile's rule        PP<I|E>|<tier>  the end of a tier passes
///   DR<I|E>                        no profile matched
/// One of 63 characters or more becomes: its first 10, '_', the first 41 of the base64url text of its SHA-256, '_', its
/// last 10: 63 in all. A name of exactly 63 is hashed too, so that nobody can choose a name that looks like a hash.
/// Errors: kInvalidArgument for a rule that has no prefix: no id, a rule number below 0 where one is needed.
Result<std::string> format_nflog_prefix(const NflogRule& rule);

/// A prefix read; `id` belongs to the text.
struct ParsedNflogPrefix {
  model::Action action = model::Action::kAllow;
  model::HitKind kind = model::HitKind::kPolicyRule;
  bool egress = false;
  std::int32_t rule = -1;
  std::string_view id;
  /// The name was too long: `id` is what is left of it, and NflogRules may know the whole.
  bool hashed = false;
};

/// False: the text is no such prefix.
bool parse_nflog_prefix(std::string_view text, ParsedNflogPrefix& out);

/// The rules whose prefixes are hashed, by prefix: the way back to their names. Threads: one.
///
/// Bounds:  Options::max_rules, about 200 B each; more are counted and not learnt. Rules whose prefix is not hashed
///          take no place.
class NflogRules {
 public:
  struct Options {
    std::size_t max_rules = 200'000;
  };
  NflogRules() : NflogRules(Options{}) {}
  explicit NflogRules(Options options) : options_(options) {}

  void add(const NflogRule& rule);
  /// All rules that a policy or profile of this name can have: each action for each rule number, and its ends of tiers.
  void add_all(model::HitKind kind, std::string_view id, std::int32_t ingress_rules, std::int32_t egress_rules);
  void clear() { by_prefix_.clear(); }

  const NflogRule* find(std::string_view prefix) const;
  std::size_t size() const { return by_prefix_.size(); }
  /// Rules not learnt for want of room.
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return hash_bytes(text.data(), text.size()); }
  };

  Options options_;
  absl::flat_hash_map<std::string, NflogRule, TextHash, std::equal_to<>> by_prefix_;
  std::uint64_t dropped_ = 0;
};

}  // namespace weir::capture
