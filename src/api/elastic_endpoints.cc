#include <algorithm>
#include <set>

#include "api/internal/endpoints.h"
#include "base/clock.h"
#include "base/json.h"

// What clients and shippers of Elasticsearch ask before and while they send bulk requests. Nothing here is searched.

namespace weir::api {
namespace {

/// The release whose answers these are.
constexpr std::string_view kVersion = "8.13.4";

http::Answer elastic_json(std::string body, unsigned status = 200) {
  http::Answer answer = json_answer(std::move(body), status);
  // The official client refuses servers without it.
  answer.headers.emplace_back("X-Elastic-Product", "Elasticsearch");
  return answer;
}

http::Answer elastic_error(unsigned status, std::string_view type, std::string_view reason) {
  std::string cause = "{\"type\":";
  json::append_string(cause, type);
  cause += ",\"reason\":";
  json::append_string(cause, reason);
  std::string body = "{\"error\":{\"root_cause\":[" + cause + "}]," + cause.substr(1) + "},\"status\":";
  json::append_uint(body, status);
  http::Answer answer = elastic_json(body + "}", status);
  if (status == 429) answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

/// Which parts of a bulk answer a client wants: filter_path.
struct Wanted {
  bool took = true, errors = true, everything = true;
  std::set<std::string, std::less<>> item_fields;

  bool items() const { return everything || !item_fields.empty(); }
  bool field(std::string_view name) const { return everything || item_fields.contains(name); }
};

/// "errors,items.*.error,items.*.status"; what is not understood selects everything.
Wanted wanted_by(const http::Request& request) {
  Wanted wanted;
  const std::string* path = http::find_field(request.query, "filter_path");
  if (path == nullptr || path->empty()) return wanted;
  Wanted chosen{false, false, false, {}};
  for (std::string_view rest = *path; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view part = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    if (part == "took") {
      chosen.took = true;
    } else if (part == "errors") {
      chosen.errors = true;
    } else if (part.starts_with("items.*.") && part.size() > 8 && part[8] != '*') {
      const std::string_view field = part.substr(8);
      chosen.item_fields.emplace(field.substr(0, field.find('.')));
    } else {
      return wanted;
    }
  }
  return chosen;
}

std::string_view action_name(ingest::BulkItem::Action action) {
  switch (action) {
    case ingest::BulkItem::Action::kIndex:
      return "index";
    case ingest::BulkItem::Action::kCreate:
      return "create";
    case ingest::BulkItem::Action::kUpdate:
      return "update";
    case ingest::BulkItem::Action::kDelete:
      return "delete";
  }
  return "index";
}

/// Appends `"name":` behind a comma if the object has a member already.
void key(std::string& out, std::string_view name) {
  if (out.back() != '{') out += ',';
  json::append_string(out, name);
  out += ':';
}

/// False: nothing of it is wanted, and nothing was appended.
bool append_item(std::string& out, const ingest::BulkItem& item, const std::string& generated_id,
                 const Wanted& wanted) {
  const bool failed = !item.error_type.empty();
  std::string body = "{";
  const auto text = [&](std::string_view name, std::string_view value) {
    if (!wanted.field(name)) return;
    key(body, name);
    json::append_string(body, value);
  };
  const auto number = [&](std::string_view name, std::uint64_t value) {
    if (!wanted.field(name)) return;
    key(body, name);
    json::append_uint(body, value);
  };
  text("_index", item.index);
  text("_id", item.id.empty() ? generated_id : item.id);
  if (!failed) {
    number("_version", 1);
    text("result", item.status == 200 ? "updated" : "created");
    if (wanted.field("_shards")) {
      key(body, "_shards");
      body += R"({"total":1,"successful":1,"failed":0})";
    }
    number("_seq_no", 0);
    number("_primary_term", 1);
  }
  number("status", item.status);
  if (failed && wanted.field("error")) {
    key(body, "error");
    body += "{\"type\":";
    json::append_string(body, item.error_type);
    body += ",\"reason\":";
    json::append_string(body, item.error_reason);
    body += ",\"index\":";
    json::append_string(body, item.index);
    body += '}';
  }
  if (body.size() == 1) return false;
  out += '{';
  json::append_string(out, action_name(item.action));
  out.append(":").append(body).append("}}");
  return true;
}

std::string bulk_json(const std::vector<ingest::BulkItem>& items, std::int64_t took_ms, const Wanted& wanted) {
  const bool errors =
      std::any_of(items.begin(), items.end(), [](const auto& item) { return !item.error_type.empty(); });
  std::string out = "{";
  if (wanted.took) {
    key(out, "took");
    json::append_int(out, took_ms);
  }
  if (wanted.errors) {
    key(out, "errors");
    out += errors ? "true" : "false";
  }
  if (!wanted.items()) return out + "}";
  const std::string stamp = std::to_string(clock_ns(CLOCK_REALTIME));
  std::string list;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t before = list.size();
    if (before > 0) list += ',';
    if (!append_item(list, items[i], stamp + "-" + std::to_string(i), wanted)) list.resize(before);
  }
  if (wanted.everything || !list.empty()) {
    key(out, "items");
    out.append("[").append(list).append("]");
  }
  return out + "}";
}

}  // namespace

http::Answer post_bulk(Context& context, const http::Request& request) {
  const std::int64_t begin = clock_ns(CLOCK_MONOTONIC);
  const Result<std::string> body = plain_body(context, request);
  if (!body.ok()) {
    const bool large = body.error().code == ErrorCode::kResourceExhausted;
    return elastic_error(large ? 413 : 400, "parse_exception", body.error().message);
  }
  Result<std::vector<ingest::BulkItem>> items = ingest::parse_bulk(body.value(), request.parameter("index"));
  if (!items.ok()) return elastic_error(400, "illegal_argument_exception", items.error().message);
  if (items.value().empty()) return elastic_error(400, "parse_exception", "request body is required");
  context.deps.bulk.store_items(items.value());
  const auto& done = items.value();
  const auto rejected = [](const ingest::BulkItem& item) { return item.status == 429; };
  if (std::all_of(done.begin(), done.end(), rejected)) {
    return elastic_error(429, "es_rejected_execution_exception", done.front().error_reason);
  }
  return elastic_json(bulk_json(done, (clock_ns(CLOCK_MONOTONIC) - begin) / 1'000'000, wanted_by(request)));
}

http::Answer get_root(Context& context, const http::Request&) {
  std::string body = R"({"name":"weir","cluster_name":"weir","cluster_uuid":"weir","version":{"number":")";
  body.append(kVersion);
  body += R"(","build_flavor":"default","build_type":"deb","build_hash":"weir-)" + context.options.version +
          R"(","build_date":"2024-01-01T00:00:00Z","build_snapshot":false,"lucene_version":"9.10.0",)"
          R"("minimum_wire_compatibility_version":"7.17.0","minimum_index_compatibility_version":"7.0.0"},)"
          R"("tagline":"You Know, for Search"})";
  return elastic_json(body);
}

http::Answer get_cluster_health(Context&, const http::Request&) {
  return elastic_json(
      R"({"cluster_name":"weir","status":"green","timed_out":false,"number_of_nodes":1,"number_of_data_nodes":1,)"
      R"("active_primary_shards":1,"active_shards":1,"relocating_shards":0,"initializing_shards":0,)"
      R"("unassigned_shards":0,"delayed_unassigned_shards":0,"number_of_pending_tasks":0,)"
      R"("number_of_in_flight_fetch":0,"task_max_waiting_in_queue_millis":0,"active_shards_percent_as_number":100.0})");
}

http::Answer get_license(Context&, const http::Request&) {
  return elastic_json(
      R"({"license":{"status":"active","uid":"weir","type":"basic","mode":"basic","issue_date_in_millis":0,)"
      R"("issued_to":"weir","issuer":"weir","max_nodes":1000}})");
}

http::Answer get_xpack(Context&, const http::Request&) {
  return elastic_json(R"({"license":{"uid":"weir","type":"basic","mode":"basic","status":"active"},)"
                      R"("features":{"ilm":{"available":false,"enabled":false}}})");
}

/// Those that hold a log are there.
http::Answer get_index(Context&, const http::Request& request) {
  const std::string_view index = request.parameter("index");
  if (!ingest::log_of_index(index)) {
    return elastic_error(404, "index_not_found_exception", "no such index [" + std::string(index) + "]");
  }
  std::string body = "{";
  json::append_string(body, index);
  return elastic_json(body + R"(:{"aliases":{},"mappings":{},"settings":{}}})");
}

/// Templates, policies and pipelines: the store has its own idea of fields and retention.
http::Answer put_accepted(Context&, const http::Request& request) {
  std::string body = R"({"acknowledged":true)";
  if (const std::string_view index = request.parameter("index"); !index.empty()) {
    body += ",\"shards_acknowledged\":true,\"index\":";
    json::append_string(body, index);
  }
  return elastic_json(body + "}");
}

/// As if it had been put before, so that nobody tries again and again.
http::Answer get_accepted(Context&, const http::Request&) { return elastic_json("{}"); }

}  // namespace weir::api
