// `weir agent`: the node agent.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "app/agent_pipeline.h"
#include "app/capabilities.h"
#include "app/command_line.h"
#include "app/commands.h"
#include "app/settings_flags.h"

namespace weir::app {
namespace {

/// Short ways to single options.
constexpr struct {
  const char *flag, *key, *help;
} kFlags[] = {
    {"--node", "node_name", "this node's name (default: the host's)"},
    {"--cluster", "cluster", "Kubernetes objects as YAML or JSON: files or folders, watched for changes"},
    {"--kubeconfig", "kubeconfig", "the API server to watch"},
    {"--source", "sources", "auto, ebpf, conntrack or afpacket"},
    {"--log-dir", "log_directory", "where flows.log, dns.log, l7.log and agent.log go"},
    {"--interval", "flush_interval", "length of a window"},
};

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

/// One line of the agent's own log, on standard error: time, text.
void note(std::string_view text) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char time[32];
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &utc);
  std::fprintf(stderr, "%s %.*s\n", time, static_cast<int>(text.size()), text.data());
}

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

/// Gives up at once what an agent never needs, before it has any thread.
void reduce_privileges(const config::Settings& settings, const std::string& config_file) {
  Capabilities keep = agent_capabilities();
  const auto look_at = [&](const std::string& path, bool write) {
    if (path.empty() || (keep & file_capability()) != 0 || can_use(path, write, keep)) return;
    if (!can_use(path, write, keep | file_capability())) return;
    note("privileges: DAC_OVERRIDE is kept, as " + path + " belongs to somebody else");
    keep |= file_capability();
  };
  look_at(settings.log_directory, true);
  look_at(settings.kubeconfig, false);
  look_at(config_file, false);
  for (const std::string& path : settings.cluster) look_at(path, false);
  const Status status = keep_capabilities(keep);
  if (!status.ok()) note("privileges: more are kept than needed: " + status.error().message);
}

int fail(const Error& error) {
  std::fprintf(stderr, "weir agent: %s\n", error.message.c_str());
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

}  // namespace

int run_agent(std::span<const char* const> args) {
  CLI::App app{
      "Watches the connections of this node's pods and writes flow, DNS and L7 logs.\n"
      "Every option of docs/configuration.md can be given with --set KEY=VALUE or in the file of --config."};
  app.name("weir agent");
  SettingsFlags flags;
  add_settings_flags(app, flags);
  std::vector<std::string> values(std::size(kFlags));
  for (std::size_t i = 0; i < values.size(); ++i) app.add_option(kFlags[i].flag, values[i], kFlags[i].help);
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i].empty()) flags.set.push_back(std::string(kFlags[i].key) + "=" + values[i]);
  }
  const Result<ResolvedSettings> resolved = resolve_settings(flags);
  if (!resolved.ok()) return fail(resolved.error());

  AgentPipeline::Options options;
  options.settings = resolved.value().settings;
  options.node = options.settings.node_name.empty() ? host_name() : options.settings.node_name;
  options.note = note;
  options.config_file = flags.config_file;
  options.reload = [&flags]() -> Result<config::Settings> {
    TRY_ASSIGN(const ResolvedSettings again, resolve_settings(flags));
    return again.settings;
  };
  reduce_privileges(options.settings, flags.config_file);
  auto created = AgentPipeline::create(std::move(options));
  if (!created.ok()) return fail(created.error());
  catch_signals(created.value().get());
  const Status status = created.value()->run();
  running = nullptr;
  return status.ok() ? 0 : fail(status.error());
}

}  // namespace weir::app
