// `weir agent`: the node agent; `weir up`: with a server in the same process.

#include <atomic>
#include <csignal>
#include <cstdio>

#include "app/agent_pipeline.h"
#include "app/capabilities.h"
#include "app/command_line.h"
#include "app/commands.h"
#include "app/server_runtime.h"
#include "app/settings_flags.h"
#include "app/shipping.h"

namespace weir::app {
namespace {

/// Short ways to single options.
struct Flag {
  const char *flag, *key, *help;
};
constexpr Flag kFlags[] = {
    {"--node", "node_name", "this node's name (default: the host's)"},
    {"--cluster", "cluster", "Kubernetes objects as YAML or JSON: files or folders, watched for changes"},
    {"--kubeconfig", "kubeconfig", "the API server to watch"},
    {"--source", "sources", "auto, ebpf, conntrack or afpacket"},
    {"--log-dir", "log_directory", "where flows.log, dns.log, l7.log and agent.log go"},
    {"--interval", "flush_interval", "length of a window"},
};
constexpr Flag kUpFlags[] = {
    {"--data", "data_directory", "where the server keeps everything"},
    {"--listen", "listen_address", "ADDRESS:PORT of the server's API"},
};

/// For the last lines to leave at the end.
constexpr std::chrono::milliseconds kDrainPatience{5'000};

std::atomic<AgentPipeline*> running{nullptr};

void on_signal(int signal) {
  AgentPipeline* pipeline = running.load();
  if (pipeline == nullptr) return;
  if (signal == SIGHUP) {
    pipeline->reload();
  } else {
    pipeline->stop();
  }
}

/// SIGTERM and SIGINT end the agent with a last flush, SIGHUP makes it read its configuration again.
void catch_signals(AgentPipeline* pipeline) {
  running = pipeline;
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

/// Gives up at once what an agent never needs, before it has any thread.
void reduce_privileges(const config::Settings& settings, const std::string& config_file) {
  Capabilities keep = agent_capabilities();
  const auto look_at = [&](const std::string& path, bool write) {
    if (path.empty() || (keep & file_capability()) != 0 || can_use(path, write, keep)) return;
    if (!can_use(path, write, keep | file_capability())) return;
    note_to_stderr("privileges: DAC_OVERRIDE is kept, as " + path + " belongs to somebody else");
    keep |= file_capability();
  };
  look_at(settings.log_directory, true);
  look_at(settings.kubeconfig, false);
  look_at(config_file, false);
  for (const std::string& path : settings.cluster) look_at(path, false);
  const Status status = keep_capabilities(keep);
  if (!status.ok()) note_to_stderr("privileges: more are kept than needed: " + status.error().message);
}

int fail(const char* command, const Error& error) {
  std::fprintf(stderr, "weir %s: %s\n", command, error.message.c_str());
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

/// Of a server in the same process; what is not said, by whatever means, is as for a person who watches.
void settings_of_up(config::Settings& settings, const config::Origins& origins) {
  if (!origins.contains("flush_interval")) settings.flush_interval = std::chrono::seconds(15);
}

/// With `up`, the server half runs beside the agent and gets its logs.
Status run_node(config::Settings settings, const SettingsFlags& flags, bool up) {
  AgentPipeline::Options options;
  options.settings = settings;
  options.node = node_name(settings);
  options.note = note_to_stderr;
  options.config_file = flags.config_file;
  options.reload = [&flags, up]() -> Result<config::Settings> {
    TRY_ASSIGN(ResolvedSettings again, resolve_settings(flags));
    if (up) settings_of_up(again.settings, again.origins);
    return again.settings;
  };
  std::unique_ptr<ship::Shipper> shipper;
  options.destinations = [&shipper] {
    return shipper == nullptr ? std::vector<ship::DestinationStats>() : shipper->stats();
  };
  TRY(shipper_options(settings, options.node, note_to_stderr));  // what is wrong with it is said before anything runs
  reduce_privileges(settings, flags.config_file);
  const std::string node = options.node;
  TRY_ASSIGN(const std::unique_ptr<AgentPipeline> pipeline, AgentPipeline::create(std::move(options)));
  // Threads keep the privileges that they began with: not before the pipeline has given up what it can.
  std::unique_ptr<ServerRuntime> server;
  if (up) {
    TRY_ASSIGN(server, ServerRuntime::start(settings, note_to_stderr));
    note_to_stderr("listening at " + server->url());
    settings.ship_to.push_back("weir name=up url=" + server->url());
  }
  TRY_ASSIGN(ship::ShipperOptions ship_options, shipper_options(settings, node, note_to_stderr));
  if (!ship_options.destinations.empty()) {
    TRY_ASSIGN(shipper, ship::Shipper::create(std::move(ship_options)));
    shipper->start();
  }
  catch_signals(pipeline.get());
  const Status status = pipeline->run();
  running = nullptr;
  if (shipper != nullptr) {
    drain_shipper(*shipper, kDrainPatience);
    shipper->stop();
  }
  if (server != nullptr) server->stop();
  return status;
}

int run_command(std::span<const char* const> args, bool up) {
  CLI::App app{up ? "Runs an agent on this node and a server for its logs in one process (docs/server.md)."
                  : "Watches the connections of this node's pods and writes flow, DNS and L7 logs.\n"
                    "Every option of docs/configuration.md can be given with --set KEY=VALUE or in the file of "
                    "--config."};
  const char* name = up ? "up" : "agent";
  app.name(std::string("weir ") + name);
  SettingsFlags flags;
  add_settings_flags(app, flags);
  std::vector<std::string> values(std::size(kFlags) + std::size(kUpFlags));
  const auto flag_at = [](std::size_t i) {
    return i < std::size(kFlags) ? kFlags[i] : kUpFlags[i - std::size(kFlags)];
  };
  const std::size_t count = up ? values.size() : std::size(kFlags);
  for (std::size_t i = 0; i < count; ++i) app.add_option(flag_at(i).flag, values[i], flag_at(i).help);
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  for (std::size_t i = 0; i < count; ++i) {
    if (!values[i].empty()) flags.set.push_back(std::string(flag_at(i).key) + "=" + values[i]);
  }
  Result<ResolvedSettings> resolved = resolve_settings(flags);
  if (!resolved.ok()) return fail(name, resolved.error());
  if (up) settings_of_up(resolved.value().settings, resolved.value().origins);
  const Status status = run_node(std::move(resolved.value().settings), flags, up);
  return status.ok() ? 0 : fail(name, status.error());
}

}  // namespace

int run_agent(std::span<const char* const> args) { return run_command(args, false); }
int run_up(std::span<const char* const> args) { return run_command(args, true); }

}  // namespace weir::app
