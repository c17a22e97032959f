#include "filter/lexer.h"

namespace weir::filter {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";
constexpr std::string_view kWordEnds = " \t\r\n=!<>~(){},\"'";
constexpr std::string_view kPairs[] = {"!=", "<=", ">=", "=~", "!~", "=="};

char upper_case(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

bool Token::is_keyword(std::string_view upper) const {
  if (kind != TokenKind::kWord || text.size() != upper.size()) return false;
  for (std::size_t i = 0; i < upper.size(); ++i) {
    if (upper_case(text[i]) != upper[i]) return false;
  }
  return true;
}

Error error_at(std::size_t column, const std::string& message) {
  return invalid_argument("column " + std::to_string(column) + ": " + message);
}

Result<Token> Lexer::next() {
  at_ = std::min(text_.find_first_not_of(kSpaces, at_), text_.size());
  if (at_ == text_.size()) return Token{TokenKind::kEnd, "", at_ + 1};
  const std::size_t start = at_;
  const char c = text_[at_];
  if (c == '"' || c == '\'') return quoted(c);
  if (kWordEnds.find(c) == std::string_view::npos) {
    at_ = std::min(text_.find_first_of(kWordEnds, at_), text_.size());
    return Token{TokenKind::kWord, std::string(text_.substr(start, at_ - start)), start + 1};
  }
  for (const std::string_view pair : kPairs) {
    if (!text_.substr(at_).starts_with(pair)) continue;
    at_ += 2;
    return Token{TokenKind::kOperator, pair == "==" ? "=" : std::string(pair), start + 1};
  }
  ++at_;
  return Token{TokenKind::kOperator, std::string(1, c), start + 1};
}

Result<Token> Lexer::quoted(char quote) {
  Token token{TokenKind::kQuoted, "", at_ + 1};
  for (++at_; at_ < text_.size(); ++at_) {
    char c = text_[at_];
    if (c == quote) {
      ++at_;
      return token;
    }
    const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (c == '\\' && (next == '"' || next == '\'' || next == '\\')) {
      c = next;
      ++at_;
    }
    token.text += c;
  }
  return error_at(token.column, "the quote is not closed");
}

}  // namespace weir::filter
