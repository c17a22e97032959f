#include "http/message.h"

#include "base/json.h"
#include "base/text.h"

namespace weir::http {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = lower_ascii(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

const std::string* find_field(const Fields& fields, std::string_view name) {
  for (const auto& [key, value] : fields) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string_view Request::header(std::string_view name) const {
  const std::string* value = find_field(headers, name);
  return value == nullptr ? std::string_view() : *value;
}

std::string_view Request::parameter(std::string_view name) const {
  const std::string* value = find_field(parameters, name);
  return value == nullptr ? std::string_view() : *value;
}

std::string_view reason_of(unsigned status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Cancelled";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Error";
  }
}

Answer problem(unsigned status, std::string_view detail) {
  Answer answer;
  answer.status = status;
  answer.content_type = "application/problem+json";
  std::string& body = answer.body;
  body = R"({"type":"about:blank","title":)";
  json::append_string(body, reason_of(status));
  body += ",\"status\":";
  json::append_uint(body, status);
  body += ",\"detail\":";
  json::append_string(body, detail);
  body += "}\n";
  return answer;
}

bool decode_percent(std::string_view text, bool plus, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = high < 0 ? -1 : hex_value(text[i + 2]);
      if (low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (plus && c == '+') {
      c = ' ';
    }
    if (c == '\0') return false;
    out += c;
  }
  return true;
}

bool parse_target(std::string_view target, std::string& path, Fields& query) {
  query.clear();
  // The absolute form that proxies get, RFC 9112 3.2.2.
  if (target.starts_with("http://") || target.starts_with("https://")) {
    target.remove_prefix(target.find("//") + 2);
    const std::size_t slash = target.find('/');
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  const std::size_t mark = std::min(target.find('?'), target.size());
  if (!decode_percent(target.substr(0, mark), false, path) || !path.starts_with('/')) return false;
  std::string_view rest = mark < target.size() ? target.substr(mark + 1) : std::string_view();
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    std::string name, value;
    if (!decode_percent(pair.substr(0, equals), true, name)) return false;
    if (equals < pair.size() && !decode_percent(pair.substr(equals + 1), true, value)) return false;
    query.emplace_back(std::move(name), std::move(value));
  }
  return true;
}

}  // namespace weir::http
