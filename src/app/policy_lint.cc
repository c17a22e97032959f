// weir policy lint: what is odd about the policies of a cluster.

#include "app/policy_lint.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "app/policy_commands.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "cluster/ledger.h"
#include "cluster/manifest_reader.h"

namespace weir::app {
namespace {

using policy::Finding;
using policy::Severity;

struct Options {
  std::vector<std::string> manifests;
  std::string output = "table", fail_on = "never";
};

/// Services joined with what their slices say of the pods behind them.
std::vector<policy::LintService> lint_services(const cluster::ClusterObjects& objects) {
  std::vector<policy::LintService> services;
  for (const cluster::Service& service : objects.services) {
    policy::LintService& made = services.emplace_back();
    made.namespace_name = service.meta.namespace_name;
    made.name = service.meta.name;
    for (const cluster::ServicePort& port : service.ports) made.ports.push_back({port.protocol, port.port, {}});
    for (const cluster::ServiceBackends& part : objects.backends) {
      if (part.service != service.meta.name || part.namespace_name != service.meta.namespace_name) continue;
      for (const cluster::ServiceBackends::Subset& subset : part.subsets) {
        made.addresses.insert(made.addresses.end(), subset.addresses.begin(), subset.addresses.end());
        for (const cluster::ServicePort& target : subset.ports) {
          for (std::size_t i = 0; i < service.ports.size(); ++i) {
            const cluster::ServicePort& port = service.ports[i];
            const bool same = target.name == port.name && target.protocol == port.protocol;
            if (same && target.port != 0) made.ports[i].targets.push_back(target.port);
          }
        }
      }
    }
  }
  return services;
}

int exit_code(const std::vector<Finding>& findings, const std::string& fail_on) {
  if (fail_on == "never") return 0;
  const Severity least = fail_on == "error" ? Severity::kError : Severity::kWarning;
  const auto counts = [&](const Finding& finding) { return finding.severity >= least; };
  return std::any_of(findings.begin(), findings.end(), counts) ? 1 : 0;
}

Result<int> run_lint(const Options& options) {
  cluster::ManifestNotes notes;
  TRY_ASSIGN(cluster::ClusterObjects objects, cluster::load_manifests(options.manifests, &notes));
  for (const std::string& line : notes.lines()) std::fprintf(stderr, "weir: %s\n", line.c_str());
  TRY_ASSIGN(const std::vector<Finding> findings, lint_policies(std::move(objects)));
  TRY_ASSIGN(OutputFile output, OutputFile::open("-"));
  output.buffer() += options.output == "json" ? findings_json(findings) : findings_text(findings);
  TRY(output.flush());
  return exit_code(findings, options.fail_on);
}

std::string count_of(const std::vector<Finding>& findings, Severity severity, const char* one) {
  const auto count =
      std::count_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.severity == severity; });
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

}  // namespace

Result<std::vector<Finding>> lint_policies(cluster::ClusterObjects objects) {
  policy::LintInputs inputs;
  inputs.services = lint_services(objects);
  const cluster::Ledger ledger(std::move(objects));
  inputs.policies = ledger.policy_set();
  inputs.pods.assign(ledger.pods().begin(), ledger.pods().end());
  return policy::lint(inputs);
}

std::string findings_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += std::string(policy::to_string(finding.severity)) + "  " + finding.object;
    if (!finding.path.empty()) text += "  " + finding.path;
    text += "  [" + finding.check + "]\n    " + finding.what + "\n    repair: " + finding.repair + "\n";
  }
  return text + count_of(findings, Severity::kError, "error") + ", " +
         count_of(findings, Severity::kWarning, "warning") + ", " + count_of(findings, Severity::kInfo, "remark") +
         "\n";
}

std::string findings_json(const std::vector<Finding>& findings) {
  std::string text;
  JsonWriter w(text);
  w.open('[');
  for (const Finding& finding : findings) {
    w.open('{');
    w.text("severity", policy::to_string(finding.severity));
    w.text("check", finding.check);
    w.text("object", finding.object);
    w.text("path", finding.path);
    w.text("what", finding.what);
    w.text("repair", finding.repair);
    w.close('}');
  }
  w.close(']');
  return text + "\n";
}

PolicyCommand declare_policy_lint(CLI::App& parent) {
  auto options = std::make_shared<Options>();
  CLI::App* command = parent.add_subcommand("lint", "Tell what is odd about the policies, and how to repair it");
  command
      ->add_option("--cluster", options->manifests,
                   "Kubernetes, Calico and Cilium objects, pods and services too: a YAML or JSON file, or a folder")
      ->required()
      ->type_name("PATH");
  command->add_option("-o,--output", options->output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  command->add_option("--fail-on", options->fail_on, "Exit with 1 where a finding is at least a warning, or an error")
      ->check(CLI::IsMember({"never", "warning", "error"}))
      ->capture_default_str();
  command->footer("Exit code: 0 done, 1 an input failed, or as --fail-on says; 2 usage.");
  return {command, [options] { return run_lint(*options); }};
}

}  // namespace weir::app
