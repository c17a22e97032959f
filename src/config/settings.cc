#include "config/settings.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/duration.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/text.h"

namespace weir::config {
namespace {

const OptionRow* find_row(std::string_view key) {
  for (const OptionRow& row : option_table()) {
    if (row.key == key) return &row;
  }
  return nullptr;
}

std::string number_text(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr};
}

std::string seconds_text(double seconds) {
  return format_duration(std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9)));
}

Error bad_value(const OptionRow& row, std::string_view text, const std::string& want) {
  return invalid_argument(std::string(row.key) + ": '" + std::string(text.substr(0, 60)) + "' is not " + want);
}

Status check_item(const OptionRow& row, const std::string& item) {
  if (row.item == "cidr" && !IpPrefix::parse(item).ok()) return bad_value(row, item, "a CIDR block");
  if (row.item == "port") {
    unsigned port = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), port);
    if (error != std::errc() || end != item.data() + item.size() || port == 0 || port > 65535) {
      return bad_value(row, item, "a port number");
    }
  }
  return {};
}

Status assign_list(const OptionRow& row, std::vector<std::string>& out, std::vector<std::string> items) {
  for (const std::string& item : items) TRY(check_item(row, item));
  out = std::move(items);
  return {};
}

/// Filter expressions hold commas themselves: as text such a list has one item.
std::vector<std::string> split_list(const OptionRow& row, std::string_view text) {
  if (row.item == "filter") return {std::string(text)};
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    items.emplace_back(item);
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
    std::string_view rest = row.choices;
    while (!rest.empty()) {
      const std::size_t bar = std::min(rest.find('|'), rest.size());
      if (rest.substr(0, bar) == text) {
        settings.*member = std::string(text);
        return {};
      }
      rest.remove_prefix(std::min(bar + 1, rest.size()));
    }
    return bad_value(row, text, "one of " + std::string(row.choices));
  }
  Status operator()(std::vector<std::string> Settings::*member) const {
    return assign_list(row, settings.*member, split_list(row, text));
  }
};

Status assign_yaml(Settings& settings, const OptionRow& row, const YAML::Node& value) {
  if (value.IsSequence()) {
    const auto* list = std::get_if<std::vector<std::string> Settings::*>(&row.member);
    if (list == nullptr) return invalid_argument(std::string(row.key) + ": one value is wanted, not a list");
    std::vector<std::string> items;
    for (const YAML::Node& item : value) {
      if (!item.IsScalar()) return invalid_argument(std::string(row.key) + ": its items must be text");
      items.push_back(item.Scalar());
    }
    return assign_list(row, settings.*(*list), std::move(items));
  }
  if (!value.IsScalar()) return invalid_argument(std::string(row.key) + ": a value is missing");
  return set_option(settings, row.key, value.Scalar());
}

Status load_yaml(Settings& settings, const std::string& path, const std::string& text) {
  const YAML::Node root = YAML::Load(text);
  if (root.IsNull()) return {};
  if (!root.IsMap()) return invalid_argument(path + ": a mapping of option names to values is wanted");
  for (const auto& entry : root) {
    const std::string where = path + ":" + std::to_string(entry.first.Mark().line + 1) + ": ";
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
    const OptionRow* row = find_row(key);
    if (row == nullptr) return invalid_argument(where + "unknown option '" + key + "'");
    const Status status = assign_yaml(settings, *row, entry.second);
    if (!status.ok()) return invalid_argument(where + status.error().message);
  }
  return {};
}

struct DefaultText {
  const Settings& settings;
  std::string operator()(bool Settings::*member) const { return settings.*member ? "true" : "false"; }
  std::string operator()(std::int64_t Settings::*member) const { return std::to_string(settings.*member); }
  std::string operator()(std::chrono::nanoseconds Settings::*member) const { return format_duration(settings.*member); }
  std::string operator()(std::string Settings::*member) const { return settings.*member; }
  std::string operator()(std::vector<std::string> Settings::*member) const {
    std::string text;
    for (const std::string& item : settings.*member) text.append(text.empty() ? "" : ", ").append(item);
    return text.empty() ? "none" : text;
  }
};

std::string range_text(const OptionRow& row) {
  if (std::holds_alternative<bool Settings::*>(row.member)) return "true, false";
  if (std::holds_alternative<std::int64_t Settings::*>(row.member)) {
    return number_text(row.min) + " to " + number_text(row.max);
  }
  if (std::holds_alternative<std::chrono::nanoseconds Settings::*>(row.member)) {
    return seconds_text(row.min) + " to " + seconds_text(row.max);
  }
  if (!row.choices.empty()) {
    std::string text(row.choices);
    std::replace(text.begin(), text.end(), '|', ',');
    return text;
  }
  return "list of " + std::string(row.item) + "s";
}

}  // namespace

Status set_option(Settings& settings, std::string_view key, std::string_view text) {
  const OptionRow* row = find_row(key);
  if (row == nullptr) return invalid_argument("unknown option '" + std::string(key.substr(0, 60)) + "'");
  return std::visit(Assign{settings, *row, text}, row->member);
}

Status load_settings_file(Settings& settings, const std::string& path) {
  TRY_ASSIGN(const FileBytes file, FileBytes::open(path));
  constexpr std::size_t kMaxBytes = 1 << 20;
  if (file.text().size() > kMaxBytes) return invalid_argument(path + ": a configuration file of over 1 MiB");
  try {
    return load_yaml(settings, path, std::string(file.text()));
  } catch (const YAML::Exception& error) {
    return invalid_argument(path + ":" + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
}

Status apply_environment(Settings& settings, const char* const* environment) {
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    std::string_view entry = *environment;
    if (!entry.starts_with("WEIR_")) continue;
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    std::string key(entry.substr(5, equals - 5));
    std::transform(key.begin(), key.end(), key.begin(), lower_ascii);
    if (find_row(key) == nullptr) continue;
    const Status status = set_option(settings, key, entry.substr(equals + 1));
    if (!status.ok())
      return invalid_argument("environment " + std::string(entry.substr(0, equals)) + ": " + status.error().message);
  }
  return {};
}

std::string configuration_markdown() {
  std::string text =
      "# Configuration\n\n"
      "An option is set, later ones winning, by its default, a YAML file (`--config FILE`, a flat mapping of keys to\n"
      "values), the environment (`WEIR_` and the key in capitals) or `--set KEY=VALUE`. Durations are written `300s`,\n"
      "`5m`, `1h30m`. This page is made from the option table in `src/config/option_table.cc`.\n";
  const Settings defaults;
  std::string_view section;
  for (const OptionRow& row : option_table()) {
    if (row.section != section) {
      section = row.section;
      text += "\n## " + std::string(section) +
              "\n\n| key | default | values | meaning | Felix name |\n|---|---|---|---|---|\n";
    }
    text += "| `" + std::string(row.key) + "` | " + std::visit(DefaultText{defaults}, row.member) + " | " +
            range_text(row) + " | " + std::string(row.doc) + " | " +
            (row.felix.empty() ? "" : "`" + std::string(row.felix) + "`") + " |\n";
  }
  return text;
}

}  // namespace weir::config
