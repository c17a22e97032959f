#include "app/kernel_probes.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/source_choice.h"

namespace weir::app {
namespace {

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

TEST(KernelProbes, EachSaysSomethingAndLeavesNothingOpen) {
  const std::size_t before = open_descriptors();
  const config::Settings settings;
  const std::vector<Finding> findings = probe_kernel(settings);
  EXPECT_EQ(open_descriptors(), before);
  for (const Finding& finding : findings) EXPECT_FALSE(finding.detail.empty()) << finding.name;
  for (const char* source : {"ebpf", "conntrack", "afpacket", "nflog", "nat"}) (void)offered(findings, source);
}

TEST(KernelProbes, FoldersAreToBeWritable) {
  char pattern[] = "/tmp/weir-probe-XXXXXX";
  const std::string folder = ::mkdtemp(pattern);
  std::ofstream(folder + "/file") << "x";
  const struct {
    std::string path;
    bool ok;
    const char* want;
  } cases[] = {
      {folder, true, "MiB free"},
      {folder + "/not/yet/there", true, "(will be made)"},
      {folder + "/file", false, "is no directory"},
      {folder + "/file/logs", false, "Not a directory"},
      {"/proc/weir", false, ""},
  };
  for (const auto& c : cases) {
    config::Settings settings;
    settings.log_directory = c.path;
    const std::vector<Finding> findings = probe_kernel(settings);
    const Finding& finding = find(findings, "log_directory");
    EXPECT_EQ(finding.ok, c.ok) << c.path << ": " << finding.detail;
    EXPECT_NE(finding.detail.find(c.want), std::string::npos) << finding.detail;
  }
  std::filesystem::remove_all(folder);
}

TEST(KernelProbes, InterfacesAreFoundByWildcard) {
  EXPECT_EQ(matching_interfaces({"l?"}), std::vector<std::string>{"lo"});
  EXPECT_EQ(matching_interfaces({"no-such*", "lo"}), std::vector<std::string>{"lo"});
  EXPECT_TRUE(matching_interfaces({"no-such*"}).empty());
}

}  // namespace
}  // namespace weir::app
