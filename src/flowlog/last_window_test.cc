#include "flowlog/last_window.h"

#include "flowlog/agent_log.h"
#include "flowlog/flow_log.h"
#include "flowlog/log_file_fixture.h"

namespace weir::flowlog {
namespace {

class LastWindow : public LogFolder {
 protected:
  static std::string flow(std::int64_t end) {
    model::FlowRecord record;
    record.end_time = end;
    std::string line;
    FlowLogWriter().append(record, line);
    return line;
  }
  static std::string agent(std::int64_t end) {
    model::AgentWindow window;
    window.end_time = end;
    std::string line;
    append_agent_line(line, window);
    return line;
  }
  WindowEnds ends() const {
    auto result = last_window_ends(folder_);
    if (!result.ok()) throw std::runtime_error(result.error().message);
    return result.value();
  }
  using Time = std::optional<std::int64_t>;
};

TEST_F(LastWindow, NoLogsMeanThatNothingWasCounted) {
  EXPECT_EQ(ends().newest(), Time());
  write("flows.log", "");
  EXPECT_EQ(last_window_end(folder_).value(), Time());
  EXPECT_EQ(last_window_end(folder_ + "/none").value(), Time());
}

TEST_F(LastWindow, IsTheEndOfTheNewestWholeLine) {
  write("flows.log", flow(100) + flow(200) + flow(300).substr(0, 500));
  EXPECT_EQ(ends().flows, Time(200)) << "a torn line is passed over";
  write("agent.log", agent(100) + agent(300));
  EXPECT_EQ(ends().newest(), Time(300)) << "a window without flows ended too";
  EXPECT_FALSE(ends().is_partial());
}

TEST_F(LastWindow, FlowsWithoutTheirAgentLineArePartOfAWindow) {
  write("flows.log", flow(100) + flow(200));
  write("agent.log", agent(100));
  EXPECT_TRUE(ends().is_partial());
  EXPECT_EQ(last_window_end(folder_).value(), Time(200));
}

TEST_F(LastWindow, IsFoundInTheRotatedFileAlsoBehindAGap) {
  write("flows.log.1", flow(100) + flow(200));
  EXPECT_EQ(ends().flows, Time(200)) << "killed between the renaming and the new file";
  write("flows.log", flow(300).substr(0, 20));
  EXPECT_EQ(ends().flows, Time(200));
  std::filesystem::rename(folder_ + "/flows.log.1", folder_ + "/flows.log.2");
  EXPECT_EQ(ends().flows, Time(200));
}

TEST_F(LastWindow, LinesThatAreNoRecordsArePassedOver) {
  write("flows.log", flow(100) + "garbage\n\n{\"end_time\":\"soon\"}\n{}\n" + std::string(300'000, 'x') + "\n");
  EXPECT_EQ(ends().flows, Time(100));
}

TEST_F(LastWindow, WhatCannotBeReadIsAnError) {
  std::filesystem::create_directories(folder_ + "/agent.log");
  EXPECT_FALSE(last_window_ends(folder_).ok());
}

}  // namespace
}  // namespace weir::flowlog
