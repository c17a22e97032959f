// weir policy trace: how the policies of a cluster decide one connection.

#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "app/policy_commands.h"
#include "app/policy_trace.h"
#include "base/file.h"
#include "base/rfc3339.h"
#include "cluster/manifest_reader.h"
#include "model/protocol.h"

namespace weir::app {
namespace {

struct Options {
  std::vector<std::string> manifests;
  std::string source, dest, protocol = "tcp", time, output = "table", trace_names = "documented";
  bool staged = false;
};

/// RFC 3339, or seconds since the Unix epoch.
Result<std::int64_t> read_time(const std::string& text) {
  if (const auto time = parse_rfc3339(text)) return *time;
  std::int64_t seconds = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (failed == std::errc() && end == text.data() + text.size() && seconds >= 0 && seconds < 9'000'000'000) {
    return seconds * 1'000'000'000;
  }
  return invalid_argument("--at: '" + text + "' is neither a time like 2026-01-31T12:00:00Z nor seconds since 1970");
}

Result<TraceQuestion> read_question(const Options& options) {
  TraceQuestion question;
  question.source = options.source;
  question.dest = options.dest;
  const int protocol = model::parse_protocol(options.protocol);
  if (protocol < 0) return invalid_argument("--protocol: '" + options.protocol + "' is not known");
  question.protocol = static_cast<std::uint8_t>(protocol);
  question.staged = options.staged;
  question.json = options.output == "json";
  if (options.trace_names == "kind") question.engine.trace_names = policy::TraceNames::kKind;
  if (!options.time.empty()) {
    TRY_ASSIGN(const std::int64_t time, read_time(options.time));
    question.time_ns = time;
  }
  TRY(check_addresses(question));
  return question;
}

Result<int> trace(const Options& options) {
  const auto question = read_question(options);
  if (!question.ok()) {
    std::fprintf(stderr, "weir policy trace: %s\n", question.error().message.c_str());
    return 2;
  }
  cluster::ManifestNotes notes;
  TRY_ASSIGN(cluster::ClusterObjects objects, cluster::load_manifests(options.manifests, &notes));
  for (const std::string& line : notes.lines()) std::fprintf(stderr, "weir: %s\n", line.c_str());
  TRY_ASSIGN(const std::string text, trace_policies(std::move(objects), question.value()));
  TRY_ASSIGN(OutputFile output, OutputFile::open("-"));
  output.buffer() += text;
  TRY(output.flush());
  return 0;
}

}  // namespace

PolicyCommand declare_policy_trace(CLI::App& parent) {
  auto options = std::make_shared<Options>();
  CLI::App* command = parent.add_subcommand("trace", "Tell rule by rule how a connection is decided at both ends");
  command->add_option("SOURCE", options->source, "namespace/pod, or an address")->required();
  command->add_option("DEST:PORT", options->dest, "the same with a port, unless the protocol has none")->required();
  command
      ->add_option("--cluster", options->manifests,
                   "Kubernetes, Calico and Cilium objects: a YAML or JSON file, or a folder of them")
      ->required()
      ->type_name("PATH");
  command->add_option("--protocol", options->protocol, "tcp, udp, sctp, icmp, icmp6 or a number")
      ->capture_default_str();
  command->add_flag("--staged", options->staged, "Tell it with staged policies in force");
  command->add_option("--at", options->time, "As it was then: 2026-01-31T12:00:00Z, or seconds since 1970")
      ->type_name("TIME");
  command->add_option("-o,--output", options->output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  command->add_option("--trace-names", options->trace_names, "How traces name policies: documented or kind")
      ->check(CLI::IsMember({"documented", "kind"}))
      ->capture_default_str();
  command->footer("Exit code: 0 told, whatever the verdict; 1 an input failed; 2 usage.");
  return {command, [options] { return trace(*options); }};
}

}  // namespace weir::app
