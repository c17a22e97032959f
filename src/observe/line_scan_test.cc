#include "observe/line_scan.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "filter/filter.h"
#include "flowlog/flow_log_reader.h"
#include "observe/follower.h"
#include "observe/record_scan.h"

namespace weir::observe {
namespace {

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/scanXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(path_ + "/" + name, std::ios::app) << text;
    return path_ + "/" + name;
  }
  std::vector<LogFiles> logs(const std::vector<std::string>& names) {
    auto found = find_log_files(names, "flows.log");
    EXPECT_TRUE(found.ok());
    return std::move(found).value();
  }
  static std::vector<std::string> lines_forward(LineScan& scan) {
    std::vector<std::string> lines;
    EXPECT_TRUE(scan.forward([&](const Line& line) {
                      lines.emplace_back(line.text);
                      return Verdict::kTake;
                    })
                    .ok());
    return lines;
  }
  static std::vector<std::string> lines_last(LineScan& scan, std::size_t count) {
    std::vector<std::string> lines;
    const auto last = scan.last(count, [](const Line& line) {
      return line.text.front() == '{' && line.text.back() == '}' ? Verdict::kTake : Verdict::kBad;
    });
    EXPECT_TRUE(last.ok());
    for (const auto& line : last.value()) lines.push_back(line.text);
    return lines;
  }

  std::string path_;
};

TEST_F(Folder, RotatedFilesComeOldestFirst) {
  write("flows.log.10", "{10}\n");
  write("flows.log.2", "{2}\n");
  write("flows.log.1", "{1a}\n{1b}\n");
  write("flows.log", "{0}\n");
  // Three numbers missing: not of this log's present run.
  LineScan scan(logs({path_}), Prefilter());
  EXPECT_EQ(lines_forward(scan), (std::vector<std::string>{"{2}", "{1a}", "{1b}", "{0}"}));
  LineScan both(logs({path_ + "/flows.log", path_ + "/flows.log.1"}), Prefilter());
  EXPECT_EQ(lines_forward(both).size(), 4u) << "a rotated file that is named too is read once";
}

TEST_F(Folder, AMissingFileIsAnError) {
  EXPECT_FALSE(find_log_files({path_ + "/none.log"}, "flows.log").ok());
  const auto folder = find_log_files({path_}, "flows.log");
  ASSERT_FALSE(folder.ok());
  EXPECT_NE(folder.error().message.find("flows.log"), std::string::npos);
}

TEST_F(Folder, LastLinesAreReadFromTheEnd) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += "{" + std::to_string(i) + std::string(60, 'x') + "}\n";
  write("flows.log.1", text);
  write("flows.log", "{a}\n{b}\n");
  LineScan scan(logs({path_}), Prefilter());
  const auto lines = lines_last(scan, 3);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "{49999" + std::string(60, 'x') + "}");
  EXPECT_EQ(lines[2], "{b}");
  EXPECT_LT(scan.stats().bytes_read, 2 * LineScan::kBlockBytes) << "not the whole of 3 MB";
  LineScan all(logs({path_}), Prefilter());
  EXPECT_EQ(lines_last(all, 1'000'000).size(), 50'002u);
}

TEST_F(Folder, ATornLastLineIsPassedOver) {
  write("flows.log", "{a}\nbad\n{b}\n{\"start_time\":17");
  LineScan backward(logs({path_}), Prefilter());
  EXPECT_EQ(lines_last(backward, 10), (std::vector<std::string>{"{a}", "{b}"}));
  EXPECT_EQ(backward.stats().bad_lines, 1u) << "the damaged line in the middle counts";
  EXPECT_TRUE(backward.stats().first_bad.ends_with("flows.log, byte 4"));
  // A saved file may lack its last newline.
  const std::string saved = write("saved.json", "{a}\n{b}");
  LineScan scan(logs({saved}), Prefilter());
  EXPECT_EQ(lines_last(scan, 10), (std::vector<std::string>{"{a}", "{b}"}));
}

TEST_F(Folder, FollowingGoesOnWhereTheScanEndedAndAcrossRotations) {
  const std::string active = write("flows.log", "{1}\n{2}\n{3");
  LineScan scan(logs({path_}), Prefilter());
  scan.leave_unfinished();
  EXPECT_EQ(lines_forward(scan), (std::vector<std::string>{"{1}", "{2}"}));
  Follower follower(std::move(scan.logs()[0].generations.back()), scan.end_of(0));
  std::vector<std::string> got;
  const auto poll = [&] { ASSERT_TRUE(follower.poll([&](std::string_view line) { got.emplace_back(line); }).ok()); };
  poll();
  EXPECT_TRUE(got.empty());
  write("flows.log", "}\n{4}\n");
  poll();
  EXPECT_EQ(got, (std::vector<std::string>{"{3}", "{4}"}));
  // Two rotations between two looks.
  write("flows.log", "{5}\n");
  std::filesystem::rename(active, active + ".1");
  write("flows.log", "{6}\n");
  std::filesystem::rename(active + ".1", active + ".2");
  std::filesystem::rename(active, active + ".1");
  write("flows.log", "{7}\n");
  poll();
  EXPECT_EQ(got, (std::vector<std::string>{"{3}", "{4}", "{5}", "{6}", "{7}"}));
  std::filesystem::resize_file(active, 0);
  poll();
  write("flows.log", "{8}\n");
  poll();
  EXPECT_EQ(got.back(), "{8}");
}

TEST_F(Folder, LastZeroFindsTheEndOfTheFile) {
  write("flows.log", "{1}\n{2}\n{3");
  LineScan scan(logs({path_}), Prefilter());
  scan.leave_unfinished();
  EXPECT_TRUE(lines_last(scan, 0).empty());
  EXPECT_EQ(scan.end_of(0), 8u);
}

/// Lines as different writers write them.
std::string random_line(std::mt19937& random, int style) {
  const auto pick = [&](std::initializer_list<const char*> values) {
    return std::string(values.begin()[random() % values.size()]);
  };
  const std::string names[] = {"shop", "bank", "frontend", "front\\u0065nd", "a\\/b", "kube-system", "-"};
  const auto name = [&] { return "\"" + names[random() % 7] + "\""; };
  std::vector<std::pair<std::string, std::string>> members = {
      {"start_time", std::to_string(1'700'000'000 + random() % 1000)},
      {"action", pick({"\"allow\"", "\"deny\""})},
      {"source_namespace", name()},
      {"dest_namespace", name()},
      {"source_name", name()},
      {"dest_name_aggr", name()},
      {"dest_port", pick({"443", "80", "null", "4430", "443.0"})},
      {"dest_service_port", pick({"\"http\"", "\"-\""})},
      {"source_ip", pick({"\"10.0.0.1\"", "\"10.0.0.12\"", "null", "\"fd00::1\""})},
      {"dest_domains", pick({"null", "[\"a.example\",\"b.example\"]"})},
      {"dest_labels", pick({"null", "{\"labels\":[\"app=web\",\"tier=a\"]}", "{\"labels\":[]}"})},
  };
  std::string line = "{";
  for (const auto& [key, value] : members) {
    if (random() % 8 == 0) continue;
    if (line.size() > 1) line += style == 0 ? "," : ", ";
    line += "\"" + key + "\"" + (style == 0 ? ":" : style == 1 ? ": " : " : ") + value;
  }
  return line + "}";
}

TEST_F(Folder, ThePrefilterPassesOverNothingThatTheFilterTakes) {
  const char* filters[] = {"ns = shop",
                           "src.ns = shop AND action = deny",
                           "action = allow",
                           "pod = front*",
                           "pod = *end",
                           "dst.port = 443",
                           "port IN {443, 80}",
                           "ns IN {shop, bank} OR dst.port = 80",
                           "ns = \"-\"",
                           "source_ip = 10.0.0.1",
                           "ip = 10.0.0.0/8",
                           "ip = fd00::1",
                           "domain = b.example",
                           "label.app = web",
                           "label = \"tier=*\"",
                           "dest_service_port = http",
                           "dest_service_port_num = 0",
                           "NOT ns = shop",
                           "ns != shop AND pod = frontend",
                           "ns = a/b",
                           "host = node-1",
                           "proto = tcp",
                           "start_time = 1700000005",
                           "(ns = shop OR ns = bank) AND (pod = frontend OR pod = kube-system)"};
  std::mt19937 random(7);
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += random_line(random, static_cast<int>(random() % 10 < 8 ? 0 : 1 + random() % 2)) + "\n";
  write("flows.log", text);
  flowlog::FlowLogReader reader;
  bool some_passed_over = false;
  for (const char* filter_text : filters) {
    SCOPED_TRACE(filter_text);
    const auto filter = filter::Filter::compile(filter_text);
    ASSERT_TRUE(filter.ok()) << filter.error().message;
    std::vector<std::string> want, got;
    std::uint64_t looked_at = 0;
    LineScan every(logs({path_}), Prefilter());
    ASSERT_TRUE(every
                    .forward([&](const Line& line) {
                      auto record = reader.read(line.text);
                      EXPECT_TRUE(record.ok());
                      if (filter.value().matches(*record.value())) want.emplace_back(line.text);
                      return Verdict::kTake;
                    })
                    .ok());
    LineScan some(logs({path_}), Prefilter::of(filter.value().expression()));
    ASSERT_TRUE(some.forward([&](const Line& line) {
                      ++looked_at;
                      auto record = reader.read(line.text);
                      if (filter.value().matches(*record.value())) got.emplace_back(line.text);
                      return Verdict::kTake;
                    })
                    .ok());
    EXPECT_EQ(got, want);
    some_passed_over |= looked_at < 5000;
  }
  EXPECT_TRUE(some_passed_over);
}

TEST_F(Folder, TheNodesNameIsItsAgentsAndFiltersAsHost) {
  write("flows.log", "{\"start_time\":10,\"end_time\":20}\n{\"start_time\":20,\"end_time\":30,\"host\":\"other\"}\n");
  write("agent.log", "{\"start_time\":10,\"end_time\":20,\"node\":\"node-1\"}\n");
  for (const auto& [filter, want] : {std::pair{"host = node-1", 10}, {"host = oth*", 20}}) {
    auto scan = RecordScan<model::LogType::kFlows>::create(logs({path_}),
                                                           {.range = {}, .filter = filter, .first = {}, .last = {}});
    ASSERT_TRUE(scan.ok());
    std::vector<std::int64_t> times;
    ASSERT_TRUE(
        scan.value().run([&](const model::FlowRecord& r, std::string_view) { times.push_back(r.start_time); }).ok());
    EXPECT_EQ(times, (std::vector<std::int64_t>{want}));
  }
}

TEST_F(Folder, TheLastOfSeveralLogsAreMergedByTime) {
  write("a.log", "{\"start_time\":1}\n{\"start_time\":3}\n{\"start_time\":5}\n");
  write("b.log", "{\"start_time\":2}\n{\"start_time\":4}\n");
  Selection selection;
  selection.last = 3;
  auto scan = RecordScan<model::LogType::kFlows>::create(logs({path_ + "/a.log", path_ + "/b.log"}), selection);
  std::vector<std::int64_t> times;
  ASSERT_TRUE(
      scan.value().run([&](const model::FlowRecord& r, std::string_view) { times.push_back(r.start_time); }).ok());
  EXPECT_EQ(times, (std::vector<std::int64_t>{3, 4, 5}));
}

}  // namespace
}  // namespace weir::observe
