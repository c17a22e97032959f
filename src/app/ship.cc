// `weir ship`: sends a node's logs to destinations, beside an agent that does not, or of a node that has none.

#include <cstdio>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/settings_flags.h"
#include "app/shipping.h"
#include "app/wait_for_end.h"
#include "metrics/agent_routes.h"

namespace weir::app {
namespace {

int fail(const Error& error) {
  std::fprintf(stderr, "weir ship: %s\n", error.message.c_str());
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

std::string status_json(const std::vector<ship::DestinationStats>& destinations) {
  std::string text = "{\"destinations\":" + std::to_string(destinations.size()) + "}\n";
  return text;
}

Status run(const config::Settings& settings, bool once, bool serve_metrics) {
  const EndOfWork end;
  TRY_ASSIGN(ship::ShipperOptions options, shipper_options(settings, node_name(settings), note_to_stderr));
  if (options.destinations.empty()) {
    return invalid_argument("nowhere to send to: --to KIND … or the option ship_to (docs/shipping.md)");
  }
  options.once = once;
  TRY_ASSIGN(const std::unique_ptr<ship::Shipper> shipper, ship::Shipper::create(std::move(options)));
  metrics::Registry registry;
  std::unique_ptr<http::Server> server;
  if (serve_metrics) {
    http::ServerOptions http_options;
    TRY_ASSIGN(http_options.address, SocketAddress::parse(settings.metrics_address));
    TRY_ASSIGN(server, http::Server::start(http_options, metrics::agent_routes(
                                                             registry, [] { return true; },
                                                             [&] { return status_json(shipper->stats()); })));
    note_to_stderr("metrics: http://" + server->address().to_string() + "/metrics");
  }
  shipper->start();
  while (!end.wait(std::chrono::milliseconds(once ? 20 : 1000))) {
    publish_destinations(shipper->stats(), registry);
    if (once && shipper->wait(std::chrono::milliseconds(0))) break;
  }
  shipper->stop();
  if (server != nullptr) server->stop();
  return {};
}

}  // namespace

int run_ship(std::span<const char* const> args) {
  CLI::App app{
      "Sends the lines of flows.log, dns.log, l7.log and agent.log of this node to any number of destinations.\n"
      "Every option of docs/configuration.md can be given with --set KEY=VALUE or in the file of --config."};
  app.name("weir ship");
  SettingsFlags flags;
  add_settings_flags(app, flags);
  std::vector<std::string> to;
  std::string log_directory, state_directory, node, metrics_address;
  bool once = false;
  app.add_option("--to", to, "where: http://SERVER:4680 (a Weir server), \"http url=…\", \"stdout\"; repeatable")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--log-dir", log_directory, "where the logs are (option log_directory)");
  app.add_option("--state-dir", state_directory, "where cursors are kept (option state_directory)");
  app.add_option("--node", node, "this node's name (default: the host's)");
  app.add_option("--metrics", metrics_address, "serve /metrics at this loopback address");
  app.add_flag("--once", once, "end once everything that is in the logs was sent");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  const auto set = [&](const char* key, const std::string& value) {
    if (!value.empty()) flags.set.push_back(std::string(key) + "=" + value);
  };
  set("log_directory", log_directory);
  set("state_directory", state_directory);
  set("node_name", node);
  set("metrics_address", metrics_address);
  Result<ResolvedSettings> resolved = resolve_settings(flags);
  if (!resolved.ok()) return fail(resolved.error());
  config::Settings& settings = resolved.value().settings;
  if (!to.empty()) settings.ship_to = to;
  const Status status = run(settings, once, !metrics_address.empty());
  return status.ok() ? 0 : fail(status.error());
}

}  // namespace weir::app
