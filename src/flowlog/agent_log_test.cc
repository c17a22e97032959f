#include "flowlog/agent_log.h"

#include <gtest/gtest.h>

namespace weir::flowlog {
namespace {

TEST(AgentLog, AWindowIsOneLineWithEveryFieldOfTheTableInItsOrder) {
  model::AgentWindow window;
  window.start_time = 1700000000;
  window.end_time = 1700000300;
  window.node = "node \"a\"";
  window.version = "0.1.0";
  window.sources = {{"ebpf", 10, 2000, {{"ring full", 3}, {"map full", 0}}}, {"nflog", 7, 0, {}}};
  window.flows_dropped = {{"key budget", 2}};
  window.records_written = {{"flows", 12}, {"dns", 4}};
  window.records_excluded = 5;
  window.flows_widened = 6;
  window.open_connections = 99;
  window.cpu_user_seconds = 1.25;
  window.cpu_system_seconds = 0.1234567;
  window.rss_bytes = 1u << 26;
  std::string line;
  append_agent_line(line, window);
  EXPECT_EQ(line, R"({"start_time":1700000000,"end_time":1700000300,"node":"node \"a\"","version":"0.1.0",)"
                  R"("sources":[{"name":"ebpf","events":10,"packets":2000,)"
                  R"("lost":[{"name":"ring full","count":3},{"name":"map full","count":0}]},)"
                  R"({"name":"nflog","events":7,"packets":0,"lost":[]}],)"
                  R"("flows_dropped":[{"name":"key budget","count":2}],)"
                  R"("records_written":[{"name":"flows","count":12},{"name":"dns","count":4}],"lines_dropped":[],)"
                  R"("records_excluded":5,"flows_widened":6,"open_connections":99,)"
                  R"("cpu_user_seconds":1.250000,"cpu_system_seconds":0.123457,"rss_bytes":67108864})"
                  "\n");
}

}  // namespace
}  // namespace weir::flowlog
