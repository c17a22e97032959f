// weir policy: its subcommands, and `eval`: connections in, verdicts out, one JSON object a line.

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/policy_commands.h"
#include "app/policy_eval.h"
#include "base/file.h"
#include "cluster/manifest_reader.h"

namespace weir::app {
namespace {

/// A longer line is an error: no query is.
constexpr std::size_t kMaxLineBytes = 1 << 20;

struct Options {
  std::vector<std::string> manifests;
  std::string trace_names = "documented", node_traffic = "evaluate";
  bool blocks_outside_only = false, calico_pending = false, explain = false;
};

/// Answers what has come so far before it waits for more, so that a program can ask and read in turns.
class Conversation {
 public:
  Conversation(PolicyEval& eval, OutputFile& output) : eval_(eval), output_(output) {}

  /// The exit code.
  Result<int> run() {
    char chunk[64 * 1024];
    while (true) {
      const ssize_t size = read(STDIN_FILENO, chunk, sizeof chunk);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return Error{ErrorCode::kUnavailable, std::string("read standard input: ") + std::strerror(errno)};
      if (size == 0) break;
      TRY(take({chunk, static_cast<std::size_t>(size)}));
    }
    if (!pending_.empty()) answer(pending_);
    TRY(output_.flush());
    return failed_ ? 1 : 0;
  }

 private:
  Status take(std::string_view text) {
    for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      pending_ += text.substr(0, end);
      answer(pending_);
      pending_.clear();
      text.remove_prefix(end + 1);
      TRY(output_.flush_if_large());
    }
    pending_ += text;
    if (pending_.size() > kMaxLineBytes) {
      return invalid_argument("line " + std::to_string(line_number_ + 1) + " is longer than 1 MiB");
    }
    return output_.flush();
  }
  void answer(std::string_view line) { failed_ |= !eval_.answer(line, ++line_number_, output_.buffer()); }

  PolicyEval& eval_;
  OutputFile& output_;
  std::string pending_;
  std::uint64_t line_number_ = 0;
  bool failed_ = false;
};

Result<int> eval(const Options& options) {
  cluster::ManifestNotes notes;
  TRY_ASSIGN(cluster::ClusterObjects objects, cluster::load_manifests(options.manifests, &notes));
  for (const std::string& line : notes.lines()) std::fprintf(stderr, "weir: %s\n", line.c_str());
  policy::EngineOptions engine;
  if (options.trace_names == "kind") engine.trace_names = policy::TraceNames::kKind;
  engine.ip_block_matches_pods = !options.blocks_outside_only;
  engine.calico_compatible = options.calico_pending;
  if (options.node_traffic == "allow-local") engine.node_traffic = policy::NodeTraffic::kAllowLocal;
  if (options.node_traffic == "allow-all") engine.node_traffic = policy::NodeTraffic::kAllowAll;
  TRY_ASSIGN(PolicyEval evaluator, PolicyEval::create(std::move(objects), engine, options.explain));
  TRY_ASSIGN(OutputFile output, OutputFile::open("-"));
  return Conversation(evaluator, output).run();
}

}  // namespace

int run_policy(std::span<const char* const> args) {
  Options options;
  CLI::App app("Questions about the policies of a cluster.", "weir policy");
  app.require_subcommand(1);
  CLI::App* command =
      app.add_subcommand("eval", "Decide connections: queries in, verdicts out, one JSON object a line");
  command
      ->add_option("--cluster", options.manifests,
                   "Kubernetes, Calico and Cilium objects: a YAML or JSON file, or a folder of them")
      ->required()
      ->type_name("PATH");
  command->add_option("--trace-names", options.trace_names, "How traces name policies: documented or kind")
      ->check(CLI::IsMember({"documented", "kind"}))
      ->capture_default_str();
  command
      ->add_option("--node-traffic", options.node_traffic, "Between nodes and pods: evaluate, allow-local or allow-all")
      ->check(CLI::IsMember({"evaluate", "allow-local", "allow-all"}))
      ->capture_default_str();
  command->add_flag("--blocks-outside-only", options.blocks_outside_only,
                    "ipBlock and networks match no addresses of pods");
  command->add_flag("--calico-pending", options.calico_pending, "Pending traces as Calico makes them");
  command->add_flag("--explain", options.explain, "Denials say which rule came closest to allowing");
  command->footer(
      "query    {\"src\":\"ns/pod|ip\",\"dst\":\"ns/pod|ip\",\"protocol\":\"TCP|UDP|SCTP|ICMP\",\"port\":80,\n"
      "          optional \"srcPort\",\"icmpType\",\"icmpCode\",\"dstNames\":[...],\"httpMethod\",\"httpPath\"}\n"
      "verdict  {...query...,\"allowed\":true,\"egress\":{\"action\":\"allow|deny\",\"enforced_policies\":[...],\n"
      "          \"pending_policies\":[...]}|null,\"ingress\":{...}|null}    null: no managed pod; an end may have\n"
      "          \"uncertain\":[\"http|layer7|domain|snat\"] and \"nearest_miss\":{...}\n"
      "Exit code: 0 done, 1 a query had no answer ({...query...,\"error\":\"...\"}) or an input failed, 2 usage.");
  const PolicyCommand commands[] = {
      {command, [&] { return eval(options); }}, declare_policy_trace(app), declare_policy_lint(app)};
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  for (const PolicyCommand& one : commands) {
    if (!one.command->parsed()) continue;
    auto code = one.run();
    if (code.ok()) return code.value();
    std::fprintf(stderr, "weir policy %s: %s\n", one.command->get_name().c_str(), code.error().message.c_str());
  }
  return 1;
}

}  // namespace weir::app
