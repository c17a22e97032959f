#include <optional>
#include <string>
#include <utility>

#include "filter/expression.h"
#include "filter/field_words.h"
#include "filter/lexer.h"
#include "filter/test_values.h"

// expression := conjunction (OR conjunction)*
// conjunction := term (AND term)*
// term := NOT term | ( expression ) | field test
// test := [IS] [NOT] EMPTY | [NOT] IN { value, … } | NOTIN { value, … } | (= | !=) EMPTY | op value

namespace weir::filter {
namespace {

class Parser {
 public:
  Parser(std::string_view text, model::LogType log) : lexer_(text), log_(log) {}

  Result<Expression> parse() {
    TRY(advance());
    TRY_ASSIGN(Expression expression, disjunction(0));
    if (token_.kind != TokenKind::kEnd) {
      return unexpected("AND, OR or the end (a value with any of =!<>~(){}, must be quoted)");
    }
    return expression;
  }

 private:
  Status advance() {
    TRY_ASSIGN(Token next, lexer_.next());
    token_ = std::move(next);
    return {};
  }
  Error unexpected(const std::string& wanted) const {
    const std::string found = token_.kind == TokenKind::kEnd ? "the end" : "'" + token_.text + "'";
    return error_at(token_.column, "expected " + wanted + ", found " + found);
  }

  Result<Expression> disjunction(int depth) {
    return list(Expression::Kind::kOr, "OR", depth, [this](int d) { return conjunction(d); });
  }
  Result<Expression> conjunction(int depth) {
    return list(Expression::Kind::kAnd, "AND", depth, [this](int d) { return term(d); });
  }
  /// element (keyword element)*
  template <typename Element>
  Result<Expression> list(Expression::Kind kind, std::string_view keyword, int depth, Element&& element) {
    TRY_ASSIGN(Expression first, element(depth));
    if (!token_.is_keyword(keyword)) return first;
    Expression all;
    all.kind = kind;
    all.children.push_back(std::move(first));
    while (token_.is_keyword(keyword)) {
      TRY(advance());
      TRY_ASSIGN(Expression next, element(depth));
      all.children.push_back(std::move(next));
    }
    return all;
  }

  Result<Expression> term(int depth) {
    if (depth >= kMaxFilterDepth) {
      return error_at(token_.column, "more than " + std::to_string(kMaxFilterDepth) + " parentheses and NOTs deep");
    }
    if (token_.is_keyword("NOT")) {
      TRY(advance());
      TRY_ASSIGN(Expression inner, term(depth + 1));
      return negated(std::move(inner));
    }
    if (token_.is("(")) {
      TRY(advance());
      TRY_ASSIGN(Expression inner, disjunction(depth + 1));
      if (!token_.is(")")) return unexpected("AND, OR or )");
      TRY(advance());
      return inner;
    }
    return comparison();
  }

  Result<Expression> comparison() {
    if (token_.kind != TokenKind::kWord && token_.kind != TokenKind::kQuoted) return unexpected("a field");
    std::optional<Target> target = find_target(log_, token_.text);
    if (!target) {
      const std::string near = nearest_word(log_, token_.text);
      return error_at(token_.column, "unknown field '" + token_.text + "'" +
                                         (near.empty() ? std::string() : "; did you mean " + near + "?"));
    }
    TRY(advance());
    Expression expression;
    expression.test.target = std::move(*target);
    if (token_.kind == TokenKind::kWord) return word_test(std::move(expression));
    return operator_test(std::move(expression));
  }

  /// After the field: EMPTY, IN, NOTIN, and NOT before the first two.
  Result<Expression> word_test(Expression expression) {
    if (token_.is_keyword("IS")) TRY(advance());
    bool negate = token_.is_keyword("NOT");
    if (negate) TRY(advance());
    if (token_.is_keyword("EMPTY")) {
      TRY(advance());
      expression.test.op = Test::Op::kEmpty;
      return negate ? negated(std::move(expression)) : std::move(expression);
    }
    if (!negate && token_.is_keyword("NOTIN")) {
      negate = true;
    } else if (!token_.is_keyword("IN")) {
      return unexpected(negate ? "IN or EMPTY" : "= != < <= > >= =~ !~ IN, NOT IN or EMPTY");
    }
    TRY(advance());
    TRY(values(expression.test));
    return negate ? negated(std::move(expression)) : std::move(expression);
  }

  /// { value, value, … }
  Status values(Test& test) {
    if (!token_.is("{")) return unexpected("{");
    do {
      TRY(advance());
      TRY(value(test));
    } while (token_.is(","));
    if (!token_.is("}")) return unexpected(", or }");
    return advance();
  }

  Status value(Test& test) {
    if (token_.kind != TokenKind::kWord && token_.kind != TokenKind::kQuoted) return unexpected("a value");
    TRY(add_value(test, token_));
    return advance();
  }

  Result<Expression> operator_test(Expression expression) {
    static constexpr std::pair<std::string_view, Test::Op> kOps[] = {
        {"=", Test::Op::kAnyOf},           {"!=", Test::Op::kAnyOf},  {"=~", Test::Op::kRegex},
        {"!~", Test::Op::kRegex},          {"<", Test::Op::kLess},    {"<=", Test::Op::kLessOrEqual},
        {">=", Test::Op::kGreaterOrEqual}, {">", Test::Op::kGreater},
    };
    const Token op = token_;
    const auto* known =
        std::find_if(std::begin(kOps), std::end(kOps), [&](const auto& candidate) { return op.is(candidate.first); });
    if (known == std::end(kOps)) return unexpected("= != < <= > >= =~ !~ IN, NOT IN or EMPTY");
    Test& test = expression.test;
    test.op = known->second;
    const bool ordered = test.op != Test::Op::kAnyOf && test.op != Test::Op::kRegex;
    if (ordered && test.target.values != ValueClass::kNumber) {
      return error_at(op.column, std::string(name_of(test.target)) + " is not a number: compare it with = != =~ !~ IN");
    }
    TRY(advance());
    if (test.op == Test::Op::kAnyOf && token_.is_keyword("EMPTY")) {
      test.op = Test::Op::kEmpty;
      TRY(advance());
    } else if (test.op == Test::Op::kRegex) {
      if (token_.kind != TokenKind::kWord && token_.kind != TokenKind::kQuoted)
        return unexpected("a regular expression");
      TRY(set_regex(test, token_));
      TRY(advance());
    } else {
      TRY(value(test));
    }
    if (op.text.front() == '!') return negated(std::move(expression));
    return expression;
  }

  static Expression negated(Expression inner) {
    Expression expression;
    expression.kind = Expression::Kind::kNot;
    expression.children.push_back(std::move(inner));
    return expression;
  }

  Lexer lexer_;
  model::LogType log_;
  Token token_;
};

}  // namespace

Result<Expression> parse(std::string_view text, model::LogType log) {
  if (text.size() > kMaxFilterBytes) return error_at(1, "the filter is longer than 64 KiB");
  return Parser(text, log).parse();
}

}  // namespace weir::filter
