// Settings as text: YAML with where each value came from, and the documentation.

#include <algorithm>

#include "base/duration.h"
#include "base/json.h"
#include "config/internal/bounds_text.h"
#include "config/settings.h"

namespace weir::config {
namespace {

/// Bare where YAML has no second meaning for it, else in JSON's quotes, which are YAML's too.
std::string scalar_yaml(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '/';
  };
  const auto inside = [&](char c) { return plain(c) || c == '-' || c == '*' || c == '?'; };
  if (!text.empty() && plain(text.front()) && std::all_of(text.begin(), text.end(), inside)) return text;
  std::string quoted;
  json::append_string(quoted, text);
  return quoted;
}

struct YamlText {
  const Settings& settings;
  std::string operator()(bool Settings::*member) const { return settings.*member ? "true" : "false"; }
  std::string operator()(std::int64_t Settings::*member) const { return std::to_string(settings.*member); }
  std::string operator()(std::chrono::nanoseconds Settings::*member) const { return format_duration(settings.*member); }
  std::string operator()(std::string Settings::*member) const { return scalar_yaml(settings.*member); }
  std::string operator()(std::vector<std::string> Settings::*member) const {
    std::string text;
    for (const std::string& item : settings.*member) text.append(text.empty() ? "[" : ", ").append(scalar_yaml(item));
    return text.empty() ? "[]" : text + ']';
  }
};

struct DefaultText : YamlText {
  using YamlText::operator();
  std::string operator()(std::string Settings::*member) const {
    return (settings.*member).empty() ? "none" : settings.*member;
  }
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
  std::string words(row.choices);
  for (std::size_t bar; (bar = words.find('|')) != std::string::npos;) words.replace(bar, 1, ", ");
  if (std::holds_alternative<std::string Settings::*>(row.member)) return words.empty() ? std::string(row.item) : words;
  const std::string items = words.empty() ? std::string(row.item) + "s" : words;
  const std::string most = row.max > 0 ? ", at most " + number_text(row.max) : "";
  return "list of " + items + most;
}

}  // namespace

std::string option_yaml(const Settings& settings, const OptionRow& row) {
  return std::visit(YamlText{settings}, row.member);
}

std::vector<const OptionRow*> changed_options(const Settings& before, const Settings& after) {
  std::vector<const OptionRow*> changed;
  for (const OptionRow& row : option_table()) {
    if (std::visit([&](auto member) { return before.*member != after.*member; }, row.member)) changed.push_back(&row);
  }
  return changed;
}

std::string settings_yaml(const Settings& settings, const Origins& origins) {
  std::string text;
  std::string_view section;
  for (const OptionRow& row : option_table()) {
    if (row.section != section) {
      section = row.section;
      text.append(text.empty() ? "# " : "\n# ").append(section).append("\n");
    }
    const auto origin = origins.find(row.key);
    text.append(row.key).append(": ").append(option_yaml(settings, row)).append("  # ");
    text.append(origin == origins.end() ? "default" : origin->second).append("\n");
  }
  return text;
}

std::string configuration_markdown() {
  std::string text =
      "# Configuration\n\n"
      "An option is set, later ones winning, by its default, a YAML file (`--config FILE`, a flat mapping of keys to\n"
      "values), the environment (`WEIR_` and the key in capitals) or `--set KEY=VALUE`. Durations are written `300s`,\n"
      "`5m`, `1h30m`. This page is made from the option table in `src/config/option_table.cc`.\n\n"
      "`reload`: a running agent takes a change over on SIGHUP or when the file changes; `restart`: it must be "
      "started\n"
      "again. `weir config check` says what is wrong with a file, `weir config show` tells each value and where it "
      "came\n"
      "from, and `weir config import-felix` makes a file from a FelixConfiguration.\n";
  const Settings defaults;
  std::string_view section;
  for (const OptionRow& row : option_table()) {
    if (row.section != section) {
      section = row.section;
      text += "\n## " + std::string(section) +
              "\n\n| key | default | values | meaning | change | Felix name |\n|---|---|---|---|---|---|\n";
    }
    text += "| `" + std::string(row.key) + "` | " + std::visit(DefaultText{{defaults}}, row.member) + " | " +
            range_text(row) + " | " + std::string(row.doc) + " | " +
            (row.reload == Reload::kReload ? "reload" : "restart") + " | " +
            (row.felix.empty() ? "" : "`" + std::string(row.felix) + "`") + " |\n";
  }
  return text;
}

}  // namespace weir::config
