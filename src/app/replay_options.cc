#include "app/replay_options.h"

#include <cstdio>
#include <utility>

#include "app/command_line.h"
#include "app/settings_flags.h"

namespace weir::app {
namespace {

/// Flags that set one option each.
struct FlagOption {
  const char* flag;
  std::vector<const char*> keys;
  const char* help;
};

const std::vector<FlagOption>& flag_options() {
  static const std::vector<FlagOption> kFlags = {
      {"--level", {"aggregation_level_allowed", "aggregation_level_denied"}, "aggregation level of all flows, 0 to 3"},
      {"--level-allowed", {"aggregation_level_allowed"}, "aggregation level of allowed flows (2)"},
      {"--level-denied", {"aggregation_level_denied"}, "aggregation level of denied flows (1)"},
      {"--interval", {"flush_interval"}, "length of a window (5m); 0: one window for the whole input"},
      {"--dns-level", {"dns_aggregation_level"}, "aggregation level of the DNS log, 0 or 1 (1)"},
      {"--l7-level", {"l7_aggregation_level"}, "aggregation level of the L7 log, 0 or 1 (1)"},
      {"--trace-names", {"trace_names"}, "form of policy names: documented or kind"},
  };
  return kFlags;
}

Status apply_flags(config::Settings& settings, const std::vector<std::string>& values, bool outer,
                   const std::vector<std::string>& exclude) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].empty()) continue;
    for (const char* key : flag_options()[i].keys) {
      const Status status = config::set_option(settings, key, values[i]);
      if (!status.ok()) return invalid_argument(std::string(flag_options()[i].flag) + ": " + status.error().message);
    }
  }
  if (outer) settings.meter_outer = true;
  settings.exclude.insert(settings.exclude.end(), exclude.begin(), exclude.end());
  return {};
}

Result<config::Settings> resolve_flags(const SettingsFlags& flags, const std::vector<std::string>& values, bool outer,
                                       const std::vector<std::string>& exclude) {
  TRY_ASSIGN(ResolvedSettings resolved, load_settings(flags.config_file));
  TRY(apply_flags(resolved.settings, values, outer, exclude));
  TRY(apply_assignments(flags.set, resolved));
  return std::move(resolved.settings);
}

/// Flows go to standard output unless something else is asked for there.
void default_output(ReplayOptions& options) {
  const bool taken = options.dns == "-" || options.l7 == "-" || options.stats == "-";
  if (options.flows.empty() && !taken) options.flows = "-";
}

}  // namespace

ReplayOptionsOrExit parse_replay_options(std::span<const char* const> args) {
  ReplayOptions options;
  SettingsFlags flags;
  std::vector<std::string> exclude;
  std::vector<std::string> flag_values(flag_options().size());
  bool outer = false;

  CLI::App app{"Reads capture files (pcap, pcapng) and writes flow logs, as the agent on a node would."};
  app.name("weir replay");
  app.add_option("FILE", options.files, "capture files, read one after the other; - is standard input")->required();
  app.add_option("--cluster", options.cluster_paths, "Kubernetes and Calico objects: YAML or JSON files, or folders");
  app.add_option("--node", options.node, "report as this node does (default: every pod is local)");
  for (std::size_t i = 0; i < flag_values.size(); ++i) {
    app.add_option(flag_options()[i].flag, flag_values[i], flag_options()[i].help);
  }
  app.add_flag("--outer", outer, "meter the outside of tunnels");
  app.add_option("--flows", options.flows, "where flow logs go: a path, or - (default)");
  app.add_option("--dns", options.dns, "where DNS logs go");
  app.add_option("--l7", options.l7, "where L7 (HTTP) logs go");
  app.add_option("--stats", options.stats, "where the counts of what was read, written and dropped go");
  app.add_option("--exclude", exclude, "leave out flows that match this filter expression");
  add_settings_flags(app, flags);
  // One word after each flag; only FILE takes many.
  for (CLI::Option* option : app.get_options()) {
    if (option->get_expected_max() > 1 && !option->get_positional())
      option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }

  if (const std::optional<int> code = parse_command_line(app, args)) return {std::nullopt, *code};
  auto settings = resolve_flags(flags, flag_values, outer, exclude);
  if (!settings.ok()) {
    std::fprintf(stderr, "weir replay: %s\n", settings.error().message.c_str());
    return {std::nullopt, 2};
  }
  options.settings = std::move(settings).value();
  default_output(options);
  return {std::move(options), 0};
}

}  // namespace weir::app
