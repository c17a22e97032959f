#include <algorithm>
#include <array>
#include <set>

#include "filter/filter.h"
#include "ship/destination.h"
#include "ship/internal/kinds.h"

namespace weir::ship {
namespace {

struct Kind {
  std::string_view name;
  bool wants_url;
  Result<std::unique_ptr<Destination>> (*make)(const DestinationSpec& spec);
};

/// A new destination is a row here.
constexpr std::array kKinds = {
    Kind{"weir", true, make_weir_server},
    Kind{"http", true, make_plain_http},
    Kind{"stdout", false, make_standard_output},
};

const Kind* find_kind(std::string_view name) {
  for (const Kind& kind : kKinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

/// Splits at blanks; a value may be quoted: filter='a b'.
Result<std::vector<std::string>> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool any = false;
  char quote = '\0';
  for (const char c : text) {
    if (quote != '\0') {
      if (c == quote) {
        quote = '\0';
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      any = true;
    } else if (c == ' ' || c == '\t') {
      if (any) words.push_back(std::move(word));
      word.clear();
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (quote != '\0') return invalid_argument(std::string("a ") + quote + " is not closed");
  if (any) words.push_back(std::move(word));
  return words;
}

bool is_name(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !text.empty() && text.size() <= 48 && std::all_of(text.begin(), text.end(), fits);
}

Status set_logs(std::vector<model::LogType>& logs, std::string_view value) {
  logs.clear();
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    const auto log = model::log_type_named(value.substr(0, comma));
    if (!log) return invalid_argument("types: '" + std::string(value.substr(0, comma)) + "' is no log (flows, dns, …)");
    if (std::find(logs.begin(), logs.end(), *log) == logs.end()) logs.push_back(*log);
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  if (logs.empty()) return invalid_argument("types: a log is missing");
  return {};
}

Status set_word(DestinationSpec& spec, std::string_view key, std::string value) {
  if (key == "types") return set_logs(spec.logs, value);
  const struct {
    std::string_view key;
    std::string* member;
  } texts[] = {{"name", &spec.name},        {"url", &spec.url},
               {"filter", &spec.filter},    {"token_file", &spec.token_file},
               {"ca_file", &spec.ca_file},  {"certificate_file", &spec.certificate_file},
               {"key_file", &spec.key_file}};
  for (const auto& text : texts) {
    if (text.key != key) continue;
    *text.member = std::move(value);
    return {};
  }
  return invalid_argument("unknown word '" + std::string(key) +
                          "' (there are name, url, types, filter, token_file, ca_file, certificate_file, key_file)");
}

Status check(const DestinationSpec& spec, const Kind& kind) {
  if (!is_name(spec.name)) return invalid_argument("name: '" + spec.name + "' is not of letters, digits, '-' and '_'");
  const bool http = spec.url.starts_with("http://") || spec.url.starts_with("https://");
  if (kind.wants_url && !http) return invalid_argument("url: http://… or https://… is wanted");
  if (!kind.wants_url && !spec.url.empty()) return invalid_argument("url: " + spec.kind + " has none");
  for (const model::LogType log : spec.logs) {
    if (spec.filter.empty()) break;
    const auto compiled = filter::Filter::compile(spec.filter, log);
    if (!compiled.ok()) {
      return invalid_argument("filter: " + compiled.error().message + " (for " + std::string(to_string(log)) +
                              "; types= says which logs are sent)");
    }
  }
  return {};
}

Result<DestinationSpec> parse(std::string_view text) {
  TRY_ASSIGN(std::vector<std::string> words, words_of(text));
  if (words.empty()) return invalid_argument("it is empty");
  // A URL alone is a Weir server's.
  if (words[0].starts_with("http://") || words[0].starts_with("https://")) {
    words[0].insert(0, "url=");
    words.insert(words.begin(), "weir");
  }
  const Kind* kind = find_kind(words[0]);
  if (kind == nullptr) return invalid_argument("unknown kind '" + words[0] + "' (there are weir, http, stdout)");
  DestinationSpec spec;
  spec.kind = spec.name = words[0];
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    if (equals == std::string::npos) return invalid_argument("'" + words[i] + "': key=value is wanted");
    TRY(set_word(spec, words[i].substr(0, equals), words[i].substr(equals + 1)));
  }
  TRY(check(spec, *kind));
  return spec;
}

}  // namespace

Result<DestinationSpec> parse_destination(std::string_view text) {
  Result<DestinationSpec> spec = parse(text);
  if (!spec.ok())
    return invalid_argument("destination '" + std::string(text.substr(0, 80)) + "': " + spec.error().message);
  return spec;
}

Result<std::vector<DestinationSpec>> parse_destinations(const std::vector<std::string>& texts) {
  std::vector<DestinationSpec> specs;
  std::set<std::string> names;
  for (const std::string& text : texts) {
    TRY_ASSIGN(DestinationSpec spec, parse_destination(text));
    if (!names.insert(spec.name).second) {
      return invalid_argument("destination '" + text.substr(0, 80) + "': another one is named '" + spec.name +
                              "' too; give it a name=");
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

Result<std::unique_ptr<Destination>> make_destination(const DestinationSpec& spec) {
  const Kind* kind = find_kind(spec.kind);
  CHECK(kind != nullptr);
  return kind->make(spec);
}

}  // namespace weir::ship
