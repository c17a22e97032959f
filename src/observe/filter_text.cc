#include "observe/filter_text.h"

#include <algorithm>

#include "base/text.h"

namespace weir::observe {
namespace {

constexpr std::string_view kKeywords[] = {"AND", "OR", "NOT", "IN", "NOTIN", "IS", "EMPTY"};

bool is_keyword(std::string_view text) {
  return std::any_of(std::begin(kKeywords), std::end(kKeywords),
                     [&](std::string_view word) { return equal_ignoring_case(text, word); });
}

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._/:*?-").find(c) != std::string_view::npos;
}

/// Whether `op` stands outside all parentheses and quotes.
bool has_top_level(std::string_view text, std::string_view op) {
  int depth = 0;
  char quote = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (c == '\\') ++at;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '(' || c == '{') {
      ++depth;
    } else if (c == ')' || c == '}') {
      --depth;
    } else if (depth == 0 && c == ' ' && text.size() - at > op.size() + 1 && text[at + 1 + op.size()] == ' ' &&
               equal_ignoring_case(text.substr(at + 1, op.size()), op)) {
      return true;
    }
  }
  return false;
}

std::string join(const std::vector<std::string>& parts, std::string_view op, std::string_view other) {
  std::vector<std::string> distinct;
  for (const std::string& part : parts) {
    if (!part.empty() && std::find(distinct.begin(), distinct.end(), part) == distinct.end()) distinct.push_back(part);
  }
  if (distinct.size() == 1) return distinct.front();
  std::string text;
  for (const std::string& part : distinct) {
    if (!text.empty()) text.append(" ").append(op).append(" ");
    if (has_top_level(part, other)) {
      text.append("(").append(part).append(")");
    } else {
      text += part;
    }
  }
  return text;
}

}  // namespace

std::string filter_value(std::string_view pattern) {
  if (!pattern.empty() && std::all_of(pattern.begin(), pattern.end(), is_bare) && !is_keyword(pattern)) {
    return std::string(pattern);
  }
  std::string text = "\"";
  for (const char c : pattern) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

std::string literal_pattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

std::string any_of(std::string_view field, const std::vector<std::string>& patterns) {
  std::vector<std::string> distinct;
  for (const std::string& pattern : patterns) {
    if (std::find(distinct.begin(), distinct.end(), pattern) == distinct.end()) distinct.push_back(pattern);
  }
  if (distinct.size() == 1) return std::string(field) + " = " + filter_value(distinct.front());
  std::string text = std::string(field) + " IN {";
  for (std::size_t i = 0; i < distinct.size(); ++i) text.append(i == 0 ? "" : ", ").append(filter_value(distinct[i]));
  return text + '}';
}

std::string all_of(const std::vector<std::string>& parts) { return join(parts, "AND", "OR"); }
std::string one_of(const std::vector<std::string>& parts) { return join(parts, "OR", "AND"); }

std::string negation_of(const std::string& part) {
  if (has_top_level(part, "AND") || has_top_level(part, "OR") || part.starts_with("NOT ")) return "NOT (" + part + ")";
  return "NOT " + part;
}

}  // namespace weir::observe
