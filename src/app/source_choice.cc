#include "app/source_choice.h"

#include <algorithm>
#include <utility>

namespace weir::app {
namespace {

/// The first of `names` that is missing, as "name: reason"; empty if all are there.
std::string missing(const std::vector<Finding>& findings, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const Finding& finding = find(findings, name);
    if (!finding.ok) return std::string(name) + ": " + finding.detail;
  }
  return {};
}

bool is_named(const config::Settings& settings, std::string_view source) {
  return std::find(settings.sources.begin(), settings.sources.end(), source) != settings.sources.end();
}

/// A source that works: used or not, and the reason for either.
SourceChoice decide(std::string_view source, const std::string& lacks, bool wanted, const char* use,
                    const char* no_use) {
  if (!lacks.empty()) return {source, false, lacks};
  return {source, wanted, wanted ? use : no_use};
}

}  // namespace

std::vector<SourceChoice> choose_sources(const config::Settings& settings, const std::vector<Finding>& findings) {
  const bool automatic = is_named(settings, "auto");
  const std::string no_ebpf = missing(findings, {"bpf_map", "bpf_program", "ring_buffer", "btf"});
  const std::string no_conntrack = missing(findings, {"conntrack"});
  const std::string no_counters = missing(findings, {"conntrack", "conntrack_acct"});
  const std::string no_packets = missing(findings, {"af_packet"});
  const std::string no_nflog = missing(findings, {"nflog"});
  const bool ebpf = no_ebpf.empty() && (automatic || is_named(settings, "ebpf"));

  std::vector<SourceChoice> choices;
  choices.push_back(decide("ebpf", no_ebpf, ebpf, "connections, DNS and HTTP at pods' interfaces", "not named"));
  // Beside eBPF it need not count: it tells which addresses are translations.
  choices.push_back(decide("conntrack", ebpf ? no_conntrack : no_counters, automatic || is_named(settings, "conntrack"),
                           ebpf ? "translated addresses (services)" : "connections", "not named"));
  const bool packets = automatic ? !ebpf : is_named(settings, "afpacket");
  const bool only_packets = !ebpf && !choices.back().used;
  choices.push_back(decide("afpacket", no_packets, packets,
                           only_packets ? "connections, DNS and HTTP at pods' interfaces" : "DNS and HTTP",
                           automatic ? "not needed: ebpf sees the packets" : "not named"));
  choices.push_back(decide("nflog", no_nflog, settings.nflog != "off", "which rules decided", "switched off"));
  return choices;
}

bool is_enough(const config::Settings& settings, const std::vector<SourceChoice>& choices) {
  bool connections = false;
  for (const SourceChoice& choice : choices) {
    const bool is_nflog = choice.source == "nflog";
    connections |= choice.used && !is_nflog;
    const bool demanded = is_nflog ? settings.nflog == "on" : is_named(settings, choice.source);
    if (demanded && !choice.used) return false;
  }
  return connections;
}

}  // namespace weir::app
