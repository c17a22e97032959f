#include "config/settings.h"

#include <algorithm>
#include <charconv>

#include "base/duration.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/socket_address.h"
#include "base/text.h"
#include "config/internal/bounds_text.h"
#include "config/internal/yaml_tree.h"

namespace weir::config {
namespace {

Error bad_value(const OptionRow& row, std::string_view text, const std::string& want) {
  return invalid_argument(std::string(row.key) + ": '" + std::string(text.substr(0, 60)) + "' is not " + want);
}

bool is_number_up_to(const std::string& text, unsigned min, unsigned max) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= min && number <= max;
}

bool is_word(std::string_view choices, std::string_view text) {
  while (!choices.empty()) {
    const std::size_t bar = std::min(choices.find('|'), choices.size());
    if (choices.substr(0, bar) == text) return true;
    choices.remove_prefix(std::min(bar + 1, choices.size()));
  }
  return false;
}

/// Characters that no YAML file may hold: C0 and C1 controls, the byte order mark, U+FFFE and U+FFFF.
bool has_controls(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
    if (byte(i) < 0x20 || byte(i) == 0x7F) return true;
    if (byte(i) == 0xC2 && byte(i + 1) >= 0x80 && byte(i + 1) <= 0x9F) return true;
    const unsigned mark = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    if (mark == 0xEFBBBF || mark == 0xEFBFBE || mark == 0xEFBFBF) return true;
  }
  return false;
}

/// Agents without TLS and tokens listen to their own node only.
Status check_address(const OptionRow& row, const std::string& text) {
  if (text == "off") return {};
  const Result<SocketAddress> address = SocketAddress::parse(text);
  if (!address.ok()) return invalid_argument(std::string(row.key) + ": " + address.error().message + ", or off");
  if (!address.value().is_loopback()) return bad_value(row, text, "a loopback address (127.0.0.1 or [::1])");
  return {};
}

/// Text, or one item of a list.
Status check_text(const OptionRow& row, const std::string& text) {
  const std::string_view kind = row.item;
  if (has_controls(text)) return bad_value(row, "?", "text without control characters");
  if (kind == "cidr" && !IpPrefix::parse(text).ok()) return bad_value(row, text, "a CIDR block");
  if (kind == "port" && !is_number_up_to(text, 1, 65535)) return bad_value(row, text, "a port number");
  if (kind == "group" && !is_number_up_to(text, 0, 65535)) return bad_value(row, text, "a group from 0 to 65535");
  if (kind == "address") return check_address(row, text);
  if (kind == "listen") {
    const Result<SocketAddress> address = SocketAddress::parse(text);
    if (!address.ok()) return invalid_argument(std::string(row.key) + ": " + address.error().message);
  }
  if (kind == "directory" && !text.starts_with('/')) return bad_value(row, text, "an absolute path");
  if (kind == "wildcard" && (text.empty() || text.find('/') != std::string::npos || text.size() > 60)) {
    return bad_value(row, text, "the name of an interface");
  }
  if (!row.choices.empty() && !is_word(row.choices, text)) {
    return bad_value(row, text, "one of " + std::string(row.choices));
  }
  return {};
}

Status assign_list(const OptionRow& row, std::vector<std::string>& out, std::vector<std::string> items) {
  for (const std::string& item : items) TRY(check_text(row, item));
  const auto count = static_cast<double>(items.size());
  if (count < row.min) return invalid_argument(std::string(row.key) + ": a value is missing");
  if (row.max > 0 && count > row.max) {
    return invalid_argument(std::string(row.key) + ": " + number_text(count) + " values, at most " +
                            number_text(row.max) + " are possible");
  }
  out = std::move(items);
  return {};
}

/// Filter expressions and destinations hold commas themselves: as text such a list has one item.
std::vector<std::string> split_list(const OptionRow& row, std::string_view text) {
  if (row.item == "filter" || row.item == "destination") return {std::string(text)};
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    items.emplace_back(trim(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

struct Assign {
  Settings& settings;
  const OptionRow& row;
  std::string_view text;

  Status operator()(bool Settings::*member) const {
    if (text != "true" && text != "false") return bad_value(row, text, "true or false");
    settings.*member = text == "true";
    return {};
  }
  Status operator()(std::int64_t Settings::*member) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const auto number = static_cast<double>(value);
    if (error != std::errc() || end != text.data() + text.size() || number < row.min || number > row.max) {
      return bad_value(row, text, "a number from " + number_text(row.min) + " to " + number_text(row.max));
    }
    settings.*member = value;
    return {};
  }
  Status operator()(std::chrono::nanoseconds Settings::*member) const {
    TRY_ASSIGN(const std::chrono::nanoseconds value, parse_duration(text));
    const double seconds = std::chrono::duration<double>(value).count();
    if (seconds < row.min || seconds > row.max) {
      return bad_value(row, text, "between " + seconds_text(row.min) + " and " + seconds_text(row.max));
    }
    settings.*member = value;
    return {};
  }
  Status operator()(std::string Settings::*member) const {
    std::string value(text);
    TRY(check_text(row, value));
    settings.*member = std::move(value);
    return {};
  }
  Status operator()(std::vector<std::string> Settings::*member) const {
    return assign_list(row, settings.*member, split_list(row, text));
  }
};

Status assign_yaml(Settings& settings, const OptionRow& row, const YamlNode& value) {
  if (value.type == YamlNode::Type::kList) {
    const auto* list = std::get_if<std::vector<std::string> Settings::*>(&row.member);
    if (list == nullptr) return invalid_argument(std::string(row.key) + ": one value is wanted, not a list");
    std::vector<std::string> items;
    for (const YamlNode& item : value.children) {
      if (item.type != YamlNode::Type::kScalar)
        return invalid_argument(std::string(row.key) + ": its items must be text");
      items.push_back(item.text);
    }
    return assign_list(row, settings.*(*list), std::move(items));
  }
  if (value.type != YamlNode::Type::kScalar) return invalid_argument(std::string(row.key) + ": a value is missing");
  return set_option(settings, row.key, value.text);
}

}  // namespace

Status set_option(Settings& settings, std::string_view key, std::string_view text) {
  const OptionRow* row = find_option(key);
  if (row == nullptr) return invalid_argument("unknown option '" + std::string(key.substr(0, 60)) + "'");
  return std::visit(Assign{settings, *row, text}, row->member);
}

Status load_settings_file(Settings& settings, const std::string& path, Origins* origins) {
  TRY_ASSIGN(const FileBytes file, FileBytes::open(path));
  return load_settings_text(settings, path, file.text(), origins);
}

Status load_settings_text(Settings& settings, const std::string& name, std::string_view text, Origins* origins) {
  TRY_ASSIGN(const std::vector<YamlNode> documents, read_yaml(name, text));
  if (documents.empty()) return {};
  if (documents.size() > 1) return invalid_argument(name + ": one YAML document is wanted");
  if (documents[0].type != YamlNode::Type::kMap) {
    return invalid_argument(name + ": a mapping of option names to values is wanted");
  }
  Origins seen;
  for (const YamlNode& entry : documents[0].children) {
    const std::string where = name + ":" + std::to_string(entry.line);
    const OptionRow* row = find_option(entry.key);
    if (row == nullptr) return invalid_argument(where + ": unknown option '" + entry.key.substr(0, 60) + "'");
    if (!seen.emplace(entry.key, where).second) return invalid_argument(where + ": " + entry.key + " is set twice");
    const Status status = assign_yaml(settings, *row, entry);
    if (!status.ok()) return invalid_argument(where + ": " + status.error().message);
  }
  if (origins != nullptr) {
    for (auto& [key, where] : seen) (*origins)[key] = where;
  }
  return {};
}

Status apply_environment(Settings& settings, const char* const* environment, Origins* origins) {
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    std::string_view entry = *environment;
    if (!entry.starts_with("WEIR_")) continue;
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    std::string key(entry.substr(5, equals - 5));
    std::transform(key.begin(), key.end(), key.begin(), lower_ascii);
    if (find_option(key) == nullptr) continue;
    const std::string where = "environment " + std::string(entry.substr(0, equals));
    const Status status = set_option(settings, key, entry.substr(equals + 1));
    if (!status.ok()) return invalid_argument(where + ": " + status.error().message);
    if (origins != nullptr) (*origins)[key] = where;
  }
  return {};
}

Status validate_for_agent(const Settings& settings) {
  const std::vector<std::string>& sources = settings.sources;
  if (sources.size() > 1 && std::find(sources.begin(), sources.end(), "auto") != sources.end()) {
    return invalid_argument("sources: auto stands alone, or the sources are named");
  }
  if (settings.flush_interval < std::chrono::seconds(1)) {
    return invalid_argument("flush_interval: an agent wants a window of at least 1s");
  }
  if (settings.drain_interval > settings.flush_interval) {
    return invalid_argument("drain_interval: " + format_duration(settings.drain_interval) +
                            " is longer than flush_interval, " + format_duration(settings.flush_interval));
  }
  return {};
}

}  // namespace weir::config
