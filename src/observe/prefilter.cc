#include "observe/prefilter.h"

#include <cstring>

#include <algorithm>
#include <optional>

#include "model/log_fields.h"

namespace weir::observe {
namespace {

using filter::Expression;
using filter::Target;
using filter::Test;
using filter::ValueClass;
using model::FieldKind;

/// More alternatives than this cost more than they save.
constexpr std::size_t kMostTexts = 4;
/// Shorter texts are found everywhere.
constexpr std::size_t kFewestBytes = 4;

std::size_t find(std::string_view text, std::string_view wanted, std::size_t from) {
  if (from >= text.size()) return std::string_view::npos;
  const void* found = ::memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
  return found == nullptr ? std::string_view::npos
                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

/// What the names of the target's fields end with alike: "_namespace" of source_namespace and dest_namespace.
std::string_view common_suffix(const Target& target) {
  const auto fields = model::log_fields(target.log);
  std::string_view suffix = fields[target.rows.front()].name;
  for (const std::uint8_t row : target.rows) {
    const std::string_view name = fields[row].name;
    std::size_t same = 0;
    while (same < std::min(suffix.size(), name.size()) &&
           suffix[suffix.size() - 1 - same] == name[name.size() - 1 - same]) {
      ++same;
    }
    suffix.remove_prefix(suffix.size() - same);
    // One field of two names in JSON.
    if (fields[row].stored != name || name == "dest_service_port_name") return {};
  }
  return suffix;
}

/// Between its key and its value nothing but a colon: where all fields hold one value, not a list.
bool is_plain(const Target& target) {
  return std::all_of(target.rows.begin(), target.rows.end(), [&](std::uint8_t row) {
    const FieldKind kind = model::log_fields(target.log)[row].kind;
    return kind == FieldKind::kKeyword || kind == FieldKind::kPort || kind == FieldKind::kIp ||
           (model::is_number(kind) && kind != FieldKind::kReal);
  });
}

/// Bytes that a line without backslashes may hold in a text.
bool is_written_as_is(char c) { return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\' && c != ' '; }

/// The longest run of the pattern's own bytes. `begins`, `ends`: it lies at the begin and end of the pattern.
std::string longest_run(const filter::TextPattern& pattern, bool& begins, bool& ends) {
  std::string best, run;
  bool run_begins = true;
  const auto finish = [&](bool at_end) {
    if (run.size() > best.size()) {
      best = run;
      begins = run_begins;
      ends = at_end;
    }
    run.clear();
    run_begins = false;
  };
  for (std::size_t at = 0; at < pattern.text.size(); ++at) {
    char c = pattern.text[at];
    const bool escaped = pattern.wildcard && c == '\\' && at + 1 < pattern.text.size();
    if (escaped) c = pattern.text[++at];
    if ((pattern.wildcard && !escaped && (c == '*' || c == '?')) || !is_written_as_is(c)) {
      finish(false);
    } else {
      run += c;
    }
  }
  finish(true);
  return best;
}

/// A text that a line holds if the pattern matches; empty: there is none worth a search.
std::string text_of(const Target& target, const filter::TextPattern& pattern) {
  bool begins = false, ends = false;
  std::string text = longest_run(pattern, begins, ends);
  if (ends) text += '"';
  if (!target.label_key.empty()) {
    if (!std::all_of(target.label_key.begin(), target.label_key.end(), is_written_as_is)) return {};
    return begins ? '"' + target.label_key + '=' + text : text;
  }
  if (!begins) return text;
  if (!is_plain(target)) return '"' + text;
  return std::string(common_suffix(target)) + "\":\"" + text;
}

std::string text_of(const IpPrefix& prefix) {
  if (prefix.length != 128 || !prefix.is_v4()) return {};
  return '"' + prefix.address.to_string() + '"';
}

std::string text_of(const Target& target, std::uint64_t number) {
  if (!is_plain(target)) return {};
  return std::string(common_suffix(target)) + "\":" + std::to_string(number);
}

/// What a record has where its line has nothing.
constexpr std::string_view kAbsentForms[] = {"-", "allow", "src", "net", "pub", "observed", "LOG", "NoError"};

/// Whether a line may pass that does not hold the value: it has another form there, or is not in the line at all.
bool is_hidden(const Test& test) {
  if (test.target.values == ValueClass::kProtocol) return true;
  for (const std::uint8_t row : test.target.rows) {
    const model::LogField& field = model::log_fields(test.target.log)[row];
    if (field.name == "host" || field.kind == FieldKind::kAnswers || field.kind == FieldKind::kJson) return true;
  }
  for (const std::string_view absent : kAbsentForms) {
    if (std::any_of(test.texts.begin(), test.texts.end(), [&](const auto& text) { return text.matches(absent); }))
      return true;
  }
  return std::find(test.numbers.begin(), test.numbers.end(), std::uint64_t{0}) != test.numbers.end();
}

std::optional<Prefilter::Clause> clause_of(const Test& test) {
  if (test.op != Test::Op::kAnyOf || is_hidden(test)) return std::nullopt;
  Prefilter::Clause clause;
  for (const filter::TextPattern& text : test.texts) clause.push_back(text_of(test.target, text));
  for (const std::uint64_t number : test.numbers) clause.push_back(text_of(test.target, number));
  for (const IpPrefix& prefix : test.prefixes) clause.push_back(text_of(prefix));
  const bool useless = std::any_of(clause.begin(), clause.end(), [](const auto& t) { return t.size() < kFewestBytes; });
  if (clause.empty() || clause.size() > kMostTexts || useless) return std::nullopt;
  return clause;
}

bool holds(std::string_view line, const Prefilter::Clause& clause) {
  return std::any_of(clause.begin(), clause.end(),
                     [&](const std::string& text) { return find(line, text, 0) != std::string_view::npos; });
}

/// The better one to search for comes first: few texts, long ones.
bool is_better(const Prefilter::Clause& a, const Prefilter::Clause& b) {
  const auto shortest = [](const Prefilter::Clause& clause) {
    return std::min_element(clause.begin(), clause.end(),
                            [](const auto& x, const auto& y) { return x.size() < y.size(); })
        ->size();
  };
  if (a.size() != b.size()) return a.size() < b.size();
  return shortest(a) > shortest(b);
}

std::vector<Prefilter::Clause> clauses_of(const Expression& expression) {
  std::vector<Prefilter::Clause> clauses;
  if (expression.kind == Expression::Kind::kTest) {
    if (auto clause = clause_of(expression.test)) clauses.push_back(std::move(*clause));
  } else if (expression.kind == Expression::Kind::kAnd) {
    for (const Expression& child : expression.children) {
      for (Prefilter::Clause& clause : clauses_of(child)) clauses.push_back(std::move(clause));
    }
  } else if (expression.kind == Expression::Kind::kOr) {
    // One of the best clauses of all children.
    Prefilter::Clause any;
    for (const Expression& child : expression.children) {
      const std::vector<Prefilter::Clause> of_child = clauses_of(child);
      if (of_child.empty()) return {};
      any.insert(any.end(), of_child.front().begin(), of_child.front().end());
    }
    std::sort(any.begin(), any.end());
    any.erase(std::unique(any.begin(), any.end()), any.end());
    if (any.size() <= kMostTexts) clauses.push_back(std::move(any));
  }
  std::stable_sort(clauses.begin(), clauses.end(), is_better);
  return clauses;
}

}  // namespace

Prefilter Prefilter::of(const Expression& expression) {
  Prefilter prefilter;
  prefilter.clauses_ = clauses_of(expression);
  return prefilter;
}

void Prefilter::tune(std::string_view lines) {
  if (clauses_.size() < 2) return;
  std::vector<std::pair<std::size_t, Clause>> counted;
  std::size_t total = 0;
  for (const Clause& clause : clauses_) counted.emplace_back(0, clause);
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    ++total;
    for (auto& [count, clause] : counted) count += holds(line, clause) ? 1 : 0;
  }
  std::stable_sort(counted.begin(), counted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  clauses_.clear();
  for (const auto& [count, clause] : counted) {
    if (clauses_.empty() || count < total - total / 4) clauses_.push_back(clause);
  }
}

bool Prefilter::holds_all(std::string_view line) const {
  return std::all_of(clauses_.begin() + 1, clauses_.end(), [&](const Clause& clause) { return holds(line, clause); });
}

Prefilter::Search::Search(const Prefilter& prefilter, std::string_view lines)
    : prefilter_(prefilter),
      lines_(lines),
      places_(prefilter.clauses_.empty() ? 0 : prefilter.clauses_.front().size() + 2, 0) {
  // Nothing found yet: places before the first byte are found anew.
  for (std::size_t& place : places_) place = std::string_view::npos - 1;
}

std::size_t Prefilter::Search::candidate() {
  const Clause& texts = prefilter_.clauses_.front();
  std::size_t nearest = std::string_view::npos;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    std::size_t& place = places_[i];
    if (place == std::string_view::npos - 1 || (place < at_ && place != std::string_view::npos)) {
      const std::string_view wanted = i < texts.size() ? std::string_view(texts[i]) : i == texts.size() ? " " : "\\";
      place = find(lines_, wanted, at_);
    }
    nearest = std::min(nearest, place);
  }
  return nearest;
}

std::string_view Prefilter::Search::line_at(std::size_t at) {
  // Behind at_ all is new: the line begins there or later.
  const std::string_view before = lines_.substr(at_, at - at_);
  const std::size_t newline = before.rfind('\n');
  const std::size_t begin = newline == std::string_view::npos ? at_ : at_ + newline + 1;
  const void* found = std::memchr(lines_.data() + at, '\n', lines_.size() - at);
  const std::size_t end =
      found == nullptr ? lines_.size() : static_cast<std::size_t>(static_cast<const char*>(found) - lines_.data());
  at_ = std::min(end + 1, lines_.size());
  return lines_.substr(begin, end - begin);
}

std::string_view Prefilter::Search::next() {
  while (at_ < lines_.size()) {
    if (prefilter_.clauses_.empty()) {
      const std::string_view line = line_at(at_);
      if (!line.empty()) return line;
      continue;
    }
    const std::size_t at = candidate();
    if (at == std::string_view::npos) break;
    const std::string_view line = line_at(at);
    const bool hides = line.find_first_of(" \\") != std::string_view::npos;
    if (!line.empty() && (hides || prefilter_.holds_all(line))) return line;
  }
  at_ = lines_.size();
  return {};
}

}  // namespace weir::observe
