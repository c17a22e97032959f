#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <variant>

/// What can fail on input, disk, kernel or network returns Result<T>, or Status where there is no value.
namespace weir {

enum class ErrorCode {
  kInvalidArgument,
  kNotFound,
  kPermissionDenied,
  kUnavailable,
  kResourceExhausted,
  kDataLoss,
  kUnsupported,
  kCancelled,
  kInternal,
};

/// What went wrong, where, and what to do, in one line for a person: "open /x: No such file or directory".
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): `return value;` and `return Error{...};` are the point.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  Error& error() { return std::get<1>(state_); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  // NOLINTNEXTLINE(google-explicit-constructor)
  Status(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  Error& error() { return *error_; }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

inline Error invalid_argument(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }
inline Error data_loss(std::string message) { return {ErrorCode::kDataLoss, std::move(message)}; }

}  // namespace weir

#define WEIR_CONCAT_INNER(a, b) a##b
#define WEIR_CONCAT(a, b) WEIR_CONCAT_INNER(a, b)

/// Returns the Error of a failed Result or Status to our caller.
#define TRY(expression)                                                   \
  do {                                                                    \
    auto weir_try_result = (expression);                                  \
    if (!weir_try_result.ok()) return std::move(weir_try_result).error(); \
  } while (false)

/// Declares `declaration` with the value of `expression`, or returns its Error to our caller.
#define TRY_ASSIGN(declaration, expression)                                                               \
  auto WEIR_CONCAT(weir_try_, __LINE__) = (expression);                                                   \
  if (!WEIR_CONCAT(weir_try_, __LINE__).ok()) return std::move(WEIR_CONCAT(weir_try_, __LINE__)).error(); \
  declaration = std::move(WEIR_CONCAT(weir_try_, __LINE__)).value()

/// For bugs, never for input.
#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)
