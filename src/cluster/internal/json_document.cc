#include <simdjson.h>

#include <charconv>

#include "cluster/internal/document.h"
#include "cluster/manifest_reader.h"

namespace weir::cluster {
namespace {

namespace dom = simdjson::dom;

Error json_error(std::size_t number, const std::string& what) {
  return invalid_argument("document " + std::to_string(number) + ": " + what);
}

template <typename Number>
std::string_view digits(DocumentTree& tree, Number number) {
  char text[32];
  return tree.keep({text, static_cast<std::size_t>(std::to_chars(text, text + sizeof text, number).ptr - text)});
}

Value scalar(DocumentTree& tree, const dom::element& element) {
  Value value;
  value.type = Value::Type::kPlain;
  switch (element.type()) {
    case dom::element_type::STRING:
      value.type = Value::Type::kString;
      value.text = element.get_string().value_unsafe();
      break;
    case dom::element_type::INT64:
      value.text = digits(tree, element.get_int64().value_unsafe());
      break;
    case dom::element_type::UINT64:
      value.text = digits(tree, element.get_uint64().value_unsafe());
      break;
    case dom::element_type::DOUBLE:
      value.text = digits(tree, element.get_double().value_unsafe());
      break;
    case dom::element_type::BOOL:
      value.text = element.get_bool().value_unsafe() ? "true" : "false";
      break;
    default:
      value.type = Value::Type::kNull;
      break;
  }
  return value;
}

/// Adds `element` to the tree. Depth is bounded by the parser's own limit.
Status add(DocumentTree& tree, const dom::element& element) {
  const std::size_t from = tree.mark();
  if (element.is_object()) {
    const dom::object members = element.get_object().value_unsafe();
    for (const auto [key, child] : members) {
      Value name;
      name.type = Value::Type::kString;
      name.text = key;
      tree.add(name);
      TRY(add(tree, child));
    }
    const Value map = tree.close(Value::Type::kMap, from);
    TRY(check_distinct_keys(map));
    tree.add(map);
  } else if (element.is_array()) {
    const dom::array items = element.get_array().value_unsafe();
    for (const dom::element child : items) TRY(add(tree, child));
    tree.add(tree.close(Value::Type::kList, from));
  } else {
    tree.add(scalar(tree, element));
  }
  return {};
}

Status hand_on(DocumentTree& tree, std::size_t number, const dom::element& element, const DocumentHandler& handler) {
  tree.clear();
  if (Status added = add(tree, element); !added.ok()) return json_error(number, added.error().message);
  if (tree.root().type == Value::Type::kNull) return {};
  return handler(number, tree.root());
}

/// Several texts one after the other. A batch must hold the largest, so it is the whole input.
Status read_json_sequence(dom::parser& parser, const simdjson::padded_string& text, const DocumentHandler& handler) {
  dom::document_stream stream;
  if (const auto failed = parser.parse_many(text, text.size()).get(stream); failed != simdjson::SUCCESS) {
    return json_error(1, simdjson::error_message(failed));
  }
  DocumentTree tree;
  std::size_t number = 0;
  for (auto it = stream.begin(); it != stream.end(); ++it) {
    ++number;
    dom::element element;
    if (const auto failed = (*it).get(element); failed != simdjson::SUCCESS) {
      return json_error(number, simdjson::error_message(failed));
    }
    TRY(hand_on(tree, number, element, handler));
  }
  if (stream.truncated_bytes() != 0) return json_error(number + 1, "the text ends in mid-value");
  return {};
}

}  // namespace

Status read_json(std::string_view text, bool several, const DocumentHandler& handler) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return {};
  dom::parser parser;
  if (const auto failed = parser.allocate(text.size(), kMaxManifestDepth); failed != simdjson::SUCCESS) {
    return {Error{ErrorCode::kResourceExhausted, simdjson::error_message(failed)}};
  }
  const simdjson::padded_string padded(text);
  dom::element element;
  const auto failed = parser.parse(padded).get(element);
  if (failed == simdjson::TAPE_ERROR && several) return read_json_sequence(parser, padded, handler);
  if (failed != simdjson::SUCCESS) return json_error(1, simdjson::error_message(failed));
  DocumentTree tree;
  return hand_on(tree, 1, element, handler);
}

}  // namespace weir::cluster
