#pragma once

#include <span>

/// One function per subcommand: reads its options, builds the components, connects and runs them.
/// `args` are the words after the subcommand. Returns the exit code: 0 done, 1 failed, 2 usage.
namespace weir::app {

int run_completion(std::span<const char* const> args);
int run_config(std::span<const char* const> args);
int run_dns(std::span<const char* const> args);
int run_doctor(std::span<const char* const> args);
int run_policy(std::span<const char* const> args);
int run_agent(std::span<const char* const> args);
int run_demo(std::span<const char* const> args);
int run_export(std::span<const char* const> args);
int run_graph(std::span<const char* const> args);
int run_observe(std::span<const char* const> args);
int run_replay(std::span<const char* const> args);
int run_server(std::span<const char* const> args);
int run_ship(std::span<const char* const> args);
int run_status(std::span<const char* const> args);
int run_top(std::span<const char* const> args);
int run_up(std::span<const char* const> args);
int run_version(std::span<const char* const> args);

}  // namespace weir::app
