#include "app/policy_trace_text.h"

#include "base/json_writer.h"
#include "model/protocol.h"

namespace weir::app {
namespace {

using model::Action;
using policy::SideVerdict;

constexpr const char* kProfiles = "__PROFILE__";

std::string name_of(const TraceEnd& end) { return end.pod.empty() ? end.ip : end.pod; }

std::string describe(const TraceEnd& end) {
  if (end.pod.empty()) return end.ip;
  return end.pod + (end.ip.empty() ? " (no address)" : " (" + end.ip + ")") +
         (end.host_network ? " on the host's network" : "");
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return text;
}

std::vector<const char*> uncertainties(std::uint8_t bits) {
  std::vector<const char*> words;
  if ((bits & policy::kHttp) != 0) words.push_back("a rule asks for an HTTP request, which is taken to be as it wants");
  if ((bits & policy::kLayer7) != 0)
    words.push_back("a rule that allows has conditions above the port that are not evaluated");
  if ((bits & policy::kDomain) != 0)
    words.push_back("a rule asks for a domain name, and none is known of the destination");
  if ((bits & policy::kSnat) != 0) words.push_back("the source is a node's address, which others may hide behind");
  return words;
}

void append_rule_text(std::string& out, const policy::RuleStory& rule) {
  out += "      rule " + std::to_string(rule.index) + (rule.name.empty() ? "" : " '" + rule.name + "'") + " " +
         model::to_string(rule.action) + ": ";
  if (rule.failed.empty()) {
    out += "matches\n";
    return;
  }
  for (const policy::FailedTerm& term : rule.failed) {
    out += (&term == rule.failed.data() ? "no, " : "; ") + term.name + " wants " + term.wanted;
  }
  out += '\n';
}

void append_tier_text(std::string& out, const policy::TierStory& tier) {
  if (tier.name == kProfiles) {
    out += "  profiles\n";
  } else {
    out += "  tier " + tier.name + "\n";
  }
  for (const policy::PolicyStory& policy : tier.policies) {
    out += "    " + policy.name + (policy.staged ? " (staged)" : "") + "\n";
    for (const policy::RuleStory& rule : policy.rules) append_rule_text(out, rule);
    if (policy.rules.empty() && tier.name != kProfiles) out += "      no rules in this direction\n";
  }
  const bool decided = !tier.policies.empty() && tier.policies.back().decided;
  if (!decided) {
    const std::string does = !tier.outcome                    ? "goes on"
                             : *tier.outcome == Action::kPass ? "passes"
                                                              : model::to_string(*tier.outcome);
    out += "    no rule matches: " + std::string(tier.name == kProfiles ? "" : "the tier's default is ") + does + "\n";
  } else if (tier.not_asked > 0) {
    out += "    not asked: " + std::to_string(tier.not_asked) + (tier.not_asked == 1 ? " policy" : " policies") +
           " behind it\n";
  }
}

void append_entries(std::string& out, const char* label, const model::PolicyTrace* trace) {
  if (trace == nullptr) return;
  for (const std::string& entry : trace->entries) {
    out.append("  ").append(label).append("  ").append(entry).append("\n");
  }
}

void append_side_text(std::string& out, const char* direction, const TraceEnd& end, const TraceSide& side,
                      bool staged) {
  out += "\n" + std::string(direction) + " of " + name_of(end) + ": ";
  if (!side.verdict.managed) {
    out += "allow, no policy is for ";
    out += end.pod.empty()    ? "an address that is no pod's\n"
           : end.host_network ? "a pod on the host's network\n"
                              : "it here\n";
    return;
  }
  out += model::to_string(staged ? side.story.action : side.verdict.action);
  out += staged ? ", with staged policies in force\n" : "\n";
  for (const policy::TierStory& tier : side.story.tiers) append_tier_text(out, tier);
  if (side.nearest && side.verdict.action == Action::kDeny) {
    const policy::NearestMiss& miss = *side.nearest;
    out += "  nearest to allowing it: " + miss.policy + " rule " + std::to_string(miss.rule) + ", but " + miss.term +
           " wants " + miss.wanted;
    if (miss.others > 0) out += ", and " + std::to_string(miss.others) + " more";
    out += '\n';
  }
  append_entries(out, "enforced", side.verdict.enforced);
  const std::string change = pending_change(side.verdict);
  if (change != "same") {
    append_entries(out, "pending ", side.verdict.pending);
    out += "  staged policies would ";
    out += change == "would_deny"    ? "deny it\n"
           : change == "would_allow" ? "allow it\n"
                                     : "decide the same by another rule\n";
  }
  for (const char* word : uncertainties(side.verdict.uncertainty))
    out.append("  uncertain: ").append(word).append("\n");
}

void write_end(JsonWriter& w, const char* name, const TraceEnd& end) {
  w.open(name, '{');
  w.text_or_null("pod", end.pod);
  w.text_or_null("ip", end.ip);
  w.close('}');
}

void write_policy(JsonWriter& w, const policy::PolicyStory& policy) {
  w.open('{');
  w.text("policy", policy.name);
  w.truth("staged", policy.staged);
  w.truth("decided", policy.decided);
  w.open("rules", '[');
  for (const policy::RuleStory& rule : policy.rules) {
    w.open('{');
    w.number("rule", rule.index);
    w.text_or_null("name", rule.name);
    w.text("action", model::to_string(rule.action));
    w.truth("matches", rule.failed.empty());
    w.open("failed", '[');
    for (const policy::FailedTerm& term : rule.failed) {
      w.open('{');
      w.text("term", term.name);
      w.text("wanted", term.wanted);
      w.close('}');
    }
    w.close(']');
    w.close('}');
  }
  w.close(']');
  w.close('}');
}

void write_tiers(JsonWriter& w, const std::vector<policy::TierStory>& tiers) {
  w.open("tiers", '[');
  for (const policy::TierStory& tier : tiers) {
    w.open('{');
    w.text("tier", tier.name);
    tier.outcome ? w.text("outcome", model::to_string(*tier.outcome)) : w.null("outcome");
    w.number("not_asked", tier.not_asked);
    w.open("policies", '[');
    for (const policy::PolicyStory& policy : tier.policies) write_policy(w, policy);
    w.close(']');
    w.close('}');
  }
  w.close(']');
}

void write_entries(JsonWriter& w, const char* name, const model::PolicyTrace* trace) {
  w.open(name, '[');
  if (trace != nullptr) {
    for (const std::string& entry : trace->entries) w.item(entry);
  }
  w.close(']');
}

void write_side(JsonWriter& w, const char* name, const TraceSide& side) {
  if (!side.verdict.managed) return w.null(name);
  w.open(name, '{');
  w.text("action", model::to_string(side.verdict.action));
  write_entries(w, "enforced_policies", side.verdict.enforced);
  write_entries(w, "pending_policies", side.verdict.pending);
  w.text("pending_change", pending_change(side.verdict));
  if (side.nearest) {
    w.open("nearest_miss", '{');
    w.text("policy", side.nearest->policy);
    w.number("rule", side.nearest->rule);
    w.text("term", side.nearest->term);
    w.text("wanted", side.nearest->wanted);
    w.number("others", side.nearest->others);
    w.close('}');
  } else {
    w.null("nearest_miss");
  }
  w.open("uncertain", '[');
  for (const char* word : uncertainties(side.verdict.uncertainty)) w.item(word);
  w.close(']');
  write_tiers(w, side.story.tiers);
  w.close('}');
}

bool allows(const SideVerdict& verdict, bool staged) {
  const model::PolicyTrace* trace = staged ? verdict.pending : verdict.enforced;
  return trace == nullptr || trace->verdict == Action::kAllow;
}

}  // namespace

const char* pending_change(const SideVerdict& verdict) {
  if (verdict.enforced == verdict.pending) return "same";
  const bool now = allows(verdict, false), then = allows(verdict, true);
  if (now != then) return then ? "would_allow" : "would_deny";
  return "same_but_other_rule";
}

void append_trace_text(std::string& out, const TraceStory& story) {
  const bool from = allows(story.egress.verdict, story.staged), to = allows(story.ingress.verdict, story.staged);
  out += describe(story.source) + " -> " + describe(story.dest) + " " + upper(model::protocol_name(story.protocol));
  if (story.port != 0) out += " " + std::to_string(story.port);
  out += from && to     ? ": allowed\n"
         : !from && !to ? ": denied at both ends\n"
         : from         ? ": denied at the destination\n"
                        : ": denied at the source\n";
  for (const std::string& note : story.notes) out += "note: " + note + "\n";
  append_side_text(out, "egress", story.source, story.egress, story.staged);
  append_side_text(out, "ingress", story.dest, story.ingress, story.staged);
}

void append_trace_json(std::string& out, const TraceStory& story) {
  JsonWriter w(out);
  w.open('{');
  write_end(w, "src", story.source);
  write_end(w, "dst", story.dest);
  w.text("protocol", upper(model::protocol_name(story.protocol)));
  story.port != 0 ? w.number("port", story.port) : w.null("port");
  w.truth("allowed", allows(story.egress.verdict, false) && allows(story.ingress.verdict, false));
  w.truth("pending_allowed", allows(story.egress.verdict, true) && allows(story.ingress.verdict, true));
  w.truth("staged", story.staged);
  w.open("notes", '[');
  for (const std::string& note : story.notes) w.item(note);
  w.close(']');
  write_side(w, "egress", story.egress);
  write_side(w, "ingress", story.ingress);
  w.close('}');
  out += '\n';
}

}  // namespace weir::app
