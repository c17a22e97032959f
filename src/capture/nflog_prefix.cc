#include "capture/nflog_prefix.h"

#include <openssl/sha.h>

#include <array>
#include <charconv>
#include <utility>

namespace weir::capture {
namespace {

using model::Action;
using model::HitKind;

constexpr std::size_t kKept = 10, kHashChars = 41;
static_assert(kKept + 1 + kHashChars + 1 + kKept == kMaxNflogPrefix);
/// "DPE", the rule's number (at most 10 digits) and '|'.
constexpr std::size_t kLongestHead = 14;

char letter(Action action) {
  switch (action) {
    case Action::kAllow:
      return 'A';
    case Action::kDeny:
      return 'D';
    case Action::kPass:
      break;
  }
  return 'P';
}

bool is_rule(HitKind kind) { return kind == HitKind::kPolicyRule || kind == HitKind::kProfileRule; }

/// The first characters of the base64url text (RFC 4648 5) of the text's SHA-256.
std::string hash_text(std::string_view text) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string out;
  unsigned bits = 0, value = 0;
  for (std::size_t i = 0; out.size() < kHashChars; ++i) {
    value = value << 8 | digest[i];
    for (bits += 8; bits >= 6 && out.size() < kHashChars; bits -= 6) out += kAlphabet[value >> (bits - 6) & 63];
  }
  return out;
}

std::string limit(std::string prefix) {
  if (prefix.size() < kMaxNflogPrefix) return prefix;
  std::string out = prefix.substr(0, kKept);
  out += '_';
  out += hash_text(prefix);
  out += '_';
  out += std::string_view(prefix).substr(prefix.size() - kKept);
  return out;
}

bool parse_action(char c, Action& action) {
  switch (c) {
    case 'A':
      action = Action::kAllow;
      return true;
    case 'D':
      action = Action::kDeny;
      return true;
    case 'P':
      action = Action::kPass;
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<std::string> format_nflog_prefix(const NflogRule& rule) {
  std::string prefix{letter(rule.action), 'P', rule.egress ? 'E' : 'I'};
  if (rule.kind == HitKind::kProfileRule || rule.kind == HitKind::kNoProfile) prefix[1] = 'R';
  if (rule.kind == HitKind::kNoProfile) {
    if (rule.action != Action::kDeny)
      return invalid_argument("log prefix: where no profile matches, packets are denied");
    return prefix;
  }
  if (rule.id.empty()) return invalid_argument("log prefix: the rule's policy, profile or tier has no name");
  if (is_rule(rule.kind)) {
    if (rule.rule < 0) return invalid_argument("log prefix: a rule of " + rule.id + " has no number");
    prefix += std::to_string(rule.rule);
  } else if (rule.action == Action::kAllow) {
    return invalid_argument("log prefix: the end of tier " + rule.id + " allows nothing");
  }
  prefix += '|';
  prefix += rule.id;
  return limit(std::move(prefix));
}

bool parse_nflog_prefix(std::string_view text, ParsedNflogPrefix& out) {
  out = {};
  if (text.size() < 3 || text.size() > kMaxNflogPrefix) return false;
  if (!parse_action(text[0], out.action) || (text[1] != 'P' && text[1] != 'R') || (text[2] != 'I' && text[2] != 'E')) {
    return false;
  }
  const bool profile = text[1] == 'R';
  out.egress = text[2] == 'E';
  out.hashed = text.size() == kMaxNflogPrefix;
  text.remove_prefix(3);
  if (text.empty()) {
    out.kind = HitKind::kNoProfile;
    return profile && out.action == Action::kDeny;
  }
  const auto bar = text.find('|');
  if (bar == std::string_view::npos || bar + 1 == text.size()) return false;
  out.id = text.substr(bar + 1);
  if (bar == 0) {
    out.kind = HitKind::kTierEnd;
    return !profile && out.action != Action::kAllow;
  }
  out.kind = profile ? HitKind::kProfileRule : HitKind::kPolicyRule;
  if (text[0] < '0' || text[0] > '9' || (text[0] == '0' && bar > 1)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + bar, out.rule);
  return error == std::errc() && end == text.data() + bar;
}

void NflogRules::add(const NflogRule& rule) {
  // Only what may get hashed is worth the hash.
  if (rule.id.size() + kLongestHead < kMaxNflogPrefix) return;
  auto prefix = format_nflog_prefix(rule);
  if (!prefix.ok() || prefix.value().size() < kMaxNflogPrefix) return;
  if (by_prefix_.size() >= options_.max_rules && !by_prefix_.contains(prefix.value())) {
    ++dropped_;
    return;
  }
  by_prefix_[std::move(prefix).value()] = rule;
}

void NflogRules::add_all(HitKind kind, std::string_view id, std::int32_t ingress_rules, std::int32_t egress_rules) {
  if (id.size() + kLongestHead < kMaxNflogPrefix) return;
  NflogRule rule;
  rule.id = id;
  for (const bool egress : {false, true}) {
    rule.egress = egress;
    for (const Action action : {Action::kAllow, Action::kDeny, Action::kPass}) {
      rule.action = action;
      rule.kind = kind;
      const std::int32_t rules = egress ? egress_rules : ingress_rules;
      for (rule.rule = 0; is_rule(kind) && rule.rule < rules; ++rule.rule) add(rule);
      rule.rule = -1;
      if (kind == HitKind::kProfileRule || action == Action::kAllow) continue;
      rule.kind = HitKind::kTierEnd;
      add(rule);
    }
  }
}

const NflogRule* NflogRules::find(std::string_view prefix) const {
  const auto found = by_prefix_.find(prefix);
  return found == by_prefix_.end() ? nullptr : &found->second;
}

}  // namespace weir::capture
