#include "flowlog/agent_log.h"

#include <charconv>
#include <string_view>

#include "flowlog/field_json.h"
#include "flowlog/record_json.h"

namespace weir::flowlog {
namespace {

struct AgentWriter : ValueWriter {
  using ValueWriter::operator();

  /// Fixed notation to the microsecond: what the kernel's clocks can tell.
  void operator()(double seconds) const {
    char text[64];
    out.append(text, std::to_chars(text, text + sizeof text, seconds, std::chars_format::fixed, 6).ptr);
  }
  void operator()(const std::vector<model::NamedCount>& counts) const {
    append_list(out, counts, [&](const model::NamedCount& count) {
      out += "{\"name\":";
      json::append_string(out, count.name);
      out += ",\"count\":";
      json::append_uint(out, count.count);
      out += '}';
    });
  }
  void operator()(const std::vector<model::SourceCounts>& sources) const {
    append_list(out, sources, [&](const model::SourceCounts& source) {
      out += "{\"name\":";
      json::append_string(out, source.name);
      out += ",\"events\":";
      json::append_uint(out, source.events);
      out += ",\"packets\":";
      json::append_uint(out, source.packets);
      out += ",\"lost\":";
      (*this)(source.lost);
      out += '}';
    });
  }
};

}  // namespace

void append_field(std::string& out, const std::vector<model::NamedCount>& counts) { AgentWriter{{out}}(counts); }
void append_field(std::string& out, const std::vector<model::SourceCounts>& sources) { AgentWriter{{out}}(sources); }

void append_agent_line(std::string& out, const model::AgentWindow& window) {
  append_record(out, window, model::kAgentFields, AgentWriter{{out}});
  out += '\n';
}

}  // namespace weir::flowlog
