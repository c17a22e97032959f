#include "packet/forwarded.h"

#include <algorithm>

#include "base/text.h"

namespace weir::packet {
namespace {

/// Calls `visit(part)` for the parts between separators that stand outside quotes.
template <typename Visit>
void for_each_part(std::string_view text, char separator, Visit&& visit) {
  bool quoted = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '"') quoted = !quoted;
    if (i == text.size() || (text[i] == separator && !quoted)) {
      visit(trim(text.substr(start, i - start)));
      start = i + 1;
    }
  }
}

void add(std::string_view text, std::vector<IpAddress>& out) {
  if (const auto address = parse_forwarded_address(text)) out.push_back(*address);
}

void add_forwarded(std::string_view line, std::vector<IpAddress>& out) {
  for_each_part(line, ',', [&](std::string_view element) {
    for_each_part(element, ';', [&](std::string_view pair) {
      const std::size_t equals = pair.find('=');
      if (equals != std::string_view::npos && equal_ignoring_case(trim(pair.substr(0, equals)), "for"))
        add(pair.substr(equals + 1), out);
    });
  });
}

IpAddress choose(std::span<const IpAddress> list, const XffRule& rule) {
  if (list.empty()) return {};
  switch (rule.choose) {
    case XffRule::Choose::kLeftmost:
      return list.front();
    case XffRule::Choose::kIndex:
      return rule.index < list.size() ? list[list.size() - 1 - rule.index] : IpAddress();
    case XffRule::Choose::kRightmostUntrusted:
      break;
  }
  const auto trusted = [&](const IpAddress& ip) {
    return std::any_of(rule.trusted_proxies.begin(), rule.trusted_proxies.end(),
                       [&](const IpPrefix& prefix) { return prefix.contains(ip); });
  };
  for (std::size_t i = list.size(); i-- > 0;) {
    if (!trusted(list[i])) return list[i];
  }
  return list.front();
}

}  // namespace

std::optional<IpAddress> parse_forwarded_address(std::string_view text) {
  text = trim(text);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = trim(text.substr(1, text.size() - 2));
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    text = text.substr(1, close - 1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    text = text.substr(0, text.find(':'));
  }
  auto address = IpAddress::parse(text);
  if (!address.ok()) return std::nullopt;
  return address.value();
}

IpAddress original_client(const HttpHead& head, const XffRule& rule) {
  std::vector<IpAddress> list;
  for (const std::string_view line : head.x_forwarded_for) {
    for_each_part(line, ',', [&](std::string_view entry) { add(entry, list); });
  }
  if (list.empty()) {
    if (const auto address = parse_forwarded_address(head.x_real_ip)) return *address;
    for (const std::string_view line : head.forwarded) add_forwarded(line, list);
  }
  return choose(list, rule);
}

}  // namespace weir::packet
