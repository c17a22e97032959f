// YAML by libyaml: its event interface is about seven times as fast as yaml-cpp's, does not throw, and hands out one
// event at a time, so that depth and aliases are bounded here before they cost anything.

#include <yaml.h>

#include <string>
#include <unordered_map>

#include "cluster/internal/document.h"
#include "cluster/manifest_reader.h"

namespace weir::cluster {
namespace {

std::string_view view(const yaml_char_t* text, std::size_t size) { return {reinterpret_cast<const char*>(text), size}; }
std::string name_of(const yaml_char_t* text) { return reinterpret_cast<const char*>(text); }

bool is_null_text(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

class YamlReader {
 public:
  YamlReader(std::string_view text, const DocumentHandler& handler) : handler_(handler) {
    CHECK(yaml_parser_initialize(&parser_) != 0);  // fails only without memory
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  YamlReader(const YamlReader&) = delete;
  YamlReader& operator=(const YamlReader&) = delete;
  ~YamlReader() { yaml_parser_delete(&parser_); }

  Status read() {
    for (;;) {
      yaml_event_t event;
      if (yaml_parser_parse(&parser_, &event) == 0) return syntax_error();
      const bool end = event.type == YAML_STREAM_END_EVENT;
      line_ = event.start_mark.line + 1;
      Status status = take(event);
      yaml_event_delete(&event);
      if (!status.ok() || end) return status;
    }
  }

 private:
  /// A list or map that is not closed yet.
  struct Open {
    Value::Type type;
    std::size_t from;
    std::string anchor;
  };

  Error error(const std::string& what) const {
    return invalid_argument("document " + std::to_string(number_ == 0 ? 1 : number_) + ", line " +
                            std::to_string(line_) + ": " + what);
  }

  Error syntax_error() {
    line_ = parser_.problem_mark.line + 1;
    if (number_ == 0) number_ = 1;
    return error(parser_.problem != nullptr ? parser_.problem : "not YAML");
  }

  Status take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        return start_document();
      case YAML_DOCUMENT_END_EVENT:
        return end_document();
      case YAML_ALIAS_EVENT:
        return add_alias(name_of(event.data.alias.anchor));
      case YAML_SCALAR_EVENT:
        return add_scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        return open(Value::Type::kList, event.data.sequence_start.anchor);
      case YAML_MAPPING_START_EVENT:
        return open(Value::Type::kMap, event.data.mapping_start.anchor);
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        return close();
      default:
        return {};
    }
  }

  Status start_document() {
    ++number_;
    tree_.clear();
    open_.clear();
    anchors_.clear();
    return {};
  }

  Status end_document() {
    if (tree_.empty() || tree_.root().type == Value::Type::kNull) return {};
    return handler_(number_, tree_.root());
  }

  Status open(Value::Type type, const yaml_char_t* anchor) {
    if (open_.size() >= kMaxManifestDepth) {
      return error("nested deeper than " + std::to_string(kMaxManifestDepth) + " levels");
    }
    if (at_key()) return error("a key that is not a string");
    open_.push_back({type, tree_.mark(), anchor == nullptr ? std::string() : name_of(anchor)});
    return {};
  }

  Status close() {
    const Open done = std::move(open_.back());
    open_.pop_back();
    const Value value = tree_.close(done.type, done.from);
    if (done.type == Value::Type::kMap) {
      if (Status keys = check_distinct_keys(value); !keys.ok()) return error(keys.error().message);
    }
    if (!done.anchor.empty()) anchors_[done.anchor] = value;
    tree_.add(value);
    return {};
  }

  Status add_scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    const std::string_view text = view(scalar.value, scalar.length);
    Value value;
    if (scalar.plain_implicit != 0) {
      if (at_key() && text == "<<") return error("merge keys ('<<') are not supported");
      value.type = !at_key() && is_null_text(text) ? Value::Type::kNull : Value::Type::kPlain;
    } else {
      value.type = Value::Type::kString;
    }
    if (value.type != Value::Type::kNull) value.text = tree_.keep(text);
    if (scalar.anchor != nullptr) anchors_[name_of(scalar.anchor)] = value;
    tree_.add(value);
    return {};
  }

  Status add_alias(const std::string& name) {
    const auto found = anchors_.find(name);
    if (found == anchors_.end()) return error("alias '*" + name.substr(0, 100) + "' without its anchor before it");
    const Value& value = found->second;
    if (at_key() && value.count > 0) return error("a key that is not a string");
    alias_nodes_ += value.weight;
    if (alias_nodes_ > kMaxAliasNodes) {
      return error("aliases add more than " + std::to_string(kMaxAliasNodes) + " values");
    }
    tree_.add(value);
    return {};
  }

  bool at_key() const {
    return !open_.empty() && open_.back().type == Value::Type::kMap && (tree_.mark() - open_.back().from) % 2 == 0;
  }

  const DocumentHandler& handler_;
  yaml_parser_t parser_;
  DocumentTree tree_;
  std::vector<Open> open_;
  std::unordered_map<std::string, Value> anchors_;
  std::size_t number_ = 0;
  std::size_t line_ = 1;
  std::size_t alias_nodes_ = 0;
};

}  // namespace

Status read_yaml(std::string_view text, const DocumentHandler& handler) { return YamlReader(text, handler).read(); }

}  // namespace weir::cluster
