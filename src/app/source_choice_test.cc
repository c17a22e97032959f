#include "app/source_choice.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace weir::app {
namespace {

/// A kernel that offers everything but `missing`.
std::vector<Finding> kernel_without(const std::vector<std::string>& missing) {
  std::vector<Finding> findings;
  for (const char* name : {"btf", "bpf_map", "bpf_program", "ring_buffer", "conntrack", "nflog", "af_packet"}) {
    const bool ok = std::find(missing.begin(), missing.end(), name) == missing.end();
    findings.push_back({name, ok, ok ? "" : "gone"});
  }
  return findings;
}

struct Chosen {
  Status status;
  std::vector<SourceChoice> choices;
};

Chosen choose(const config::Settings& settings, const std::vector<std::string>& missing) {
  Chosen chosen;
  const std::vector<Finding> findings = kernel_without(missing);
  chosen.status = choose_sources(
      settings, [&](SourceRole, std::string_view source) { return offered(findings, source); }, chosen.choices);
  return chosen;
}

std::string used(const config::Settings& settings, const std::vector<std::string>& missing) {
  const Chosen chosen = choose(settings, missing);
  std::string names;
  for (const SourceChoice& choice : chosen.choices) {
    EXPECT_FALSE(choice.reason.empty()) << choice.source;
    if (choice.used) names.append(names.empty() ? "" : " ").append(choice.source);
  }
  return names + (chosen.status.ok() ? "" : "(not enough)");
}

TEST(SourceChoice, AutoTakesTheBestThatWorks) {
  const struct {
    std::vector<std::string> missing;
    const char* want;
  } cases[] = {
      {{}, "ebpf nflog nat"},
      {{"conntrack"}, "ebpf nflog"},
      {{"btf"}, "conntrack afpacket nflog nat"},
      {{"ring_buffer", "nflog"}, "conntrack afpacket nat"},
      {{"bpf_program", "conntrack"}, "afpacket nflog"},
      {{"bpf_program", "af_packet"}, "conntrack nflog"},
      {{"bpf_map", "conntrack", "af_packet"}, "(not enough)"},
  };
  for (const auto& c : cases) EXPECT_EQ(used({}, c.missing), c.want);
}

TEST(SourceChoice, OfNamedSourcesTheFirstThatOpensTellsOfConnections) {
  const struct {
    std::vector<std::string> sources;
    const char* nflog;
    std::vector<std::string> missing;
    bool payload_logs;
    const char* want;
  } cases[] = {
      {{"ebpf"}, "auto", {}, true, "ebpf nflog nat"},
      {{"conntrack"}, "off", {}, false, "conntrack"},
      {{"conntrack"}, "off", {"conntrack"}, true, "(not enough)"},
      {{"conntrack", "afpacket"}, "on", {}, true, "conntrack afpacket nflog nat"},
      {{"ebpf", "conntrack"}, "on", {"nflog"}, true, "ebpf(not enough)"},
      {{"ebpf", "conntrack"}, "off", {"btf"}, false, "conntrack"},
  };
  for (const auto& c : cases) {
    config::Settings settings;
    settings.sources = c.sources;
    settings.nflog = c.nflog;
    settings.dns_log = settings.l7_log = c.payload_logs;
    EXPECT_EQ(used(settings, c.missing), c.want);
  }
}

TEST(SourceChoice, SaysWhyASourceIsNotUsed) {
  const Chosen without = choose({}, {"btf"});
  EXPECT_EQ(without.choices[0].reason, "btf: gone");
  EXPECT_EQ(without.choices[1].reason, "connections (not ebpf: btf: gone)");
  EXPECT_EQ(choose({}, {}).choices[2].reason, "not needed");
  EXPECT_EQ(choose({}, {"btf", "conntrack", "af_packet"}).status.error().message,
            "no source of connections: ebpf: btf: gone; conntrack: conntrack: gone; afpacket: af_packet: gone");
}

}  // namespace
}  // namespace weir::app
