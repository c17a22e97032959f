#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "cluster/internal/document.h"
#include "cluster/objects.h"
#include "model/labels.h"
#include "model/selector.h"

namespace weir::cluster {

/// The first thing found wrong in an object: "spec.ports[0].port: 'x' is not a port number".
struct FieldFailure {
  std::string message;
  /// What its owner should know of, though it can be read: "spec.ingress[0].form: is not known, and passed over".
  std::vector<std::string> remarks;
  bool failed() const { return !message.empty(); }
};

/// A field of an object under its path: reads values with the types the API gives them.
///
/// A field that is absent and one that is null are the same, as in the API. Reading what has the wrong type records
/// the failure (the first one stays) and yields an empty value, so that a reader looks at the failure once, at its end.
/// A Field borrows its parent and must not outlive it.
class Field {
 public:
  Field(const Value& object, FieldFailure& failure) : value_(&object), failure_(&failure) {}

  /// Only if present().
  const Value& value() const { return *value_; }
  bool present() const { return value_ != nullptr && value_->type != Value::Type::kNull; }

  /// A member of an object; an absent one of an absent object.
  Field operator[](std::string_view name) const;

  /// Calls `use` with each item of a list.
  template <typename Use>
  void each_item(Use use) const {
    if (!is(Value::Type::kList, "a list")) return;
    for (std::uint32_t i = 0; i < value_->count; ++i) use(Field(&value_->children[i], this, {}, i, failure_));
  }
  /// Calls `use` with the key and the field of each member of an object.
  template <typename Use>
  void each_member(Use use) const {
    if (!is(Value::Type::kMap, "an object")) return;
    for (std::uint32_t i = 0; i < value_->count; ++i) {
      const std::string_view key = value_->children[2 * i].text;
      use(key, Field(&value_->children[2 * i + 1], this, key, kNoIndex, failure_));
    }
  }

  /// The text as written, also of a number or boolean; empty if absent.
  std::string_view text() const;
  /// As text(), but fails if it is empty.
  std::string_view required_text() const;
  bool boolean(bool absent) const;
  std::optional<std::int64_t> integer(std::int64_t lowest, std::int64_t highest, std::string_view noun) const;
  /// 1 to 65535; 0 if absent.
  std::uint16_t port() const;
  /// TCP, UDP or SCTP as its IP number; TCP if absent.
  std::uint8_t protocol() const;
  std::optional<IpAddress> ip() const;
  std::optional<IpPrefix> prefix() const;
  /// RFC 3339; kNoTime if absent.
  std::int64_t time_ns() const;
  /// A map of strings, sorted.
  model::LabelSet labels() const;
  std::vector<std::string> texts() const;
  /// A finite number with or without a fraction.
  std::optional<double> number() const;
  /// A Calico selector; nullopt if it is absent or empty text.
  std::optional<model::Selector> selector() const;
  /// Appends the address, if there is one and it is none of `addresses` yet.
  void add_ip_to(std::vector<IpAddress>& addresses) const;

  bool is_number() const;
  /// Remarks on each member of an object that is none of `known`.
  void only(std::initializer_list<std::string_view> known) const;
  void remark(std::string_view what) const;
  /// The same field, whose failures and remarks go elsewhere.
  Field with(FieldFailure& failure) const;
  /// Those of fields that were read `with` it.
  void adopt_remarks(FieldFailure& from) const;
  void fail(std::string_view what) const;
  /// "'x' is not …".
  void fail_value(std::string_view what) const;

 private:
  static constexpr std::uint32_t kNoIndex = 0xFFFFFFFF;
  Field(const Value* value, const Field* parent, std::string_view name, std::uint32_t index, FieldFailure* failure)
      : value_(value), parent_(parent), name_(name), index_(index), failure_(failure) {}

  /// Whether it is there and of the type; what is there with another type fails.
  bool is(Value::Type type, std::string_view noun) const;
  void append_path(std::string& out) const;

  const Value* value_ = nullptr;
  const Field* parent_ = nullptr;
  std::string_view name_;
  std::uint32_t index_ = kNoIndex;
  FieldFailure* failure_;
};

}  // namespace weir::cluster
