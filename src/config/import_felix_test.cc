#include "config/import_felix.h"

#include <gtest/gtest.h>

#include "config/settings.h"

namespace weir::config {
namespace {

std::string import(const std::string& text) {
  const auto imported = import_felix("felix.yaml", text);
  if (!imported.ok()) return "error: " + imported.error().message;
  Settings settings;
  const Status status = load_settings_text(settings, "imported", imported.value().yaml);
  EXPECT_TRUE(status.ok()) << status.error().message << "\n" << imported.value().yaml;
  return imported.value().yaml;
}

std::string object(const std::string& spec, const std::string& name = "default") {
  return "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata:\n  name: " + name + "\nspec:\n" + spec;
}

TEST(ImportFelix, AFelixConfigurationBecomesOurOptionsWithTheFelixNames) {
  EXPECT_EQ(import(object("  flowLogsFlushInterval: 1m0s\n"
                          "  flowLogsFileAggregationKindForAllowed: 1\n"
                          "  flowLogsFileIncludeLabels: true\n"
                          "  flowLogsFileDirectory: /var/log/calico/flowlogs\n"
                          "  flowLogsEnableHostEndpoint: true\n"
                          "  dnsLogsFlushInterval: 30s\n"
                          "  bpfEnabled: true\n"
                          "  healthPort: 9099\n")),
            "# Made by `weir config import-felix` from FelixConfiguration default in felix.yaml.\n"
            "flush_interval: 1m  # flowLogsFlushInterval\n"
            "aggregation_level_allowed: 1  # flowLogsFileAggregationKindForAllowed\n"
            "include_labels: true  # flowLogsFileIncludeLabels\n"
            "log_directory: /var/log/calico/flowlogs  # flowLogsFileDirectory\n"
            "\n# Without an option in Weir:\n"
            "#   flowLogsEnableHostEndpoint: true: host endpoints are not reported\n"
            "#   dnsLogsFlushInterval: 30s: one flush_interval for all logs\n"
            "\n# Not about flow logs:\n"
            "#   bpfEnabled\n"
            "#   healthPort\n");
}

TEST(ImportFelix, EachFelixNameOfTheOptionTableIsTakenOver) {
  for (const OptionRow& row : option_table()) {
    if (row.felix.empty()) continue;
    std::string value = "7";
    if (std::holds_alternative<bool Settings::*>(row.member)) value = "false";
    if (std::holds_alternative<std::chrono::nanoseconds Settings::*>(row.member)) value = "1m30s";
    if (!row.choices.empty()) value = row.choices.substr(row.choices.rfind('|') + 1);
    if (row.item == "directory") value = "/logs";
    if (row.key.find("aggregation_level") != std::string_view::npos) value = "0";
    const std::string yaml = import(object("  " + std::string(row.felix) + ": " + value + "\n"));
    EXPECT_NE(yaml.find("\n" + std::string(row.key) + ": "), std::string::npos) << row.felix << "\n" << yaml;
  }
}

TEST(ImportFelix, ValuesInOtherUnitsAndWordsAreConverted) {
  const struct {
    const char *spec, *want;
  } cases[] = {
      {"  nfNetlinkBufSize: 4194304\n", "nflog_buffer_mb: 4  # nfNetlinkBufSize\n"},
      {"  nfNetlinkBufSize: 65536\n", "nflog_buffer_mb: 1  # nfNetlinkBufSize\n"},
      {"  interfacePrefix: cali,tap\n", "interfaces: [cali*, tap*]  # interfacePrefix\n"},
      {"  prometheusReporterPort: 9092\n", "metrics_address: \"127.0.0.1:9092\"  # prometheusReporterPort\n"},
      {"  prometheusReporterEnabled: false\n", "metrics_address: off  # prometheusReporterEnabled\n"},
      {"  flowLogsFileEnabled: false\n",
       "flow_log_allowed: false  # flowLogsFileEnabled\nflow_log_denied: false  # flowLogsFileEnabled\n"},
      {"  flowLogsFileEnabled: true\n", ""},
      {"  flowLogsPolicyEvaluationMode: None\n",
       "policy_evaluation_mode: OnNewConnection  # flowLogsPolicyEvaluationMode\n"},
      {"  bpfConntrackTimeouts:\n    tcpSynSent: 20s\n    udpTimeout: Auto\n    icmpTimeout: 5s\n",
       "timeout_tcp_syn_sent: 20s  # bpfConntrackTimeouts.tcpSynSent\n"
       "timeout_icmp: 5s  # bpfConntrackTimeouts.icmpTimeout\n"},
  };
  for (const auto& c : cases) {
    const std::string yaml = import(object(c.spec));
    EXPECT_EQ(yaml.substr(yaml.find('\n') + 1), c.want) << c.spec;
  }
}

TEST(ImportFelix, AnEnvironmentFileHasDurationsInSecondsAndManyWordsForASwitch) {
  const std::string yaml = import(
      "# node agent\nPATH=/bin\nexport FELIX_FLOWLOGSFLUSHINTERVAL=\"120\"\nFELIX_FLOWLOGSFILEINCLUDELABELS=no\n"
      "FELIX_FLOWLOGSFILEENABLED=0\r\nFELIX_DNSLOGSFILEPERNODELIMIT='1000'\nFELIX_LOGSEVERITYSCREEN=info\n");
  EXPECT_EQ(yaml,
            "# Made by `weir config import-felix` from felix.yaml.\n"
            "flush_interval: 2m  # FLOWLOGSFLUSHINTERVAL\n"
            "include_labels: false  # FLOWLOGSFILEINCLUDELABELS\n"
            "dns_limit: 1000  # DNSLOGSFILEPERNODELIMIT\n"
            "flow_log_allowed: false  # FLOWLOGSFILEENABLED\n"
            "flow_log_denied: false  # FLOWLOGSFILEENABLED\n"
            "\n# Not about flow logs:\n"
            "#   LOGSEVERITYSCREEN\n");
}

TEST(ImportFelix, AValueThatWeDoNotAllowIsANoteAndNoError) {
  const auto imported = import_felix("x", object("  flowLogsFlushInterval: 15m\n  flowLogsFileMaxFiles: many\n"));
  ASSERT_TRUE(imported.ok());
  EXPECT_EQ(
      imported.value().notes,
      (std::vector<std::string>{"flowLogsFlushInterval: 15m: flush_interval: '15m' is not between 0s and 10m",
                                "flowLogsFileMaxFiles: many: log_max_files: 'many' is not a number from 1 to 1000"}));
}

TEST(ImportFelix, BytesThatAreNoTextStayOutOfTheResult) {
  import("FELIX_FLOWLOGSFLUSHINTERVAL=\"1\xBD 20\"\nFELIX_FELIXHOSTNAME=a\xFF\nFELIX_\x80=\x80\n");
  import("FELIX_FELIXHOSTNAME=a\xC2\x85\xEF\xBF\xBE\xEF\xBB\xBF\n");
}

TEST(ImportFelix, ListsOlderVersionsJsonAndSeveralDocumentsAreRead) {
  const std::string spec = "  flowLogsFileMaxFiles: 3\n";
  EXPECT_NE(import("a: 1\n---\n" + object(spec)).find("log_max_files: 3"), std::string::npos);
  EXPECT_NE(
      import(R"({"apiVersion":"v1","kind":"List","items":[{"kind":"Pod"},{"apiVersion":"crd.projectcalico.org/v1",)"
             R"("kind":"FelixConfiguration","metadata":{"name":"x"},"spec":{"flowLogsFileMaxFiles":3}}]})")
          .find("log_max_files: 3"),
      std::string::npos);
  const auto several = import_felix("x", object("  flowLogsFileMaxFiles: 9\n", "node.a") + "---\n" + object(spec));
  ASSERT_TRUE(several.ok());
  EXPECT_NE(several.value().yaml.find("log_max_files: 3"), std::string::npos) << "the one named default";
  EXPECT_EQ(several.value().notes.size(), 1u);
}

TEST(ImportFelix, WhatIsNoFelixConfigurationIsOneError) {
  const struct {
    const char *text, *want;
  } cases[] = {
      {"", "error: felix.yaml: neither a FelixConfiguration"},
      {"kind: Pod\n", "error: felix.yaml: neither a FelixConfiguration"},
      {"apiVersion: other/v1\nkind: FelixConfiguration\nspec: {}\n", "error: felix.yaml: neither"},
      {"kind: [\n", "error: felix.yaml:2: "},
      {"a: &a [*a]\n", "error: felix.yaml:1: aliases are not supported"},
      {"? [a]\n: b\n", "error: felix.yaml:1: a key that is no text"},
  };
  for (const auto& c : cases) EXPECT_TRUE(import(c.text).starts_with(c.want)) << import(c.text);
}

}  // namespace
}  // namespace weir::config
