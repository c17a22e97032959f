#pragma once

#include <chrono>
#include <cstdint>
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
  std::chrono::nanoseconds domain_grace = std::chrono::seconds(300);

  // DNS and L7.
  std::int64_t dns_aggregation_level = 1;
  std::int64_t dns_limit = 0;
  std::chrono::nanoseconds dns_timeout = std::chrono::seconds(5);
  std::int64_t l7_aggregation_level = 1;
  std::int64_t l7_limit = 1500;
  std::vector<std::string> trusted_proxies;
  std::string forwarded_for = "rightmost";
};

using OptionMember = std::variant<bool Settings::*, std::int64_t Settings::*, std::chrono::nanoseconds Settings::*,
                                  std::string Settings::*, std::vector<std::string> Settings::*>;

struct OptionRow {
  std::string_view section;
  /// In YAML and `--set key=value`; the environment variable is WEIR_KEY in capitals.
  std::string_view key;
  OptionMember member;
  /// Numbers and durations (seconds): inclusive bounds.
  double min = 0;
  double max = 0;
  /// Text: the allowed words, separated by '|'; empty: any.
  std::string_view choices;
  /// What items of a list are: "cidr", "port", "filter".
  std::string_view item;
  /// One sentence for help and docs.
  std::string_view doc;
  /// The Felix parameter of the same meaning, if there is one.
  std::string_view felix;
};

std::span<const OptionRow> option_table();

/// Sets one option from text; lists are comma-separated and replace the default. The error names key, value and bounds.
Status set_option(Settings& settings, std::string_view key, std::string_view text);

/// Reads a flat YAML mapping of keys to values. The error names the file, the line and the key.
Status load_settings_file(Settings& settings, const std::string& path);

/// Applies WEIR_<KEY> variables of `environment` ("NAME=value"); others are ignored.
Status apply_environment(Settings& settings, const char* const* environment);

/// docs/configuration.md, made from the table.
std::string configuration_markdown();

}  // namespace weir::config
