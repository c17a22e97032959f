#include "store/internal/filter_sql.h"

#include <re2/re2.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "model/log_fields.h"
#include "model/protocol.h"
#include "store/internal/duck.h"
#include "store/internal/list_text.h"
#include "store/internal/schema.h"

// Two things decide how fast a filter is. Plain comparisons of a column with a constant are pushed into the Parquet
// scan and evaluated on dictionaries, our functions are not: so whatever can be said with =, IN, starts_with or
// contains is. And COALESCE hides a comparison from the scan: NULL is as good as false unless a NOT is above it.

namespace weir::store {
namespace {

using filter::Expression;
using filter::Target;
using filter::Test;
using filter::TextPattern;
using model::FieldKind;
using Op = filter::Test::Op;

std::string joined(const std::vector<std::string>& parts, const char* word) {
  if (parts.size() == 1) return parts.front();
  std::string sql = "(";
  for (const std::string& part : parts) {
    if (sql.size() > 1) sql += word;
    sql += part;
  }
  return sql + ")";
}
std::string any_of(const std::vector<std::string>& parts) { return parts.empty() ? "FALSE" : joined(parts, " OR "); }

std::string call(const char* function, const std::string& column, std::string_view argument) {
  return std::string(function) + "(" + column + "," + sql_text(argument) + ")";
}

/// `column IN ('a','b')`, or nothing.
void add_exact(std::vector<std::string>& parts, const std::string& column, const std::vector<std::string>& values) {
  if (values.empty()) return;
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ",") + sql_text(value);
  parts.push_back(values.size() == 1 ? column + "=" + list : column + " IN (" + list + ")");
}

std::string like_sql(const std::string& column, std::string_view pattern) {
  const bool star_before = pattern.starts_with('*');
  std::string_view middle = pattern.substr(star_before ? 1 : 0);
  const bool star_after = middle.ends_with('*');
  if (star_after) middle.remove_suffix(1);
  if (middle.find_first_of("*?\\") != std::string_view::npos) return call("weir_like", column, pattern);
  if (middle.empty()) return "(" + column + " IS NOT NULL)";
  if (star_before && star_after) return call("contains", column, middle);
  return call(star_before ? "ends_with" : "starts_with", column, middle);
}

std::string text_test(const Test& test, const std::string& column) {
  if (test.op == Op::kEmpty) return "(" + column + "='-' OR " + column + "='')";
  if (test.op == Op::kRegex) return call("weir_regex", column, test.regex->pattern());
  std::vector<std::string> parts, exact;
  for (const TextPattern& pattern : test.texts) {
    if (pattern.wildcard) {
      parts.push_back(like_sql(column, pattern.text));
    } else {
      exact.push_back(pattern.text);
    }
  }
  add_exact(parts, column, exact);
  return any_of(parts);
}

std::string protocol_test(const Test& test, const std::string& column) {
  if (test.op == Op::kEmpty) return "FALSE";
  if (test.op == Op::kRegex) return text_test(test, column);
  std::vector<std::string> parts, exact;
  for (const std::uint64_t number : test.numbers) {
    exact.push_back(model::protocol_name(static_cast<std::uint8_t>(number)));
  }
  add_exact(parts, column, exact);
  if (!test.texts.empty()) parts.push_back(text_test(test, column));
  return any_of(parts);
}

/// "10.", "192.168.": what the text of an IPv4 block of whole bytes begins with; empty for other blocks.
std::string octets_of(const IpPrefix& prefix) {
  if (!prefix.is_v4() || prefix.length == 96 || prefix.length % 8 != 0) return {};
  std::string text;
  for (std::size_t byte = 12; byte < prefix.length / 8u; ++byte) {
    text += std::to_string(prefix.address.bytes[byte]) + ".";
  }
  return text;
}

std::string address_test(const Test& test, const std::string& column) {
  if (test.op == Op::kEmpty) return "(" + column + " IS NULL)";
  if (test.op == Op::kRegex) return text_test(test, column);
  std::vector<std::string> parts, exact;
  for (const IpPrefix& prefix : test.prefixes) {
    const std::string octets = octets_of(prefix);
    if (prefix.length == 128) {
      exact.push_back(prefix.address.to_string());
    } else if (!octets.empty()) {
      parts.push_back(call("starts_with", column, octets));
    } else {
      parts.push_back(call("weir_in_prefix", column, prefix.to_string()));
    }
  }
  add_exact(parts, column, exact);
  if (!test.texts.empty()) parts.push_back(text_test(test, column));
  return any_of(parts);
}

std::string element(std::string_view value) {
  std::string list;
  append_list_element(list, value);
  return list;
}

/// Some element passes.
std::string list_test(const Test& test, const std::string& column) {
  if (test.op == Op::kRegex) return call("weir_list_regex", column, test.regex->pattern());
  std::vector<std::string> parts;
  for (const TextPattern& pattern : test.texts) {
    parts.push_back(pattern.wildcard ? call("weir_list_like", column, pattern.text)
                                     : call("contains", column, element(pattern.text)));
  }
  for (const IpPrefix& prefix : test.prefixes) {
    const std::string octets = octets_of(prefix);
    if (prefix.length == 128) {
      parts.push_back(call("contains", column, element(prefix.address.to_string())));
    } else if (!octets.empty()) {
      parts.push_back(call("contains", column, "\n" + octets));
    } else {
      parts.push_back(call("weir_list_in_prefix", column, prefix.to_string()));
    }
  }
  return any_of(parts);
}

std::string empty_list(const std::string& column) { return "(" + column + " IS NULL OR " + column + "=chr(10))"; }

std::string labels_test(const Test& test, const std::string& column) {
  const std::string& key = test.target.label_key;
  if (key.empty()) return test.op == Op::kEmpty ? empty_list(column) : list_test(test, column);
  std::string begin = element(key);
  begin.back() = '=';
  if (test.op == Op::kEmpty) return "(NOT coalesce(" + call("contains", column, begin) + ",FALSE))";
  const auto of_label = [&](const char* function, std::string_view what) {
    return std::string(function) + "(" + column + "," + sql_text(key) + "," + sql_text(what) + ")";
  };
  if (test.op == Op::kRegex) return of_label("weir_label_regex", test.regex->pattern());
  std::vector<std::string> parts;
  for (const TextPattern& pattern : test.texts) {
    parts.push_back(pattern.wildcard ? of_label("weir_label_like", pattern.text)
                                     : call("contains", column, element(key + "=" + pattern.text)));
  }
  return any_of(parts);
}

const char* order_sign(Op op) {
  switch (op) {
    case Op::kLess:
      return "<";
    case Op::kLessOrEqual:
      return "<=";
    case Op::kGreater:
      return ">";
    case Op::kGreaterOrEqual:
      return ">=";
    default:
      return nullptr;
  }
}

std::string number_test(const Test& test, const std::string& value) {
  if (const char* sign = order_sign(test.op)) return value + sign + std::to_string(test.numbers.front());
  std::string list;
  for (const std::uint64_t number : test.numbers) list += (list.empty() ? "" : ",") + std::to_string(number);
  return list.empty() ? "FALSE" : value + " IN (" + list + ")";
}

std::string number_list_test(const Test& test, const std::string& column) {
  if (test.op == Op::kEmpty) return empty_list(column);
  if (order_sign(test.op) == nullptr) {
    std::vector<std::string> parts;
    for (const std::uint64_t number : test.numbers) {
      parts.push_back(call("contains", column, element(std::to_string(number))));
    }
    return any_of(parts);
  }
  return "(len(list_filter(string_split(" + column + ",chr(10)),x->" + number_test(test, "TRY_CAST(x AS BIGINT)") +
         "))>0)";
}

std::string policies_test(const Test& test) {
  std::vector<std::string> parts;
  const auto add = [&](std::string_view name) {
    const std::string column = sql_name(name);
    parts.push_back(test.op == Op::kEmpty ? empty_list(column) : list_test(test, column));
  };
  if (test.target.traces != Target::Traces::kPending) add(kEnforcedColumn);
  if (test.target.traces != Target::Traces::kEnforced) add(kPendingColumn);
  return joined(parts, test.op == Op::kEmpty ? " AND " : " OR ");
}

std::string row_test(const Test& test, const model::LogField& field) {
  const std::string column = sql_name(field.stored);
  switch (field.kind) {
    case FieldKind::kKeyword:
    case FieldKind::kJson:
      return text_test(test, column);
    case FieldKind::kProtocol:
      return protocol_test(test, column);
    case FieldKind::kIp:
      return address_test(test, column);
    case FieldKind::kKeywordList:
    case FieldKind::kIpList:
      return test.op == Op::kEmpty ? empty_list(column) : list_test(test, column);
    case FieldKind::kPortList:
      return number_list_test(test, column);
    case FieldKind::kLabels:
      return labels_test(test, column);
    case FieldKind::kPolicies:
      return policies_test(test);
    case FieldKind::kAnswers:
    case FieldKind::kServers: {
      const std::string list = sql_name(field.kind == FieldKind::kAnswers ? kAnswersColumn : kServerIpsColumn);
      return test.op == Op::kEmpty ? "(" + list + " IS NULL)" : list_test(test, list);
    }
    case FieldKind::kPort:
      return test.op == Op::kEmpty ? "(" + column + " IS NULL)" : number_test(test, column);
    default:
      return test.op == Op::kEmpty ? column + "=0" : number_test(test, column);
  }
}

bool may_be_null(FieldKind kind) {
  return kind == FieldKind::kIp || kind == FieldKind::kPort || kind == FieldKind::kAnswers ||
         kind == FieldKind::kServers || model::is_list(kind);
}

std::string test_sql(const Test& test, bool negated) {
  std::vector<std::string> parts;
  for (const std::uint8_t row : test.target.rows) {
    const model::LogField& field = model::log_fields(test.target.log)[row];
    std::string sql = row_test(test, field);
    if (negated && may_be_null(field.kind)) sql = "coalesce(" + sql + ",FALSE)";
    parts.push_back(std::move(sql));
  }
  return joined(parts, test.op == Op::kEmpty ? " AND " : " OR ");
}

std::string expression_sql(const Expression& expression, bool negated) {
  std::vector<std::string> parts;
  switch (expression.kind) {
    case Expression::Kind::kNot:
      return "(NOT " + expression_sql(expression.children.front(), true) + ")";
    case Expression::Kind::kTest:
      return "(" + test_sql(expression.test, negated) + ")";
    case Expression::Kind::kAnd:
    case Expression::Kind::kOr:
      break;
  }
  for (const Expression& child : expression.children) parts.push_back(expression_sql(child, negated));
  return joined(parts, expression.kind == Expression::Kind::kAnd ? " AND " : " OR ");
}

}  // namespace

std::string filter_sql(const Expression& expression) { return expression_sql(expression, false); }

}  // namespace weir::store
