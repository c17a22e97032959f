#include "config/internal/yaml_tree.h"

#include <yaml.h>

#include <algorithm>

namespace weir::config {
namespace {

/// One event of the parser, which it owns.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event_); }
  /// The next one in place of this.
  bool read(yaml_parser_t& parser) {
    yaml_event_delete(&event_);
    event_ = {};
    return yaml_parser_parse(&parser, &event_) != 0;
  }
  const yaml_event_t& get() const { return event_; }
  std::size_t line() const { return event_.start_mark.line + 1; }

 private:
  yaml_event_t event_{};
};

class Reader {
 public:
  Reader(const std::string& name, std::string_view text) : name_(name) {
    CHECK(yaml_parser_initialize(&parser_) != 0);  // fails only without memory
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { yaml_parser_delete(&parser_); }

  Result<std::vector<YamlNode>> read() {
    std::vector<YamlNode> documents;
    for (;;) {
      TRY(next());
      const yaml_event_type_t type = event_.get().type;
      if (type == YAML_STREAM_END_EVENT) return documents;
      if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT || type == YAML_DOCUMENT_END_EVENT)
        continue;
      YamlNode node;
      TRY(read_value(node, 0));
      if (node.type != YamlNode::Type::kNull) documents.push_back(std::move(node));
    }
  }

 private:
  Error error(std::size_t line, const std::string& what) const {
    return invalid_argument(name_ + ":" + std::to_string(line) + ": " + what);
  }

  Status next() {
    if (event_.read(parser_)) return {};
    return error(parser_.problem_mark.line + 1, parser_.problem != nullptr ? parser_.problem : "not YAML");
  }

  /// The value that begins with the event at hand.
  Status read_value(YamlNode& node, int depth) {
    node.line = event_.line();
    switch (event_.get().type) {
      case YAML_SCALAR_EVENT:
        read_scalar(node);
        return {};
      case YAML_SEQUENCE_START_EVENT:
        node.type = YamlNode::Type::kList;
        return read_children(node, depth + 1, YAML_SEQUENCE_END_EVENT);
      case YAML_MAPPING_START_EVENT:
        node.type = YamlNode::Type::kMap;
        return read_children(node, depth + 1, YAML_MAPPING_END_EVENT);
      default:
        return error(event_.line(), "aliases are not supported");
    }
  }

  Status read_children(YamlNode& node, int depth, yaml_event_type_t end) {
    if (depth > kMaxYamlDepth) return error(event_.line(), "nested too deeply");
    for (;;) {
      TRY(next());
      if (event_.get().type == end) return {};
      YamlNode child;
      std::size_t key_line = 0;
      if (end == YAML_MAPPING_END_EVENT) {
        if (event_.get().type != YAML_SCALAR_EVENT) return error(event_.line(), "a key that is no text");
        key_line = event_.line();
        child.key = scalar_text();
        TRY(next());
      }
      TRY(read_value(child, depth));
      if (key_line != 0) child.line = key_line;
      node.children.push_back(std::move(child));
    }
  }

  std::string scalar_text() const {
    const auto& scalar = event_.get().data.scalar;
    return {reinterpret_cast<const char*>(scalar.value), scalar.length};
  }

  void read_scalar(YamlNode& node) const {
    node.text = scalar_text();
    const bool plain = event_.get().data.scalar.plain_implicit != 0;
    const bool null = plain && (node.text.empty() || node.text == "~" || node.text == "null");
    node.type = null ? YamlNode::Type::kNull : YamlNode::Type::kScalar;
  }

  const std::string& name_;
  yaml_parser_t parser_{};
  Event event_;
};

}  // namespace

const YamlNode* YamlNode::find(std::string_view name) const {
  const auto found = std::find_if(children.begin(), children.end(), [&](const YamlNode& n) { return n.key == name; });
  return type != Type::kMap || found == children.end() ? nullptr : &*found;
}

Result<std::vector<YamlNode>> read_yaml(const std::string& name, std::string_view text) {
  constexpr std::size_t kMaxBytes = 1 << 20;
  if (text.size() > kMaxBytes) return invalid_argument(name + ": a configuration of over 1 MiB");
  return Reader(name, text).read();
}

}  // namespace weir::config
