#include "config/settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace weir::config {
namespace {

TEST(Settings, EachKindOfOptionIsSetFromText) {
  Settings settings;
  for (const auto& [key, text] :
       std::initializer_list<std::pair<const char*, const char*>>{{"include_labels", "false"},
                                                                  {"aggregation_level_denied", "3"},
                                                                  {"flush_interval", "15s"},
                                                                  {"trace_names", "kind"},
                                                                  {"private_networks", "10.0.0.0/8, fd00::/8"},
                                                                  {"exclude", "port IN {53, 80}"}}) {
    EXPECT_TRUE(set_option(settings, key, text).ok()) << key;
  }
  EXPECT_FALSE(settings.include_labels);
  EXPECT_EQ(settings.aggregation_level_denied, 3);
  EXPECT_EQ(settings.flush_interval, std::chrono::seconds(15));
  EXPECT_EQ(settings.trace_names, "kind");
  EXPECT_EQ(settings.private_networks, (std::vector<std::string>{"10.0.0.0/8", "fd00::/8"}));
  EXPECT_EQ(settings.exclude, (std::vector<std::string>{"port IN {53, 80}"}));
}

TEST(Settings, ABadValueIsOneErrorThatNamesKeyValueAndBounds) {
  const struct {
    const char *key, *text, *want;
  } cases[] = {
      {"aggregation_level_allowed", "4", "aggregation_level_allowed: '4' is not a number from 0 to 3"},
      {"aggregation_level_allowed", "two", "aggregation_level_allowed: 'two' is not a number from 0 to 3"},
      {"flush_interval", "11m", "flush_interval: '11m' is not between 0s and 10m"},
      {"include_labels", "yes", "include_labels: 'yes' is not true or false"},
      {"trace_names", "short", "trace_names: 'short' is not one of documented|kind"},
      {"private_networks", "10.0.0.0/8,ten", "private_networks: 'ten' is not a CIDR block"},
      {"vxlan_ports", "0", "vxlan_ports: '0' is not a port number"},
      {"vxlan_ports", "1,2,3", "vxlan_ports: 3 values, at most 2 are possible"},
      {"sources", "ebpf, pcap", "sources: 'pcap' is not one of auto|ebpf|conntrack|afpacket"},
      {"sources", "", "sources: a value is missing"},
      {"nflog_groups", "65536", "nflog_groups: '65536' is not a group from 0 to 65535"},
      {"interfaces", "a/b", "interfaces: 'a/b' is not the name of an interface"},
      {"log_directory", "logs", "log_directory: 'logs' is not an absolute path"},
      {"node_name", "a\nb", "node_name: '?' is not text without control characters"},
      {"metrics_address", "0.0.0.0:9081",
       "metrics_address: '0.0.0.0:9081' is not a loopback address (127.0.0.1 or [::1])"},
      {"metrics_address", "9081",
       "metrics_address: '9081' is not ADDRESS:PORT (such as 127.0.0.1:9081 or [::1]:9081), or off"},
      {"colour", "blue", "unknown option 'colour'"},
  };
  for (const auto& c : cases) {
    Settings settings;
    const Status status = set_option(settings, c.key, c.text);
    ASSERT_FALSE(status.ok()) << c.key;
    EXPECT_EQ(status.error().message, c.want);
  }
}

TEST(Settings, AnAgentWantsWhatOneOptionAloneCannotTell) {
  const struct {
    const char *key, *text, *want;
  } cases[] = {
      {"sources", "auto,ebpf", "sources: auto stands alone, or the sources are named"},
      {"flush_interval", "0", "flush_interval: an agent wants a window of at least 1s"},
      {"drain_interval", "60s", "drain_interval: 1m is longer than flush_interval, 15s"},
  };
  for (const auto& c : cases) {
    Settings settings;
    settings.flush_interval = std::chrono::seconds(15);
    EXPECT_TRUE(validate_for_agent(settings).ok());
    ASSERT_TRUE(set_option(settings, c.key, c.text).ok()) << c.key;
    const Status status = validate_for_agent(settings);
    ASSERT_FALSE(status.ok()) << c.key;
    EXPECT_EQ(status.error().message, c.want);
  }
}

TEST(Settings, WrittenAsYamlTheyAreReadBackEqual) {
  Settings settings;
  settings.exclude = {"port IN {53, 80}", "label = \"a: b\" # c", "-", ""};
  settings.node_name = "node \"1\": \xC3\xA4 # x";
  settings.sources = {"ebpf", "conntrack"};
  settings.metrics_address = "off";
  settings.timeout_udp = std::chrono::milliseconds(1500);
  settings.vxlan_ports = {"8472"};
  settings.dns_log = false;
  Settings back;
  const Status status = load_settings_text(back, "text", settings_yaml(settings, {}));
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(settings_yaml(back, {}), settings_yaml(settings, {}));
  EXPECT_TRUE(changed_options(settings, back).empty());
}

TEST(Settings, ChangesAndWhereValuesCameFromAreTold) {
  Settings before, after;
  Origins origins;
  ASSERT_TRUE(load_settings_text(after, "weir.yaml", "# x\nflush_interval: 15s\nsources: [ebpf]\n", &origins).ok());
  const char* environment[] = {"WEIR_SOURCES=conntrack", nullptr};
  ASSERT_TRUE(apply_environment(after, environment, &origins).ok());
  EXPECT_EQ(origins, (Origins{{"flush_interval", "weir.yaml:2"}, {"sources", "environment WEIR_SOURCES"}}));
  const auto changed = changed_options(before, after);
  ASSERT_EQ(changed.size(), 2u);
  EXPECT_EQ(changed[0]->key, "flush_interval");
  EXPECT_EQ(changed[0]->reload, Reload::kReload);
  EXPECT_EQ(changed[1]->key, "sources");
  EXPECT_EQ(changed[1]->reload, Reload::kRestart);
  const std::string yaml = settings_yaml(after, origins);
  EXPECT_NE(yaml.find("\nflush_interval: 15s  # weir.yaml:2\n"), std::string::npos);
  EXPECT_NE(yaml.find("\nsources: [conntrack]  # environment WEIR_SOURCES\n"), std::string::npos);
  EXPECT_NE(yaml.find("\ninclude_labels: true  # default\n"), std::string::npos);
}

TEST(Settings, DefaultsAreWithinTheirBounds) {
  std::set<std::string_view> keys;
  for (const OptionRow& row : option_table()) {
    EXPECT_TRUE(keys.insert(row.key).second) << row.key;
    const Settings defaults;
    if (const auto* number = std::get_if<std::int64_t Settings::*>(&row.member)) {
      EXPECT_GE(static_cast<double>(defaults.*(*number)), row.min) << row.key;
      EXPECT_LE(static_cast<double>(defaults.*(*number)), row.max) << row.key;
    }
    if (const auto* text = std::get_if<std::string Settings::*>(&row.member)) {
      Settings settings;
      EXPECT_TRUE(set_option(settings, row.key, defaults.*(*text)).ok()) << row.key;
    }
    if (const auto* list = std::get_if<std::vector<std::string> Settings::*>(&row.member)) {
      std::string text;
      for (const std::string& item : defaults.*(*list)) text += (text.empty() ? "" : ",") + item;
      Settings settings;
      EXPECT_TRUE(text.empty() || set_option(settings, row.key, text).ok()) << row.key;
    }
  }
}

class SettingsFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/weir-settings-XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& text) {
    std::ofstream(folder_ + "/weir.yaml") << text;
    return folder_ + "/weir.yaml";
  }
  std::string folder_;
};

TEST_F(SettingsFile, ReadsAFlatMapping) {
  Settings settings;
  const Status status = load_settings_file(settings, write("flush_interval: 15s\nexclude:\n- ns = a\n- port = 53\n"));
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(settings.flush_interval, std::chrono::seconds(15));
  EXPECT_EQ(settings.exclude.size(), 2u);
}

TEST_F(SettingsFile, ErrorsNameFileLineAndKey) {
  const struct {
    const char *text, *want;
  } cases[] = {
      {"\nflush_intervall: 15s\n", ":2: unknown option 'flush_intervall'"},
      {"flush_interval: [1]\n", ":1: flush_interval: one value is wanted, not a list"},
      {"- a\n", ": a mapping of option names to values is wanted"},
      {"a: [\n", ":2: "},
      {"dns_log: true\ndns_log: false\n", ":2: dns_log is set twice"},
  };
  for (const auto& c : cases) {
    Settings settings;
    const std::string path = write(c.text);
    const Status status = load_settings_file(settings, path);
    ASSERT_FALSE(status.ok()) << c.text;
    EXPECT_TRUE(status.error().message.starts_with(path + c.want)) << status.error().message;
  }
}

TEST(Settings, TheEnvironmentSetsKnownKeysOnly) {
  Settings settings;
  const char* good[] = {"WEIR_FLUSH_INTERVAL=60s", "WEIR_SHARED=/x", "HOME=/root", nullptr};
  ASSERT_TRUE(apply_environment(settings, good).ok());
  EXPECT_EQ(settings.flush_interval, std::chrono::seconds(60));
  const char* bad[] = {"WEIR_FLUSH_INTERVAL=often", nullptr};
  EXPECT_FALSE(apply_environment(settings, bad).ok());
}

TEST(Docs, ConfigurationPageMatchesTheTable) {
  const std::string path = std::string(WEIR_SOURCE_DIR) + "/docs/configuration.md";
  if (std::getenv("WEIR_GOLDEN") != nullptr) std::ofstream(path) << configuration_markdown();
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), configuration_markdown()) << "run ./dev golden";
}

}  // namespace
}  // namespace weir::config
