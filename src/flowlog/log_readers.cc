#include "flowlog/log_readers.h"

#include <ctime>
#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>

#include "base/text.h"
#include "flowlog/json_values.h"

namespace weir::flowlog {
namespace {

/// Sets and lists of one record, at stable addresses.
struct Lists {
  std::deque<model::LabelSet> labels;
  std::vector<model::DnsRrset> rrsets;
  std::vector<model::DnsServer> servers;
  /// Names of servers: views into what the parser unescaped.
  std::vector<IpAddress> addresses;

  void clear() {
    labels.clear();
    rrsets.clear();
    servers.clear();
    addresses.clear();
  }
};

Wrong read_value(ondemand::value& value, Lists&, std::string_view& out) {
  // Codes that some write as numbers.
  if (read_text(value, out) == kFine) return kFine;
  ondemand::number number;
  if (value.get_number().get(number) != simdjson::SUCCESS) return "text";
  out = trim(value.raw_json_token());
  return kFine;
}
Wrong read_value(ondemand::value& value, Lists&, std::string& out) { return read_string(value, out); }
Wrong read_value(ondemand::value& value, Lists&, std::int64_t& out) {
  return value.get_int64().get(out) == simdjson::SUCCESS ? kFine : "an integer";
}
template <typename Unsigned>
requires std::is_unsigned_v<Unsigned> Wrong read_value(ondemand::value& value, Lists&, Unsigned& out) {
  std::uint64_t number = 0;
  const Wrong wrong = read_unsigned(value, std::numeric_limits<Unsigned>::max(), number);
  out = static_cast<Unsigned>(number);
  return wrong;
}
Wrong read_value(ondemand::value& value, Lists&, double& out) {
  constexpr double kMost = 1e15;
  return value.get_double().get(out) == simdjson::SUCCESS && out >= 0 && out <= kMost ? kFine
                                                                                      : "a number from 0 to 1e15";
}
Wrong read_value(ondemand::value& value, Lists&, std::optional<IpAddress>& out) {
  return read_address(value, out.emplace());
}
Wrong read_value(ondemand::value& value, Lists& lists, std::optional<std::uint16_t>& out) {
  return read_value(value, lists, out.emplace());
}
Wrong read_value(ondemand::value& value, Lists& lists, const model::LabelSet*& out) {
  out = &lists.labels.emplace_back();
  return read_labels(value, lists.labels.back());
}
Wrong read_value(ondemand::value& value, Lists& lists, std::span<const IpAddress>& out) {
  const Wrong wrong = read_array(value, lists.addresses, read_address);
  out = lists.addresses;
  return wrong;
}

Wrong read_rrset(ondemand::value& value, model::DnsRrset& out) {
  return read_members(value, [&](std::string_view key, ondemand::value& member) -> Wrong {
    if (is_null(member)) return kFine;
    if (key == "name") return read_string(member, out.name);
    if (key == "type") return read_string(member, out.type);
    if (key == "class") return read_string(member, out.rclass);
    if (key == "rdata") return read_array(member, out.rdata, read_string);
    return kFine;
  });
}
Wrong read_value(ondemand::value& value, Lists& lists, std::span<const model::DnsRrset>& out) {
  const Wrong wrong = read_array(value, lists.rrsets, read_rrset);
  out = lists.rrsets;
  return wrong;
}
Wrong read_value(ondemand::value& value, Lists& lists, std::span<const model::DnsServer>& out) {
  const auto read_server = [&](ondemand::value& item, model::DnsServer& server) {
    return read_members(item, [&](std::string_view key, ondemand::value& member) -> Wrong {
      if (is_null(member)) return kFine;
      if (key == "ip") return read_address(member, server.ip);
      if (key == "name") return read_text(member, server.name);
      if (key == "name_aggr") return read_text(member, server.name_aggr);
      if (key == "namespace") return read_text(member, server.namespace_name);
      if (key == "labels") return read_value(member, lists, server.labels);
      return kFine;
    });
  };
  const Wrong wrong = read_array(value, lists.servers, read_server);
  out = lists.servers;
  return wrong;
}

Wrong read_count(ondemand::value& value, model::NamedCount& out) {
  return read_members(value, [&](std::string_view key, ondemand::value& member) -> Wrong {
    if (key == "name") return read_string(member, out.name);
    if (key == "count") return read_unsigned(member, std::numeric_limits<std::uint64_t>::max(), out.count);
    return kFine;
  });
}
Wrong read_value(ondemand::value& value, Lists&, std::vector<model::NamedCount>& out) {
  return read_array(value, out, read_count);
}
Wrong read_value(ondemand::value& value, Lists& lists, std::vector<model::SourceCounts>& out) {
  return read_array(value, out, [&](ondemand::value& item, model::SourceCounts& source) {
    return read_members(item, [&](std::string_view key, ondemand::value& member) -> Wrong {
      if (is_null(member)) return kFine;
      if (key == "name") return read_string(member, source.name);
      if (key == "events") return read_value(member, lists, source.events);
      if (key == "packets") return read_value(member, lists, source.packets);
      if (key == "lost") return read_value(member, lists, source.lost);
      return kFine;
    });
  });
}

template <typename Record>
constexpr const auto& fields_of() {
  if constexpr (std::is_same_v<Record, model::DnsRecord>) return model::kDnsFields;
  if constexpr (std::is_same_v<Record, model::L7Record>) return model::kL7Fields;
  if constexpr (std::is_same_v<Record, model::AgentWindow>) return model::kAgentFields;
}

template <auto Member, typename Record>
auto& member_of(Record& record, const model::RecordField<Member>&) {
  return record.*Member;
}

/// Reads the member that is a field of the table; nothing if none is.
template <typename Record>
std::optional<Wrong> read_field(std::string_view name, ondemand::value& value, Lists& lists, Record& record) {
  std::optional<Wrong> result;
  const auto try_field = [&](const auto& field) {
    if (field.name != name) return false;
    result = is_null(value) ? kFine : read_value(value, lists, member_of(record, field));
    return true;
  };
  std::apply([&](const auto&... field) { (void)(try_field(field) || ...); }, fields_of<Record>());
  return result;
}

/// "2026-01-02T03:04:05.678901Z" to Unix seconds.
bool parse_time(std::string_view text, std::int64_t& out) {
  std::tm time{};
  const std::string copy(text.substr(0, 20));
  const char* end = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (end == nullptr || !(text.ends_with("Z") || text.ends_with("+00:00"))) return false;
  out = ::timegm(&time);
  return true;
}

Wrong read_time(ondemand::value& value, std::int64_t& out) {
  std::string_view text;
  return read_text(value, text) == kFine && parse_time(text, out) ? kFine : "a time such as 2026-01-02T03:04:05Z";
}

Wrong read_object_ref(ondemand::value& value, model::AuditRecord& record) {
  return read_members(value, [&](std::string_view key, ondemand::value& member) -> Wrong {
    if (is_null(member)) return kFine;
    if (key == "resource") return read_text(member, record.resource);
    if (key == "apiGroup") return read_text(member, record.api_group);
    if (key == "namespace") return read_text(member, record.namespace_name);
    if (key == "name") return read_text(member, record.name);
    return kFine;
  });
}

Wrong read_audit_member(std::string_view key, ondemand::value& value, model::AuditRecord& record) {
  if (is_null(value)) return kFine;
  if (key == "requestReceivedTimestamp") return read_time(value, record.start_time);
  if (key == "auditID") return read_text(value, record.audit_id);
  if (key == "stage") return read_text(value, record.stage);
  if (key == "verb") return read_text(value, record.verb);
  if (key == "host") return read_text(value, record.host);
  if (key == "objectRef") return read_object_ref(value, record);
  if (key == "user" || key == "responseStatus") {
    return read_members(value, [&](std::string_view name, ondemand::value& member) -> Wrong {
      if (is_null(member)) return kFine;
      if (name == "username") return read_text(member, record.user);
      if (name == "code") return read_unsigned(member, 999, record.response_code);
      return kFine;
    });
  }
  return kFine;
}

}  // namespace

template <typename Record>
struct LogReader<Record>::State {
  LineParser line{ondemand::parser{kMaxLineBytes}, {}, {}};
  Lists lists;
  Record record;
  std::string unknown;
};

template <typename Record>
LogReader<Record>::LogReader() : state_(std::make_unique<State>()) {}
template <typename Record>
LogReader<Record>::LogReader(LogReader&&) noexcept = default;
template <typename Record>
LogReader<Record>& LogReader<Record>::operator=(LogReader&&) noexcept = default;
template <typename Record>
LogReader<Record>::~LogReader() = default;

template <typename Record>
Result<const Record*> LogReader<Record>::read(std::string_view line) {
  State& state = *state_;
  state.lists.clear();
  state.record = {};
  state.unknown.clear();
  TRY(state.line.read(line, kMaxLineBytes, [&](std::string_view name, ondemand::value& value) -> Wrong {
    if constexpr (std::is_same_v<Record, model::AuditRecord>) {
      return read_audit_member(name, value, state.record);
    } else {
      const std::optional<Wrong> read = read_field(name, value, state.lists, state.record);
      if (read) return *read;
      if (name == "@timestamp" || is_null(value)) return kFine;
      if constexpr (requires { state.record.host; }) {
        if (name == "host") return read_text(value, state.record.host);
      }
      return keep_member(state.unknown, name, value);
    }
  }));
  if (!state.unknown.empty()) state.unknown += '}';
  if constexpr (std::is_same_v<Record, model::AuditRecord>) {
    state.record.event = trim(std::string_view(state.line.padded).substr(0, line.size()));
    if (state.record.start_time == 0) return data_loss("no requestReceivedTimestamp: not an audit event");
  }
  return static_cast<const Record*>(&state.record);
}

template <typename Record>
std::string_view LogReader<Record>::unknown_fields() const {
  return state_->unknown;
}

template class LogReader<model::DnsRecord>;
template class LogReader<model::L7Record>;
template class LogReader<model::AgentWindow>;
template class LogReader<model::AuditRecord>;

}  // namespace weir::flowlog
