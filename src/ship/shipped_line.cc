#include <charconv>

#include "base/json.h"
#include "ship/destination.h"

namespace weir::ship {
namespace {

/// The digits behind `"end_time":`; empty if they are not there. Our lines begin with the times.
std::string_view end_time_of(std::string_view line) {
  constexpr std::string_view kKey = "\"end_time\":";
  const std::size_t at = line.find(kKey);
  if (at == std::string_view::npos) return {};
  std::size_t begin = at + kKey.size();
  while (begin < line.size() && line[begin] == ' ') ++begin;
  std::size_t end = begin;
  while (end < line.size() && line[end] >= '0' && line[end] <= '9') ++end;
  return line.substr(begin, end - begin);
}

/// As a key anywhere: a line that has one in a nested object only is sent without ours.
bool has_key(std::string_view line, std::string_view quoted) {
  for (std::size_t at = line.find(quoted); at != std::string_view::npos; at = line.find(quoted, at + 1)) {
    std::size_t after = at + quoted.size();
    while (after < line.size() && line[after] == ' ') ++after;
    if (after < line.size() && line[after] == ':') return true;
  }
  return false;
}

}  // namespace

void append_shipped_line(std::string& out, std::string_view line, std::string_view host, model::LogType log) {
  if (!line.starts_with('{')) {
    out += line;
    return;
  }
  const std::size_t begin = out.size();
  out += '{';
  if (!has_key(line, "\"host\"")) {
    out += "\"host\":";
    json::append_string(out, host);
    out += ',';
  }
  const std::string_view end_time = log == model::LogType::kFlows ? end_time_of(line) : std::string_view();
  if (!end_time.empty() && !has_key(line, "\"@timestamp\"")) {
    out.append("\"@timestamp\":").append(end_time).append("000,");
  }
  const std::string_view rest = line.substr(1);
  // An empty object has no comma before its end.
  if (out.size() > begin + 1 && rest.find_first_not_of(" \t") == rest.find('}')) out.pop_back();
  out += rest;
}

}  // namespace weir::ship
