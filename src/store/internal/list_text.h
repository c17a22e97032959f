#pragma once

#include <string>
#include <string_view>
#include <vector>

/// Lists as the store keeps them: one text with each element between newlines, "\na\nb\n", so that a whole element is
/// found by a plain search and equal lists are one dictionary entry. A newline and a backslash in an element are "\n"
/// and "\\" (a backslash and a letter). The empty list is "\n"; an absent one is NULL.
namespace weir::store {

inline void append_list_element(std::string& list, std::string_view element) {
  if (list.empty()) list += '\n';
  for (const char c : element) {
    if (c == '\n') {
      list += "\\n";
    } else if (c == '\\') {
      list += "\\\\";
    } else {
      list += c;
    }
  }
  list += '\n';
}

/// Calls `visit(element)` until it says true; whether it did. `scratch` is for elements that were escaped.
template <typename Visit>
bool any_list_element(std::string_view list, std::string& scratch, Visit&& visit) {
  if (!list.empty()) list.remove_prefix(1);
  while (!list.empty()) {
    const std::size_t end = list.find('\n');
    std::string_view element = list.substr(0, end);
    list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
    if (element.find('\\') != std::string_view::npos) {
      scratch.clear();
      for (std::size_t at = 0; at < element.size(); ++at) {
        const bool escaped = element[at] == '\\' && at + 1 < element.size();
        if (escaped) ++at;
        scratch += escaped && element[at] == 'n' ? '\n' : element[at];
      }
      element = scratch;
    }
    if (visit(element)) return true;
  }
  return false;
}

inline std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> elements;
  std::string scratch;
  any_list_element(list, scratch, [&](std::string_view element) {
    elements.emplace_back(element);
    return false;
  });
  return elements;
}

}  // namespace weir::store
