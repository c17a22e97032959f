#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/private_networks.h"

/// Every option of the node half, declared once: the row in option_table() feeds YAML, the environment, flags,
/// validation, help and docs/configuration.md.
namespace weir::config {

struct Settings {
  // Windows and aggregation.
  std::chrono::nanoseconds flush_interval = std::chrono::seconds(300);
  std::int64_t aggregation_level_allowed = 2;
  std::int64_t aggregation_level_denied = 1;
  bool include_labels = true;
  bool include_policies = true;
  bool include_services = true;
  std::int64_t external_ips_limit = 50;
  std::int64_t original_source_ips_limit = 50;
  std::int64_t domains_limit = 5;
  std::int64_t nat_outgoing_ports_limit = 3;
  bool collect_process_info = true;
  std::int64_t process_limit = 2;
  std::int64_t max_flow_keys = 1'000'000;
  std::vector<std::string> exclude;

  // Capture and packets.
  bool meter_outer = false;
  std::vector<std::string> vxlan_ports;

  // Connections. Defaults are those of the Linux connection tracker.
  std::int64_t max_connections = 10'000'000;
  std::chrono::nanoseconds timeout_tcp_syn_sent = std::chrono::seconds(120);
  std::chrono::nanoseconds timeout_tcp_syn_recv = std::chrono::seconds(60);
  std::chrono::nanoseconds timeout_tcp_established = std::chrono::hours(120);
  std::chrono::nanoseconds timeout_tcp_fin_wait = std::chrono::seconds(120);
  std::chrono::nanoseconds timeout_tcp_close_wait = std::chrono::seconds(60);
  std::chrono::nanoseconds timeout_tcp_last_ack = std::chrono::seconds(30);
  std::chrono::nanoseconds timeout_tcp_time_wait = std::chrono::seconds(120);
  std::chrono::nanoseconds timeout_tcp_close = std::chrono::seconds(10);
  std::chrono::nanoseconds timeout_udp = std::chrono::seconds(30);
  std::chrono::nanoseconds timeout_udp_stream = std::chrono::seconds(120);
  std::chrono::nanoseconds timeout_icmp = std::chrono::seconds(30);
  std::chrono::nanoseconds timeout_sctp = std::chrono::seconds(210);
  std::chrono::nanoseconds timeout_generic = std::chrono::seconds(600);
  std::chrono::nanoseconds timeout_active = std::chrono::nanoseconds(0);

  // Context.
  std::vector<std::string> private_networks{model::kPrivateNetworks.begin(), model::kPrivateNetworks.end()};
  std::string trace_names = "documented";
  bool ip_block_matches_pods = true;
  std::string node_traffic = "evaluate";
  std::string staged_policies = "replace";
  std::chrono::nanoseconds domain_grace = std::chrono::seconds(300);

  // DNS and L7.
  std::int64_t dns_aggregation_level = 1;
  std::int64_t dns_limit = 0;
  std::chrono::nanoseconds dns_timeout = std::chrono::seconds(5);
  std::int64_t l7_aggregation_level = 1;
  std::int64_t l7_limit = 1500;
  std::vector<std::string> trusted_proxies;
  std::string forwarded_for = "rightmost";

  // Agent: what it listens to.
  std::vector<std::string> sources{"auto"};
  std::string nflog = "auto";
  std::vector<std::string> nflog_groups{"1", "2"};
  std::vector<std::string> interfaces{"cali*", "lxc*", "azv*", "eni*", "gke*", "veth*"};
  std::chrono::nanoseconds drain_interval = std::chrono::seconds(1);
  std::string bpf_pin_directory = "/sys/fs/bpf";
  std::int64_t flow_table_entries = 131'072;
  std::chrono::nanoseconds conntrack_dump_interval = std::chrono::seconds(5);
  std::int64_t conntrack_buffer_mb = 8;
  std::int64_t nflog_buffer_mb = 8;
  std::int64_t packet_ring_kb = 2048;

  // Agent: the cluster.
  std::string node_name;
  std::string kubeconfig;
  std::vector<std::string> cluster;
  std::string policy_evaluation_mode = "Continuous";

  // Agent: logs.
  std::string log_directory = "/var/log/weir";
  std::int64_t log_max_size_mb = 100;
  std::int64_t log_max_files = 5;
  std::int64_t log_buffer_mb = 64;
  bool flow_log_allowed = true;
  bool flow_log_denied = true;
  bool dns_log = true;
  bool l7_log = true;

  // Agent: limits, state, metrics.
  std::int64_t cpu_limit_percent = 50;
  std::int64_t memory_limit_mb = 512;
  std::string state_directory = "/var/lib/weir";
  std::string metrics_address = "127.0.0.1:9081";
};

using OptionMember = std::variant<bool Settings::*, std::int64_t Settings::*, std::chrono::nanoseconds Settings::*,
                                  std::string Settings::*, std::vector<std::string> Settings::*>;

/// Whether a running agent takes a new value over (SIGHUP, or the file changed), or must be started again.
enum class Reload : std::uint8_t { kRestart, kReload };

struct OptionRow {
  std::string_view section;
  /// In YAML and `--set key=value`; the environment variable is WEIR_KEY in capitals.
  std::string_view key;
  OptionMember member;
  /// Numbers and durations (seconds): inclusive bounds. Lists: the fewest and most items; 0: no bound.
  double min = 0;
  double max = 0;
  /// Text, and items that are a "word": the allowed words, separated by '|'; empty: any.
  std::string_view choices;
  /// What text or the items of a list are: "address", "cidr", "directory", "filter", "group", "name", "path", "port",
  /// "wildcard", "word".
  std::string_view item;
  /// One sentence for help and docs.
  std::string_view doc;
  /// The Felix parameter of the same meaning, if there is one.
  std::string_view felix;
  Reload reload = Reload::kRestart;
};

std::span<const OptionRow> option_table();
/// Null if there is no such option.
const OptionRow* find_option(std::string_view key);

/// Where values come from, by key: "/etc/weir.yaml:3". What is not in it has its default.
using Origins = std::map<std::string, std::string, std::less<>>;

/// Sets one option from text; lists are comma-separated and replace the default. The error names key, value and bounds.
Status set_option(Settings& settings, std::string_view key, std::string_view text);

/// Reads a flat YAML mapping of keys to values. The error names the file, the line and the key.
Status load_settings_file(Settings& settings, const std::string& path, Origins* origins = nullptr);
/// The same from text; `name` stands for the file in errors and origins.
Status load_settings_text(Settings& settings, const std::string& name, std::string_view text,
                          Origins* origins = nullptr);

/// Applies WEIR_<KEY> variables of `environment` ("NAME=value"); others are ignored.
Status apply_environment(Settings& settings, const char* const* environment, Origins* origins = nullptr);

/// What only the agent asks of options, and what none can tell alone: the first violation.
Status validate_for_agent(const Settings& settings);

/// The rows whose values differ.
std::vector<const OptionRow*> changed_options(const Settings& before, const Settings& after);

/// The value as YAML: `5m`, `true`, `[cali*, "a b"]`.
std::string option_yaml(const Settings& settings, const OptionRow& row);
/// All options as a YAML file that load_settings_text() reads, each with its origin as a comment.
std::string settings_yaml(const Settings& settings, const Origins& origins);

/// docs/configuration.md, made from the table.
std::string configuration_markdown();

}  // namespace weir::config
