// The subcommand table of `weir`.

#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>

#include "app/commands.h"
#include "app/completion.h"

namespace {

struct Command {
  const char* name;
  const char* summary;
  int (*run)(std::span<const char* const> args);
};

constexpr Command kCommands[] = {
    {"agent", "watch this node's connections and write flow, DNS and L7 logs", weir::app::run_agent},
    {"completion", "print a completion script for a shell", weir::app::run_completion},
    {"config", "check, show or import options", weir::app::run_config},
    {"demo", "run a small cluster and show live what its agents see", weir::app::run_demo},
    {"dns", "show DNS lookups, filtered", weir::app::run_dns},
    {"doctor", "tell what this kernel offers and which sources the agent would use", weir::app::run_doctor},
    {"export", "write the records of a range into a file", weir::app::run_export},
    {"graph", "show who talks to whom as a graph", weir::app::run_graph},
    {"observe", "show flow records, filtered", weir::app::run_observe},
    {"policy", "evaluate the policies of a cluster", weir::app::run_policy},
    {"replay", "read capture files, write flow, DNS and L7 logs", weir::app::run_replay},
    {"server", "store logs and answer questions about them", weir::app::run_server},
    {"ship", "send a node's logs to a server or other destinations", weir::app::run_ship},
    {"status", "ask the running agent, or a server, how it does", weir::app::run_status},
    {"top", "show who or what has the most of the traffic", weir::app::run_top},
    {"up", "agent and server in one process", weir::app::run_up},
    {"version", "print the version", weir::app::run_version},
};

void print_usage(std::FILE* out) {
  std::fputs("Weir: network flow logs for Kubernetes\n\nUsage: weir COMMAND [OPTIONS]\n\nCommands:\n", out);
  for (const Command& command : kCommands) std::fprintf(out, "  %-14s %s\n", command.name, command.summary);
  std::fputs("\n`weir COMMAND --help` tells the options of one command.\n", out);
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<const char* const> words(argv, static_cast<std::size_t>(argc));
  if (words.size() < 2) {
    print_usage(stderr);
    return 2;
  }
  if (std::strcmp(words[1], "--help") == 0 || std::strcmp(words[1], "-h") == 0 || std::strcmp(words[1], "help") == 0) {
    print_usage(stdout);
    return 0;
  }
  if (words[1] == weir::app::kCompleteWord) {
    for (const Command& command : kCommands) std::puts(command.name);
    return 0;
  }
  const char* name = std::strcmp(words[1], "--version") == 0 ? "version" : words[1];
  for (const Command& command : kCommands) {
    if (std::strcmp(name, command.name) == 0) return command.run(words.subspan(2));
  }
  std::fprintf(stderr, "weir: unknown command '%s'; `weir help` lists the commands\n", words[1]);
  return 2;
}
