#include "cluster/internal/field.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/rfc3339.h"
#include "model/connection.h"

namespace weir::cluster {
namespace {

constexpr std::size_t kShownText = 100;
/// Of one object.
constexpr std::size_t kMaxRemarks = 20;

}  // namespace

void Field::append_path(std::string& out) const {
  if (parent_ == nullptr) return;
  parent_->append_path(out);
  if (index_ != kNoIndex) {
    out += '[' + std::to_string(index_) + ']';
  } else if (name_.find_first_of("./") != std::string_view::npos) {
    out.append("[").append(name_.substr(0, kShownText)).append("]");
  } else {
    if (!out.empty()) out += '.';
    out += name_.substr(0, kShownText);
  }
}

void Field::fail(std::string_view what) const {
  if (failure_->failed()) return;
  append_path(failure_->message);
  if (!failure_->message.empty()) failure_->message += ": ";
  failure_->message += what;
}

void Field::fail_value(std::string_view what) const {
  if (!present()) return fail("is missing");
  std::string message = "'" + std::string(value_->text.substr(0, kShownText)) + "' is ";
  fail(message.append(what));
}

void Field::remark(std::string_view what) const {
  if (failure_->remarks.size() >= kMaxRemarks) return;
  std::string path;
  append_path(path);
  failure_->remarks.push_back(path.append(path.empty() ? "" : ": ").append(what));
}

void Field::adopt_remarks(FieldFailure& from) const {
  for (std::string& remark : from.remarks) {
    if (failure_->remarks.size() < kMaxRemarks) failure_->remarks.push_back(std::move(remark));
  }
}

Field Field::with(FieldFailure& failure) const {
  Field same = *this;
  same.failure_ = &failure;
  return same;
}

void Field::only(std::initializer_list<std::string_view> known) const {
  if (!present() || value_->type != Value::Type::kMap) return;
  each_member([&](std::string_view key, const Field& member) {
    if (std::find(known.begin(), known.end(), key) == known.end()) member.remark("is not known, and passed over");
  });
}

bool Field::is(Value::Type type, std::string_view noun) const {
  if (!present()) return false;
  if (value_->type == type) return true;
  fail("is not " + std::string(noun));
  return false;
}

Field Field::operator[](std::string_view name) const {
  const Value* child = is(Value::Type::kMap, "an object") ? value_->find(name) : nullptr;
  return {child, this, name, kNoIndex, failure_};
}

std::string_view Field::text() const {
  if (!present()) return {};
  if (value_->type == Value::Type::kList || value_->type == Value::Type::kMap) {
    fail("is not a string");
    return {};
  }
  return value_->text;
}

std::string_view Field::required_text() const {
  const std::string_view value = text();
  if (value.empty()) fail("is missing");
  return value;
}

bool Field::boolean(bool absent) const {
  if (!present()) return absent;
  const std::string_view value = text();
  if (value_->type == Value::Type::kPlain) {
    for (const char* yes : {"true", "True", "TRUE", "yes", "on"}) {
      if (value == yes) return true;
    }
    for (const char* no : {"false", "False", "FALSE", "no", "off"}) {
      if (value == no) return false;
    }
  }
  fail_value("not true or false");
  return absent;
}

std::optional<std::int64_t> Field::integer(std::int64_t lowest, std::int64_t highest, std::string_view noun) const {
  if (!present()) return std::nullopt;
  const std::string_view digits = text();
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failed == std::errc() && end == digits.data() + digits.size() && !digits.empty() && value >= lowest &&
      value <= highest) {
    return value;
  }
  fail_value("not " + std::string(noun));
  return std::nullopt;
}

std::uint16_t Field::port() const { return static_cast<std::uint16_t>(integer(1, 65535, "a port number").value_or(0)); }

std::uint8_t Field::protocol() const {
  const std::string_view name = text();
  if (name.empty() || name == "TCP") return model::kProtoTcp;
  if (name == "UDP") return model::kProtoUdp;
  if (name == "SCTP") return model::kProtoSctp;
  fail_value("not TCP, UDP or SCTP");
  return 0;
}

std::optional<IpAddress> Field::ip() const {
  const std::string_view value = text();
  if (value.empty()) return std::nullopt;
  auto parsed = IpAddress::parse(value);
  if (parsed.ok()) return parsed.value();
  fail_value("not an IP address");
  return std::nullopt;
}

std::optional<IpPrefix> Field::prefix() const {
  const std::string_view value = text();
  auto parsed = IpPrefix::parse(value);
  if (parsed.ok()) return parsed.value();
  if (present()) {
    fail_value("not an IP address range (CIDR)");
  } else {
    fail("is missing");
  }
  return std::nullopt;
}

std::int64_t Field::time_ns() const {
  const std::string_view value = text();
  if (value.empty()) return kNoTime;
  const auto parsed = parse_rfc3339(value);
  if (!parsed) fail_value("not a time (RFC 3339)");
  return parsed.value_or(kNoTime);
}

model::LabelSet Field::labels() const {
  model::LabelSet set;
  each_member([&](std::string_view key, const Field& value) {
    std::string pair(key);
    set.pairs.push_back(pair.append("=").append(value.text()));
  });
  std::sort(set.pairs.begin(), set.pairs.end());
  return set;
}

std::vector<std::string> Field::texts() const {
  std::vector<std::string> list;
  each_item([&](const Field& item) { list.emplace_back(item.text()); });
  return list;
}

std::optional<double> Field::number() const {
  if (!present()) return std::nullopt;
  const std::string_view digits = text();
  double value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failed == std::errc() && end == digits.data() + digits.size() && !digits.empty() && std::isfinite(value)) {
    return value;
  }
  fail_value("not a number");
  return std::nullopt;
}

std::optional<model::Selector> Field::selector() const {
  const std::string_view expression = text();
  if (expression.empty()) return std::nullopt;
  auto parsed = model::Selector::parse(expression);
  if (parsed.ok()) return std::move(parsed).value();
  fail_value("no selector: " + parsed.error().message);
  return std::nullopt;
}

void Field::add_ip_to(std::vector<IpAddress>& addresses) const {
  const auto address = ip();
  if (address && std::find(addresses.begin(), addresses.end(), *address) == addresses.end()) {
    addresses.push_back(*address);
  }
}

bool Field::is_number() const {
  if (!present() || value_->type != Value::Type::kPlain || value_->text.empty()) return false;
  return value_->text.find_first_not_of("0123456789") == std::string_view::npos ||
         (value_->text[0] == '-' && value_->text.size() > 1);
}

}  // namespace weir::cluster
