#include <set>

#include "api/internal/endpoints.h"
#include "base/json.h"
#include "base/text.h"

namespace weir::api {
namespace {

std::string_view method_name(http::Method method) {
  switch (method) {
    case http::Method::kGet:
      return "get";
    case http::Method::kHead:
      return "head";
    case http::Method::kPost:
      return "post";
    case http::Method::kPut:
      return "put";
    case http::Method::kDelete:
      return "delete";
    case http::Method::kOther:
      break;
  }
  return "get";
}

std::string_view schema_of(ParameterType type) {
  switch (type) {
    case ParameterType::kText:
      return R"({"type":"string"})";
    case ParameterType::kTime:
      return R"({"type":"string","examples":["2026-01-02T03:04:05Z","now-15m","1767323045"]})";
    case ParameterType::kInteger:
      return R"({"type":"integer","minimum":0})";
    case ParameterType::kBoolean:
      return R"({"type":"boolean"})";
    case ParameterType::kList:
      return R"({"type":"string","description":"comma-separated"})";
  }
  return "{}";
}

void append_parameter(std::string& out, std::string_view in, std::string_view name, std::string_view doc, bool required,
                      std::string_view schema) {
  if (out.back() != '[') out += ',';
  out += "{\"name\":";
  json::append_string(out, name);
  out += ",\"in\":";
  json::append_string(out, in);
  if (!doc.empty()) {
    out += ",\"description\":";
    json::append_string(out, doc);
  }
  out.append(required ? ",\"required\":true" : "").append(",\"schema\":").append(schema).append("}");
}

void append_operation(std::string& out, const Endpoint& endpoint) {
  json::append_string(out, method_name(endpoint.method));
  out += ":{\"summary\":";
  json::append_string(out, endpoint.summary);
  if (endpoint.role.empty()) out += ",\"security\":[]";
  out += ",\"parameters\":[";
  for (std::size_t at = endpoint.path.find('{'); at != std::string_view::npos; at = endpoint.path.find('{', at + 1)) {
    append_parameter(out, "path", endpoint.path.substr(at + 1, endpoint.path.find('}', at) - at - 1), "", true,
                     R"({"type":"string"})");
  }
  for (const Parameter& parameter : endpoint.parameters) {
    append_parameter(out, "query", parameter.name, parameter.doc, false, schema_of(parameter.type));
  }
  out += ']';
  if (endpoint.has_body) {
    out += R"(,"requestBody":{"content":{"application/x-ndjson":{"schema":{"type":"string"}}}})";
  }
  out += ",\"responses\":{\"200\":{\"description\":\"Done.\",\"content\":{";
  for (const std::string_view type : endpoint.answers) {
    if (out.back() != '{') out += ',';
    json::append_string(out, type);
    out += type == "application/json" ? R"(:{"schema":{"type":"object"}})" : R"(:{"schema":{"type":"string"}})";
  }
  out += R"(}},"default":{"description":"RFC 9457.","content":{"application/problem+json":{"schema":)"
         R"({"$ref":"#/components/schemas/Problem"}}}}}})";
}

std::string list_text(const std::vector<Parameter>& parameters) {
  std::string text;
  for (const Parameter& parameter : parameters) {
    text.append(text.empty() ? "`" : ", `").append(parameter.name).append("`");
  }
  return text;
}

void append_table(std::string& text, bool elastic) {
  text += "| method | path | role | parameters | meaning |\n|---|---|---|---|---|\n";
  for (const Endpoint& endpoint : endpoints()) {
    if (endpoint.elastic != elastic) continue;
    std::string method(method_name(endpoint.method));
    for (char& c : method) c = static_cast<char>(c - 32);
    text.append("| ").append(method).append(" | `").append(endpoint.path).append("` | ");
    text.append(endpoint.role.empty() ? "everybody" : endpoint.role).append(" | ");
    text.append(list_text(endpoint.parameters)).append(" | ").append(endpoint.summary).append(" |\n");
  }
}

}  // namespace

std::string openapi_json(const std::string& version) {
  std::string out = R"({"openapi":"3.1.0","info":{"title":"Weir","version":)";
  json::append_string(out, version);
  out += R"(},"security":[{"bearer":[]},{}],"paths":{)";
  std::set<std::string_view> done;
  for (const Endpoint& first : endpoints()) {
    if (!done.insert(first.path).second) continue;
    if (out.back() != '{') out += ',';
    json::append_string(out, first.path);
    out += ":{";
    for (const Endpoint& endpoint : endpoints()) {
      if (endpoint.path != first.path) continue;
      if (out.back() != '{') out += ',';
      append_operation(out, endpoint);
    }
    out += '}';
  }
  out +=
      R"(},"components":{"securitySchemes":{"bearer":{"type":"http","scheme":"bearer"}},"schemas":{"Problem":)"
      R"({"type":"object","properties":{"type":{"type":"string"},"title":{"type":"string"},"status":{"type":"integer"},)"
      R"("detail":{"type":"string"}},"required":["type","title","status","detail"]}}}})";
  return out + "\n";
}

std::string api_markdown() {
  std::string text;
  append_table(text, false);
  text += "\nTheir parameters:\n\n| parameter | meaning |\n|---|---|\n";
  std::set<std::pair<std::string_view, std::string_view>> done;
  for (const Endpoint& endpoint : endpoints()) {
    for (const Parameter& parameter : endpoint.parameters) {
      if (!done.insert({parameter.name, parameter.doc}).second) continue;
      text.append("| `").append(parameter.name).append("` | ").append(parameter.doc).append(" |\n");
    }
  }
  text += "\nWhat stands in for Elasticsearch:\n\n";
  append_table(text, true);
  return text;
}

}  // namespace weir::api
