#include "metrics/registry.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/result.h"

namespace weir::metrics {
namespace {

bool is_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || (quotes && c == '"')) out += '\\';
      out += c;
    }
  }
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char text[32];
    out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
  }
}

std::string label_text(const Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    CHECK(is_name(name));
    text += text.empty() ? '{' : ',';
    text += name;
    text += "=\"";
    append_escaped(text, value, true);
    text += '"';
  }
  return text.empty() ? text : text + '}';
}

}  // namespace

Value& Registry::counter(std::string_view name, std::string_view help, const Labels& labels) {
  return series(Kind::kCounter, name, help, labels);
}

Value& Registry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  return series(Kind::kGauge, name, help, labels);
}

Value& Registry::series(Kind kind, std::string_view name, std::string_view help, const Labels& labels) {
  CHECK(is_name(name));
  const std::string text = label_text(labels);
  const std::lock_guard lock(mutex_);
  auto family = families_.find(name);
  if (family == families_.end()) {
    family = families_.emplace(std::string(name), Family{kind, std::string(help), {}}).first;
  }
  CHECK(family->second.kind == kind);
  return family->second.series[text];
}

std::string Registry::text() const {
  std::string out;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, family] : families_) {
    out.append("# HELP ").append(name).append(" ");
    append_escaped(out, family.help, false);
    out.append("\n# TYPE ").append(name).append(family.kind == Kind::kCounter ? " counter\n" : " gauge\n");
    for (const auto& [labels, value] : family.series) {
      out.append(name).append(labels).append(" ");
      append_number(out, value.get());
      out += '\n';
    }
  }
  return out;
}

}  // namespace weir::metrics
