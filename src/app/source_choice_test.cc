#include "app/source_choice.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace weir::app {
namespace {

/// A kernel that offers everything but `missing`.
std::vector<Finding> kernel_without(const std::vector<std::string>& missing) {
  std::vector<Finding> findings;
  for (const char* name :
       {"btf", "bpf_map", "bpf_program", "ring_buffer", "conntrack", "conntrack_acct", "nflog", "af_packet"}) {
    const bool ok = std::find(missing.begin(), missing.end(), name) == missing.end();
    findings.push_back({name, ok, ok ? "" : "gone"});
  }
  return findings;
}

std::string used(const config::Settings& settings, const std::vector<std::string>& missing) {
  const auto choices = choose_sources(settings, kernel_without(missing));
  std::string names;
  for (const SourceChoice& choice : choices) {
    EXPECT_FALSE(choice.reason.empty()) << choice.source;
    if (choice.used) names.append(names.empty() ? "" : " ").append(choice.source);
  }
  return names + (is_enough(settings, choices) ? "" : " (not enough)");
}

TEST(SourceChoice, AutoTakesTheBestThatWorks) {
  const struct {
    std::vector<std::string> missing;
    const char* want;
  } cases[] = {
      {{}, "ebpf conntrack nflog"},
      {{"conntrack"}, "ebpf nflog"},
      {{"conntrack_acct"}, "ebpf conntrack nflog"},
      {{"btf"}, "conntrack afpacket nflog"},
      {{"ring_buffer", "nflog"}, "conntrack afpacket"},
      {{"bpf_program", "conntrack_acct"}, "afpacket nflog"},
      {{"bpf_map", "conntrack", "af_packet"}, "nflog (not enough)"},
  };
  for (const auto& c : cases) EXPECT_EQ(used({}, c.missing), c.want);
}

TEST(SourceChoice, NamedSourcesAreUsedAndNoOthers) {
  const struct {
    std::vector<std::string> sources;
    const char* nflog;
    std::vector<std::string> missing;
    const char* want;
  } cases[] = {
      {{"ebpf"}, "auto", {}, "ebpf nflog"},
      {{"conntrack"}, "off", {}, "conntrack"},
      {{"conntrack"}, "off", {"conntrack_acct"}, " (not enough)"},
      {{"conntrack", "afpacket"}, "on", {}, "conntrack afpacket nflog"},
      {{"ebpf", "conntrack"}, "on", {"nflog"}, "ebpf conntrack (not enough)"},
      {{"ebpf", "conntrack"}, "off", {"btf"}, "conntrack (not enough)"},
  };
  for (const auto& c : cases) {
    config::Settings settings;
    settings.sources = c.sources;
    settings.nflog = c.nflog;
    EXPECT_EQ(used(settings, c.missing), c.want);
  }
}

TEST(SourceChoice, SaysWhyASourceIsNotUsed) {
  config::Settings settings;
  const auto choices = choose_sources(settings, kernel_without({"btf"}));
  EXPECT_EQ(choices[0].reason, "btf: gone");
  EXPECT_EQ(choose_sources(settings, kernel_without({}))[2].reason, "not needed: ebpf sees the packets");
}

}  // namespace
}  // namespace weir::app
