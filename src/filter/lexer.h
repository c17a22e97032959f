#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::filter {

enum class TokenKind : std::uint8_t { kWord, kQuoted, kOperator, kEnd };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  /// kQuoted: without quotes and with `\"`, `\'` and `\\` resolved; other backslashes stand.
  std::string text;
  /// Where it begins, from 1, in bytes.
  std::size_t column = 1;

  bool is(std::string_view op) const { return kind == TokenKind::kOperator && text == op; }
  /// An unquoted word in any case; `upper` is upper-case.
  bool is_keyword(std::string_view upper) const;
};

/// `column N: message`.
Error error_at(std::size_t column, const std::string& message);

/// Splits a filter into tokens: words run up to a space or one of `=!<>~(){},"'`.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  /// After the last token: kEnd, again and again. Fails on a quote that is not closed.
  Result<Token> next();

 private:
  Result<Token> quoted(char quote);
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace weir::filter
