#include "app/source_choice.h"

#include <algorithm>

namespace weir::app {
namespace {

SourceChoice& row(std::vector<SourceChoice>& choices, std::string_view source) {
  return *std::find_if(choices.begin(), choices.end(), [&](const SourceChoice& c) { return c.source == source; });
}

/// The name of the first that opens.
Result<std::string> choose_connections(const config::Settings& settings, const OpenSource& open,
                                       std::vector<SourceChoice>& choices) {
  std::vector<std::string> names = settings.sources;
  if (std::find(names.begin(), names.end(), "auto") != names.end()) names = {"ebpf", "conntrack", "afpacket"};
  std::string reasons;
  for (const std::string& name : names) {
    SourceChoice& choice = row(choices, name);
    const Status opened = open(SourceRole::kConnections, name);
    if (opened.ok()) {
      choice.used = true;
      choice.reason = "connections" + (reasons.empty() ? "" : " (not " + reasons + ")");
      return name;
    }
    choice.reason = opened.error().message;
    reasons += (reasons.empty() ? "" : "; ") + name + ": " + choice.reason;
  }
  return Error{ErrorCode::kUnavailable, "no source of connections: " + reasons};
}

/// Opens a source for what another one leaves out.
Status add(SourceRole role, std::string_view source, const char* use, const OpenSource& open,
           std::vector<SourceChoice>& choices) {
  Status opened = open(role, source);
  SourceChoice& choice = row(choices, source);
  choice.used = opened.ok();
  choice.reason = opened.ok() ? use : opened.error().message;
  return opened;
}

}  // namespace

Status choose_sources(const config::Settings& settings, const OpenSource& open, std::vector<SourceChoice>& choices) {
  // What is not tried: an earlier one will do, or it was not asked for.
  choices.clear();
  for (const char* name : {"ebpf", "conntrack", "afpacket"}) choices.push_back({name, false, "not needed"});
  choices.push_back({"nflog", false, "off"});
  choices.push_back({"nat", false, "not needed"});
  TRY_ASSIGN(const std::string connections, choose_connections(settings, open, choices));
  if (settings.nflog != "off") {
    const Status hits = add(SourceRole::kVerdicts, "nflog", "verdicts of the data plane", open, choices);
    if (!hits.ok() && settings.nflog == "on") return hits;
  }
  bool before_translation = connections != "conntrack";
  if (!before_translation && (settings.dns_log || settings.l7_log)) {
    before_translation = add(SourceRole::kPayloads, "afpacket", "packets for the DNS and L7 logs", open, choices).ok();
  }
  if (before_translation) {
    (void)add(SourceRole::kTranslations, "nat", "destinations behind services, from conntrack", open, choices);
  }
  return {};
}

Status offered(const std::vector<Finding>& findings, std::string_view source) {
  std::vector<std::string_view> wants = {source};
  if (source == "ebpf") wants = {"bpf_map", "bpf_program", "ring_buffer", "btf"};
  if (source == "afpacket") wants = {"af_packet"};
  if (source == "nat") wants = {"conntrack"};
  for (const std::string_view name : wants) {
    const Finding& finding = find(findings, name);
    if (!finding.ok) return Error{ErrorCode::kUnavailable, std::string(name) + ": " + finding.detail};
  }
  return {};
}

}  // namespace weir::app
