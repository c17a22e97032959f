#include "model/selector.h"

#include <algorithm>
#include <optional>

namespace weir::model {
namespace {

using Kind = Selector::Kind;
using Node = Selector::Node;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_label_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '/' || c == '-';
}

/// Reads the text once from left to right:
///   or := and { "||" and }     and := operation { "&&" operation }     operation := { "!" } ( call | comparison | "("
///   or ")" )
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Node> parse() {
    skip_blanks();
    if (at_end()) return Node();
    TRY_ASSIGN(Node root, parse_either(0));
    if (!at_end()) return error("expected '&&', '||' or the end, not " + what_is_here());
    return root;
  }

 private:
  Result<Node> parse_either(int depth) {
    return parse_chain(Kind::kOr, "||",
                       [&] { return parse_chain(Kind::kAnd, "&&", [&] { return parse_operation(depth); }); });
  }

  template <typename ParsePart>
  Result<Node> parse_chain(Kind kind, std::string_view between, ParsePart parse_part) {
    TRY_ASSIGN(Node first, parse_part());
    if (!take(between)) return first;
    Node chain;
    chain.kind = kind;
    chain.children.push_back(std::move(first));
    do {
      TRY_ASSIGN(Node next, parse_part());
      chain.children.push_back(std::move(next));
    } while (take(between));
    return chain;
  }

  Result<Node> parse_operation(int depth) {
    bool negated = false;
    while (take("!")) negated = !negated;
    TRY_ASSIGN(Node operand, parse_operand(depth));
    if (!negated) return operand;
    if (operand.kind == Kind::kNot) {
      Node inner = std::move(operand.children.front());
      return inner;
    }
    Node negation;
    negation.kind = Kind::kNot;
    negation.children.push_back(std::move(operand));
    return negation;
  }

  Result<Node> parse_operand(int depth) {
    if (at_end()) return error("the selector ends where a label, has(), all(), global() or '(' should stand");
    if (take("(")) return parse_bracket(depth);
    const std::size_t start = at_;
    const std::string_view word = take_word();
    if (word.empty()) return error("expected a label, has(), all(), global() or '(', not " + what_is_here());
    if (word.size() > kMaxSelectorLabelBytes) {
      at_ = start;
      return error("a label name longer than " + std::to_string(kMaxSelectorLabelBytes) + " characters");
    }
    // The bracket of a call stands right behind its name: "has (x)" is no call.
    if (at_ < text_.size() && text_[at_] == '(') {
      if (word == "has") return parse_has();
      if (word == "all" || word == "global") return parse_empty_call(word == "all" ? Kind::kAll : Kind::kGlobal);
    }
    skip_blanks();
    return parse_comparison(std::string(word));
  }

  Result<Node> parse_bracket(int depth) {
    if (depth >= kMaxSelectorDepth) return error("brackets nested too deep");
    TRY_ASSIGN(Node inner, parse_either(depth + 1));
    if (!take(")")) return error("expected ')', not " + what_is_here());
    return inner;
  }

  Result<Node> parse_has() {
    take("(");
    Node node;
    node.kind = Kind::kHas;
    const std::size_t start = at_;
    node.label = take_word();
    if (node.label.empty()) return error("expected a label name in has()");
    if (node.label.size() > kMaxSelectorLabelBytes) {
      at_ = start;
      return error("a label name longer than " + std::to_string(kMaxSelectorLabelBytes) + " characters");
    }
    skip_blanks();
    if (!take(")")) return error("expected ')' after the label of has(), not " + what_is_here());
    return node;
  }

  Result<Node> parse_empty_call(Kind kind) {
    take("(");
    if (!take(")")) return error("expected ')', not " + what_is_here());
    Node node;
    node.kind = kind;
    return node;
  }

  Result<Node> parse_comparison(std::string label) {
    const auto kind = take_operator();
    if (!kind) {
      return error(
          "expected '==', '!=', 'in', 'not in', 'contains', 'starts with' or 'ends with' after the label, not " +
          what_is_here());
    }
    Node node;
    node.kind = *kind;
    node.label = std::move(label);
    if (*kind == Kind::kIn || *kind == Kind::kNotIn) {
      TRY(parse_set(node.values));
    } else {
      TRY_ASSIGN(std::string value, parse_string());
      node.values.push_back(std::move(value));
    }
    return node;
  }

  std::optional<Kind> take_operator() {
    if (take("==")) return Kind::kEquals;
    if (take("!=")) return Kind::kNotEquals;
    const std::size_t start = at_;
    const bool with = take("starts") || take("ends") || take("not");
    if (!with) {
      if (take("contains")) return Kind::kContains;
      if (take("in")) return Kind::kIn;
      return std::nullopt;
    }
    const char first = text_[start];
    if (first == 'n' ? take("in") : take("with")) {
      return first == 'n' ? Kind::kNotIn : first == 's' ? Kind::kStartsWith : Kind::kEndsWith;
    }
    at_ = start;
    return std::nullopt;
  }

  Status parse_set(std::vector<std::string>& values) {
    if (!take("{")) return error("expected a set like {'a', 'b'}, not " + what_is_here());
    while (!at_end() && (text_[at_] == '"' || text_[at_] == '\'')) {
      TRY_ASSIGN(std::string value, parse_string());
      values.push_back(std::move(value));
      if (!take(",")) break;
    }
    if (!take("}")) return error("expected a quoted string or '}', not " + what_is_here());
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return {};
  }

  Result<std::string> parse_string() {
    if (at_end() || (text_[at_] != '"' && text_[at_] != '\'')) {
      return error("expected a quoted string, not " + what_is_here());
    }
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return error("this quote is not closed");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    skip_blanks();
    return value;
  }

  std::string_view take_word() {
    const std::size_t start = at_;
    while (at_ < text_.size() && is_label_char(text_[at_])) ++at_;
    return text_.substr(start, at_ - start);
  }

  /// Takes the word and the blanks behind it.
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    skip_blanks();
    return true;
  }

  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }

  bool at_end() const { return at_ >= text_.size(); }

  std::string what_is_here() const {
    if (at_end()) return "the end";
    const char c = text_[at_];
    if (c == '\n' || c == '\r') return "a line break";
    if (c < ' ' || c > '~') return "a character that stands for nothing here";
    return std::string("'") + c + "'";
  }

  Error error(const std::string& message) const {
    return invalid_argument("column " + std::to_string(at_ + 1) + ": " + message);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

bool holds(const Node& node, const LabelSet& labels) {
  switch (node.kind) {
    case Kind::kAll:
    case Kind::kGlobal:
      return true;
    case Kind::kNot:
      return !holds(node.children.front(), labels);
    case Kind::kAnd:
      return std::all_of(node.children.begin(), node.children.end(), [&](const Node& n) { return holds(n, labels); });
    case Kind::kOr:
      return std::any_of(node.children.begin(), node.children.end(), [&](const Node& n) { return holds(n, labels); });
    default:
      break;
  }
  const std::string_view value = labels.find(node.label);
  const bool present = value.data() != nullptr;
  const auto listed = [&] { return std::binary_search(node.values.begin(), node.values.end(), value); };
  switch (node.kind) {
    case Kind::kHas:
      return present;
    case Kind::kEquals:
      return present && value == node.values.front();
    case Kind::kNotEquals:
      return !present || value != node.values.front();
    case Kind::kIn:
      return present && listed();
    case Kind::kNotIn:
      return !present || !listed();
    case Kind::kContains:
      return present && value.find(node.values.front()) != std::string_view::npos;
    case Kind::kStartsWith:
      return present && value.starts_with(node.values.front());
    case Kind::kEndsWith:
      return present && value.ends_with(node.values.front());
    default:
      return false;
  }
}

void append_quoted(const std::string& value, std::string& out) {
  const char quote = value.find('"') == std::string::npos ? '"' : '\'';
  out += quote;
  out += value;
  out += quote;
}

std::string_view operator_text(Kind kind) {
  switch (kind) {
    case Kind::kEquals:
      return " == ";
    case Kind::kNotEquals:
      return " != ";
    case Kind::kIn:
      return " in ";
    case Kind::kNotIn:
      return " not in ";
    case Kind::kContains:
      return " contains ";
    case Kind::kStartsWith:
      return " starts with ";
    case Kind::kEndsWith:
      return " ends with ";
    default:
      return "";
  }
}

void append_canonical(const Node& node, std::string& out) {
  switch (node.kind) {
    case Kind::kAll:
      out += "all()";
      return;
    case Kind::kGlobal:
      out += "global()";
      return;
    case Kind::kHas:
      out.append("has(").append(node.label).append(")");
      return;
    case Kind::kNot:
      out += '!';
      append_canonical(node.children.front(), out);
      return;
    case Kind::kAnd:
    case Kind::kOr:
      for (const Node& child : node.children) {
        out += &child == &node.children.front() ? "(" : node.kind == Kind::kAnd ? " && " : " || ";
        append_canonical(child, out);
      }
      out += ')';
      return;
    case Kind::kIn:
    case Kind::kNotIn:
      out.append(node.label).append(operator_text(node.kind)).append("{");
      for (const std::string& value : node.values) {
        if (&value != &node.values.front()) out += ", ";
        append_quoted(value, out);
      }
      out += '}';
      return;
    default:
      out.append(node.label).append(operator_text(node.kind));
      append_quoted(node.values.front(), out);
  }
}

void collect_keys(const Node& node, std::vector<std::string>& keys) {
  if (!node.label.empty()) keys.push_back(node.label);
  for (const Node& child : node.children) collect_keys(child, keys);
}

}  // namespace

Result<Selector> Selector::parse(std::string_view text) {
  if (text.size() > kMaxSelectorBytes) {
    return invalid_argument("column 1: longer than " + std::to_string(kMaxSelectorBytes) + " bytes");
  }
  TRY_ASSIGN(Node root, Parser(text).parse());
  return Selector(std::move(root));
}

bool Selector::matches(const LabelSet& labels) const { return holds(root_, labels); }

std::string Selector::canonical() const {
  std::string text;
  append_canonical(root_, text);
  return text;
}

std::vector<std::string> Selector::label_keys() const {
  std::vector<std::string> keys;
  collect_keys(root_, keys);
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

}  // namespace weir::model
