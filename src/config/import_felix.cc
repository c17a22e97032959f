#include "config/import_felix.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "base/text.h"
#include "config/internal/yaml_tree.h"
#include "config/settings.h"

// Three steps: read whichever input into a list of Felix names and values; convert each into settings of ours, or into
// a reason why not; write what was set. Values pass through set_option(), so the result is one that we accept.

namespace weir::config {
namespace {

struct FelixValue {
  std::string key, value;
};

/// Felix values that say the same in other words or units. Returns pairs of our key and value; none: no change.
using Pairs = std::vector<std::pair<std::string, std::string>>;
using Convert = std::optional<Pairs> (*)(std::string_view value);

std::optional<Pairs> convert_buffer(std::string_view value) {
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bytes);
  if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
  const std::uint64_t mebibyte = 1 << 20;
  return Pairs{{"nflog_buffer_mb", std::to_string(std::max<std::uint64_t>(1, bytes / mebibyte))}};
}

std::optional<Pairs> convert_prefixes(std::string_view value) {
  std::string names;
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    const std::string_view prefix = trim(value.substr(0, comma));
    if (!prefix.empty()) names.append(names.empty() ? "" : ",").append(prefix).append("*");
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  return Pairs{{"interfaces", names}};
}

std::optional<Pairs> convert_reporter_port(std::string_view value) {
  return Pairs{{"metrics_address", "127.0.0.1:" + std::string(value)}};
}

std::optional<Pairs> convert_reporter(std::string_view value) {
  if (value == "false") return Pairs{{"metrics_address", "off"}};
  return Pairs{};
}

std::optional<Pairs> convert_file_enabled(std::string_view value) {
  if (value == "false") return Pairs{{"flow_log_allowed", "false"}, {"flow_log_denied", "false"}};
  return Pairs{};
}

std::optional<Pairs> convert_evaluation(std::string_view value) {
  return Pairs{{"policy_evaluation_mode", value == "None" ? "OnNewConnection" : std::string(value)}};
}

/// `bpfConntrackTimeouts.tcpSynSent`, …; "Auto" stands for the kernel's own.
template <const char* kKey>
std::optional<Pairs> convert_timeout(std::string_view value) {
  if (value == "Auto") return Pairs{};
  return Pairs{{kKey, std::string(value)}};
}
constexpr char kSynSent[] = "timeout_tcp_syn_sent", kEstablished[] = "timeout_tcp_established";
constexpr char kClose[] = "timeout_tcp_close", kUdp[] = "timeout_udp", kIcmp[] = "timeout_icmp";
constexpr char kGeneric[] = "timeout_generic";

struct Special {
  std::string_view felix;
  Convert convert;
};
constexpr Special kSpecials[] = {
    {"nfNetlinkBufSize", convert_buffer},
    {"interfacePrefix", convert_prefixes},
    {"prometheusReporterPort", convert_reporter_port},
    {"prometheusReporterEnabled", convert_reporter},
    {"flowLogsFileEnabled", convert_file_enabled},
    {"flowLogsPolicyEvaluationMode", convert_evaluation},
    {"bpfConntrackTimeouts.tcpSynSent", convert_timeout<kSynSent>},
    {"bpfConntrackTimeouts.tcpEstablished", convert_timeout<kEstablished>},
    {"bpfConntrackTimeouts.tcpResetSeen", convert_timeout<kClose>},
    {"bpfConntrackTimeouts.udpTimeout", convert_timeout<kUdp>},
    {"bpfConntrackTimeouts.icmpTimeout", convert_timeout<kIcmp>},
    {"bpfConntrackTimeouts.genericTimeout", convert_timeout<kGeneric>},
};

/// Felix parameters about flow, DNS and L7 logs without an option of ours, and why. A name may be a prefix.
constexpr std::pair<std::string_view, std::string_view> kWithout[] = {
    {"flowLogsDestDomainsByClient", "names are kept by client, always"},
    {"flowLogsEnableHostEndpoint", "host endpoints are not reported"},
    {"flowLogsEnableNetworkSets", "network sets are looked up, always"},
    {"flowLogsCollectProcessPath", "process paths are not taken"},
    {"flowLogsFilePerFlowProcessArgsLimit", "process arguments are not taken"},
    {"flowLogsCollectTcpStats", "TCP figures are taken where the source has them (ebpf)"},
    {"flowLogsDynamicAggregationEnabled", "aggregation widens when max_flow_keys or cpu_limit_percent is reached"},
    {"flowLogsAggregationThresholdBytes", "aggregation widens when max_flow_keys or cpu_limit_percent is reached"},
    {"flowLogsPositionFilePath", "log shippers keep positions of their own"},
    {"flowLogsPolicyScope", "policies of endpoints are evaluated"},
    {"flowLogsGoldmaneServer", "flows are shipped from the log file"},
    {"flowLogsLocalReporter", "flows are shipped from the log file"},
    {"flowLogsCollectorDebugTrace", "no such trace"},
    {"flowLogs", "no such option"},
    {"dnsLogsFileDirectory", "one log_directory for all logs"},
    {"dnsLogsFileMaxFile", "log_max_size_mb and log_max_files are those of all logs"},
    {"dnsLogsFlushInterval", "one flush_interval for all logs"},
    {"dnsLogsFileIncludeLabels", "include_labels is that of all logs"},
    {"dnsLogsLatency", "latency is written, always"},
    {"dnsLogs", "no such option"},
    {"l7LogsFileDirectory", "one log_directory for all logs"},
    {"l7LogsFileMaxFile", "log_max_size_mb and log_max_files are those of all logs"},
    {"l7LogsFlushInterval", "one flush_interval for all logs"},
    {"l7LogsFileAggregation", "l7_aggregation_level says what is merged"},
    {"l7Logs", "no such option"},
    {"dnsCache", "names are learnt anew after a start"},
    {"dnsTrustedServers", "answers of all servers are read"},
    {"prometheusReporter", "metrics are served on loopback, without TLS"},
    {"deletedMetricsRetentionSecs", "there are no metrics of single policies"},
    {"syslogReporter", "denied flows are in flows.log"},
    {"statsDumpFilePath", "`weir status` tells the state"},
    {"dropActionOverride", "what the data plane decides is what is logged"},
    {"bpfConntrackTimeouts", "no such timeout"},
    {"capture", "packets are not written to files"},
};

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equal_ignoring_case(text.substr(0, prefix.size()), prefix);
}

/// For a comment: one line of ASCII, not too long.
std::string comment_text(std::string_view text) {
  std::string line(text.substr(0, 100));
  std::replace_if(
      line.begin(), line.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F; }, '?');
  return line;
}

// -- Reading -------------------------------------------------------------------------------------------------------

std::optional<std::string_view> environment_assignment(std::string_view line) {
  line = trim(line);
  if (line.starts_with("export ")) line = trim(line.substr(7));
  if (!line.starts_with("FELIX_") || line.find('=') == std::string_view::npos) return std::nullopt;
  return line.substr(6);
}

std::vector<FelixValue> read_environment(std::string_view text) {
  std::vector<FelixValue> values;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const auto assignment = environment_assignment(text.substr(0, end))) {
      const std::size_t equals = assignment->find('=');
      std::string_view value = trim(assignment->substr(equals + 1));
      const bool quoted = value.size() >= 2 && value.front() == value.back() && (value[0] == '"' || value[0] == '\'');
      if (quoted) value = value.substr(1, value.size() - 2);
      values.push_back({std::string(trim(assignment->substr(0, equals))), std::string(value)});
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return values;
}

struct FelixObject {
  std::string name;
  std::vector<FelixValue> values;
};

std::string text_at(const YamlNode& node, const char* key) {
  const YamlNode* value = node.find(key);
  return value != nullptr ? value->text : std::string();
}

/// One level of mapping becomes "key.inner".
void read_spec(const YamlNode& spec, const std::string& prefix, std::vector<FelixValue>& values) {
  for (const YamlNode& entry : spec.children) {
    const std::string key = prefix + entry.key;
    if (entry.type == YamlNode::Type::kScalar) {
      values.push_back({key, entry.text});
    } else if (entry.type == YamlNode::Type::kMap && prefix.empty()) {
      read_spec(entry, key + ".", values);
    } else if (entry.type != YamlNode::Type::kNull) {
      values.push_back({key, "(a list or mapping)"});
    }
  }
}

void read_object(const YamlNode& node, int depth, std::vector<FelixObject>& objects) {
  constexpr int kMaxListDepth = 3;
  const std::string kind = text_at(node, "kind"), version = text_at(node, "apiVersion");
  const YamlNode* items = node.find("items");
  if (kind.ends_with("List") && items != nullptr && depth < kMaxListDepth) {
    for (const YamlNode& item : items->children) read_object(item, depth + 1, objects);
  }
  const bool known = version == "projectcalico.org/v3" || version == "crd.projectcalico.org/v1";
  if (kind != "FelixConfiguration" || !known) return;
  FelixObject object;
  if (const YamlNode* metadata = node.find("metadata")) object.name = text_at(*metadata, "name");
  const YamlNode* spec = node.find("spec");
  if (spec != nullptr && spec->type == YamlNode::Type::kMap) read_spec(*spec, "", object.values);
  objects.push_back(std::move(object));
}

Result<std::vector<FelixObject>> read_objects(const std::string& name, std::string_view text) {
  TRY_ASSIGN(const std::vector<YamlNode> documents, read_yaml(name, text));
  std::vector<FelixObject> objects;
  for (const YamlNode& document : documents) read_object(document, 0, objects);
  return objects;
}

bool is_environment(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (environment_assignment(text.substr(0, end))) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

// -- Converting ----------------------------------------------------------------------------------------------------

/// What has come of the values so far.
struct Import {
  Settings settings;
  /// By our key: the Felix name it came from.
  std::map<std::string, std::string, std::less<>> from;
  std::vector<std::string> without, notes, foreign;
};

/// Felix takes more words for a switch than we do, in the environment.
std::string switch_word(std::string_view value) {
  for (const char* word : {"true", "1", "yes", "y", "t", "on"}) {
    if (equal_ignoring_case(value, word)) return "true";
  }
  for (const char* word : {"false", "0", "no", "n", "f", "off"}) {
    if (equal_ignoring_case(value, word)) return "false";
  }
  return std::string(value);
}

std::optional<Pairs> convert(const FelixValue& felix) {
  for (const Special& special : kSpecials) {
    if (!equal_ignoring_case(special.felix, felix.key)) continue;
    const bool is_switch =
        felix.key.size() > 7 && equal_ignoring_case(felix.key.substr(felix.key.size() - 7), "enabled");
    auto pairs = special.convert(is_switch ? switch_word(felix.value) : felix.value);
    return pairs ? pairs : Pairs{{"", ""}};
  }
  for (const OptionRow& row : option_table()) {
    if (row.felix.empty() || !equal_ignoring_case(row.felix, felix.key)) continue;
    const bool is_switch = std::holds_alternative<bool Settings::*>(row.member);
    return Pairs{{std::string(row.key), is_switch ? switch_word(felix.value) : felix.value}};
  }
  return std::nullopt;
}

void import_value(const FelixValue& felix, Import& import) {
  const std::string shown = comment_text(felix.key) + ": " + comment_text(felix.value);
  if (const std::optional<Pairs> pairs = convert(felix)) {
    for (const auto& [key, value] : *pairs) {
      const Status status =
          key.empty() ? invalid_argument("not a number of bytes") : set_option(import.settings, key, value);
      if (status.ok()) {
        import.from[key] = comment_text(felix.key);
      } else {
        import.notes.push_back(shown + ": " + comment_text(status.error().message));
      }
    }
    return;
  }
  for (const auto& [prefix, reason] : kWithout) {
    if (!starts_with_ignoring_case(felix.key, prefix)) continue;
    import.without.push_back(shown + ": " + std::string(reason));
    return;
  }
  import.foreign.push_back(comment_text(felix.key));
}

std::string write_yaml(const Import& import, const std::string& title) {
  std::string text = "# Made by `weir config import-felix` from " + title + ".\n";
  for (const OptionRow& row : option_table()) {
    const auto from = import.from.find(row.key);
    if (from == import.from.end()) continue;
    text.append(row.key).append(": ").append(option_yaml(import.settings, row)).append("  # ");
    text.append(from->second).append("\n");
  }
  const auto section = [&](const char* header, const std::vector<std::string>& lines) {
    if (!lines.empty()) text.append("\n# ").append(header).append("\n");
    for (const std::string& line : lines) text.append("#   ").append(line).append("\n");
  };
  section("Not taken over, since Weir does not allow the value:", import.notes);
  section("Without an option in Weir:", import.without);
  section("Not about flow logs:", import.foreign);
  return text;
}

}  // namespace

Result<ImportedFelix> import_felix(const std::string& name, std::string_view text) {
  constexpr std::size_t kMaxBytes = 1 << 20;
  if (text.size() > kMaxBytes) return invalid_argument(name + ": over 1 MiB is no Felix configuration");
  Import import;
  std::string title = comment_text(name);
  if (is_environment(text)) {
    for (const FelixValue& value : read_environment(text)) import_value(value, import);
  } else {
    TRY_ASSIGN(const std::vector<FelixObject> objects, read_objects(name, text));
    if (objects.empty()) {
      return invalid_argument(name +
                              ": neither a FelixConfiguration (projectcalico.org/v3) nor FELIX_ variables in it");
    }
    const auto found = std::find_if(objects.begin(), objects.end(), [](const auto& o) { return o.name == "default"; });
    const FelixObject& chosen = found == objects.end() ? objects.front() : *found;
    for (const FelixValue& value : chosen.values) import_value(value, import);
    for (const FelixObject& object : objects) {
      if (&object != &chosen) {
        import.notes.push_back("FelixConfiguration " + comment_text(object.name) +
                               ": one at a time, import it by itself");
      }
    }
    title = "FelixConfiguration " + comment_text(chosen.name) + " in " + title;
  }
  ImportedFelix result{write_yaml(import, title), std::move(import.notes)};
  return result;
}

}  // namespace weir::config
