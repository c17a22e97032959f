#include <simdjson.h>

#include <algorithm>
#include <array>

#include "ingest/bulk.h"

namespace weir::ingest {
namespace {

constexpr std::size_t kMaxActionBytes = 64 * 1024;

std::string_view next_line(std::string_view& rest) {
  const std::size_t newline = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, newline);
  rest.remove_prefix(std::min(newline + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool action_named(std::string_view name, BulkItem::Action& action) {
  const struct {
    std::string_view name;
    BulkItem::Action action;
  } names[] = {{"index", BulkItem::Action::kIndex},
               {"create", BulkItem::Action::kCreate},
               {"update", BulkItem::Action::kUpdate},
               {"delete", BulkItem::Action::kDelete}};
  for (const auto& known : names) {
    if (known.name == name) {
      action = known.action;
      return true;
    }
  }
  return false;
}

Status parse_action(simdjson::dom::parser& parser, std::string_view line, std::size_t number, BulkItem& item) {
  const std::string where = "line " + std::to_string(number) + ": ";
  if (line.size() > kMaxActionBytes) return invalid_argument(where + "too long for an action");
  simdjson::dom::element root;
  simdjson::dom::object object, meta;
  if (parser.parse(line.data(), line.size()).get(root) != simdjson::SUCCESS || root.get(object) != simdjson::SUCCESS ||
      object.size() != 1) {
    return invalid_argument(where + "an action such as {\"index\":{}} is wanted");
  }
  const auto entry = *object.begin();
  if (!action_named(entry.key, item.action)) {
    return invalid_argument(where + "unknown action '" + std::string(entry.key.substr(0, 40)) + "'");
  }
  if (entry.value.get(meta) != simdjson::SUCCESS) return invalid_argument(where + "the action is no object");
  std::string_view text;
  std::int64_t integer = 0;
  if (meta["_index"].get(text) == simdjson::SUCCESS) item.index = text;
  if (meta["_id"].get(text) == simdjson::SUCCESS) {
    item.id = text;
  } else if (meta["_id"].get(integer) == simdjson::SUCCESS) {
    item.id = std::to_string(integer);
  }
  return {};
}

}  // namespace

Result<std::vector<BulkItem>> parse_bulk(std::string_view body, std::string_view default_index) {
  std::vector<BulkItem> items;
  simdjson::dom::parser parser(kMaxActionBytes + simdjson::SIMDJSON_PADDING);
  std::size_t number = 0;
  while (!body.empty()) {
    const std::string_view line = next_line(body);
    ++number;
    if (line.empty()) continue;
    BulkItem item;
    item.index = default_index;
    TRY(parse_action(parser, line, number, item));
    if (item.action != BulkItem::Action::kDelete) {
      if (body.empty())
        return invalid_argument("line " + std::to_string(number) + ": the document of the action is missing");
      item.source = next_line(body);
      ++number;
    }
    items.push_back(std::move(item));
  }
  return items;
}

std::optional<model::LogType> log_of_index(std::string_view index) {
  for (const std::string_view prefix : {".ds-", "tigera_secure_ee_", "logs-", "weir-", "weir_", "weir."}) {
    if (index.starts_with(prefix)) index.remove_prefix(prefix.size());
  }
  const std::string_view word = index.substr(0, index.find_first_of("._-"));
  return model::log_type_named(word);
}

}  // namespace weir::ingest
