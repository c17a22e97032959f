// `weir doctor`: what the kernel offers, what the agent would use, and what is in the way.

#include <algorithm>
#include <cstdio>
#include <string>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/kernel_probes.h"
#include "app/settings_flags.h"
#include "app/source_choice.h"
#include "base/json.h"

namespace weir::app {
namespace {

struct Diagnosis {
  std::string kernel;
  std::vector<Finding> findings;
  std::vector<SourceChoice> sources;
  std::vector<std::string> interfaces;
  bool ok = false;
};

Diagnosis diagnose(const config::Settings& settings) {
  Diagnosis diagnosis;
  diagnosis.kernel = kernel_release();
  diagnosis.findings = probe_kernel(settings);
  const Status enough = choose_sources(
      settings, [&](SourceRole, std::string_view source) { return offered(diagnosis.findings, source); },
      diagnosis.sources);
  diagnosis.interfaces = matching_interfaces(settings.interfaces);
  diagnosis.ok = enough.ok() && find(diagnosis.findings, "log_directory").ok;
  return diagnosis;
}

void print_text(const Diagnosis& diagnosis) {
  std::printf("%s\n\n", diagnosis.kernel.c_str());
  for (const Finding& finding : diagnosis.findings) {
    std::printf("  %-4s %-20s %s\n", finding.ok ? "yes" : "no", std::string(finding.name).c_str(),
                finding.detail.c_str());
  }
  std::puts("\nSources the agent would use:");
  for (const SourceChoice& choice : diagnosis.sources) {
    std::printf("  %-4s %-20s %s\n", choice.used ? "yes" : "no", std::string(choice.source).c_str(),
                choice.reason.c_str());
  }
  std::puts(diagnosis.ok ? "\nThe agent can run." : "\nThe agent cannot run as it is configured: see `no` above.");
}

void append_row(std::string& out, const char* key, std::string_view name, const char* flag, bool value,
                const char* text_key, const std::string& text) {
  out.append("{\"").append(key).append("\":");
  json::append_string(out, name);
  out.append(",\"").append(flag).append(value ? "\":true,\"" : "\":false,\"").append(text_key).append("\":");
  json::append_string(out, text);
  out += '}';
}

std::string to_json(const Diagnosis& diagnosis) {
  std::string out = "{\"kernel\":";
  json::append_string(out, diagnosis.kernel);
  out += ",\"checks\":[";
  for (const Finding& finding : diagnosis.findings) {
    if (out.back() != '[') out += ',';
    append_row(out, "name", finding.name, "ok", finding.ok, "detail", finding.detail);
  }
  out += "],\"sources\":[";
  for (const SourceChoice& choice : diagnosis.sources) {
    if (out.back() != '[') out += ',';
    append_row(out, "name", choice.source, "used", choice.used, "reason", choice.reason);
  }
  out += "],\"interfaces\":[";
  for (const std::string& name : diagnosis.interfaces) {
    if (out.back() != '[') out += ',';
    json::append_string(out, name);
  }
  return out + (diagnosis.ok ? "],\"ok\":true}\n" : "],\"ok\":false}\n");
}

}  // namespace

int run_doctor(std::span<const char* const> args) {
  SettingsFlags flags;
  std::string format = "text";
  CLI::App app("Tells what this kernel offers, which sources the agent would use, and why not the others.",
               "weir doctor");
  add_settings_flags(app, flags);
  app.add_option("-o,--output", format, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  app.footer("Exit code: 0 the agent can run, 1 it cannot, 2 usage.");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  const auto resolved = resolve_settings(flags);
  if (!resolved.ok()) {
    std::fprintf(stderr, "weir doctor: %s\n", resolved.error().message.c_str());
    return 2;
  }
  const Diagnosis diagnosis = diagnose(resolved.value().settings);
  if (format == "json") {
    std::fputs(to_json(diagnosis).c_str(), stdout);
  } else {
    print_text(diagnosis);
  }
  return diagnosis.ok ? 0 : 1;
}

}  // namespace weir::app
