#include "store/store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "store/internal/disk.h"
#include "store/store_fixture.h"

namespace weir::store {
namespace {

std::string flow(std::int64_t start, const std::string& more = "") {
  return R"({"start_time":)" + std::to_string(start) + R"(,"end_time":)" + std::to_string(start + 300) +
         R"(,"action":"allow","reporter":"dst","proto":"tcp","source_namespace":"shop","dest_namespace":"db",)" +
         R"("source_type":"wep","dest_type":"wep","num_flows":1,"bytes_in":10,"bytes_out":20)" + more + "}\n";
}

query::Request all(LogType log = LogType::kFlows) {
  query::Request request;
  request.log = log;
  request.from = 1;
  request.to = kFirstHour * 2;
  request.deduplicate = false;
  return request;
}

TEST_F(StoreTest, RowsAreThereAfterAppendAndAfterReopening) {
  {
    const auto store = open();
    EXPECT_EQ(append(*store, LogType::kFlows, flow(kFirstHour) + flow(kFirstHour + 300)).rows, 2u);
    EXPECT_EQ(count(*store), 2);
    EXPECT_FALSE(Store::open(options()).ok());  // one at a time
  }
  {
    const auto store = open();
    EXPECT_EQ(store->stats().wal_replayed_rows, 2u);
    EXPECT_EQ(count(*store), 2);
    ASSERT_TRUE(store->tick(true).ok());
    EXPECT_EQ(store->stats().wal_bytes, 0u);
    EXPECT_EQ(count(*store), 2);
    append(*store, LogType::kFlows, flow(kFirstHour + 600));
  }
  const auto store = open();
  EXPECT_EQ(count(*store), 3);
  const auto answer = store->query(all());
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer.value().ids, (std::vector<std::uint64_t>{3, 2, 1}));
}

TEST_F(StoreTest, GivesALineBackAsItCame) {
  const auto store = open();
  RandomLines lines(3);
  std::string text;
  for (int i = 0; i < 50; ++i) text += lines.flow();
  append(*store, LogType::kFlows, text);
  query::Request request = all();
  for (const bool sealed : {false, true}) {
    if (sealed) {
      ASSERT_TRUE(store->tick(true).ok());
    }
    const auto answer = store->query(request);
    ASSERT_TRUE(answer.ok());
    ASSERT_EQ(answer.value().rows.size(), 50u);
    std::vector<std::string> got(50);
    for (std::size_t row = 0; row < 50; ++row)
      query::append_json_object(got[answer.value().ids[row] - 1], answer.value(), row);
    std::string again;
    std::size_t at = 0;
    for (std::string& line : got) {
      const std::string host = R"(,"host":"-"})";
      ASSERT_TRUE(line.ends_with(host)) << line;
      again = line.substr(0, line.size() - host.size()) + "}\n";
      ASSERT_EQ(again, text.substr(at, again.size()));
      at += again.size();
    }
    EXPECT_EQ(at, text.size());
  }
}

TEST_F(StoreTest, KeepsUnknownFieldsAndTheHost) {
  const auto store = open();
  const auto range = SourceRange{"node-7", "g1", 0, 0};
  const std::string line = flow(kFirstHour, R"(,"cluster":"prod","tags":["a"])");
  SourceRange source = range;
  source.end = line.size();
  ASSERT_TRUE(store->append(LogType::kFlows, source, line).ok());
  query::Request request = all();
  request.columns = {"host", "extra"};
  const auto answer = store->query(request);
  ASSERT_TRUE(answer.ok());
  std::string json;
  query::append_json_object(json, answer.value(), 0);
  EXPECT_EQ(json, R"({"host":"node-7","cluster":"prod","tags":["a"]})");
}

TEST_F(StoreTest, RefusesBadLinesOneByOne) {
  const auto store = open();
  const std::string text = flow(kFirstHour) + "not json\n\n" + R"({"start_time":0})" + "\n" +
                           flow(kFirstHour, R"(,"packets_in":-1)") + flow(kFirstHour + 300);
  const Appended appended = append(*store, LogType::kFlows, text);
  EXPECT_EQ(appended.rows, 2u);
  EXPECT_EQ(appended.refused_lines, 3u);
  ASSERT_EQ(appended.refused.size(), 3u);
  EXPECT_EQ(appended.refused[0].line, 2u);
  EXPECT_EQ(appended.refused[1].line, 4u);
  EXPECT_EQ(appended.refused[1].reason, "field start_time: expected Unix seconds up to the year 9999");
  EXPECT_EQ(appended.refused[2].line, 5u);
  EXPECT_EQ(appended.refused[2].reason, "field packets_in: expected an unsigned integer");
  EXPECT_EQ(count(*store), 2);
}

TEST_F(StoreTest, StoresEachByteOfAStreamOnce) {
  auto store = open();
  std::string text;
  std::vector<std::size_t> ends;
  for (int i = 0; i < 10; ++i) {
    text += flow(kFirstHour + i * 300);
    ends.push_back(text.size());
  }
  const auto send = [&](std::size_t from, std::size_t to) {
    const std::size_t begin = from == 0 ? 0 : ends[from - 1], end = ends[to - 1];
    const auto appended =
        store->append(LogType::kFlows, SourceRange{"n", "g", begin, end}, text.substr(begin, end - begin));
    EXPECT_TRUE(appended.ok()) << appended.error().message;
    return appended.ok() ? appended.value() : Appended{};
  };
  EXPECT_EQ(send(0, 4).rows, 4u);
  EXPECT_EQ(send(0, 4).duplicates, 4u);
  EXPECT_EQ(send(2, 6).rows, 2u);
  EXPECT_EQ(send(2, 6).duplicates, 4u);
  EXPECT_EQ(send(8, 10).rows, 2u);
  EXPECT_EQ(store->stored_until("n", "g"), ends[5]);
  EXPECT_EQ(store->stored_until("n", "g", ends[7]), ends[9]);
  EXPECT_EQ(store->stored_until("n", "other", 5), 5u);
  // Lines left out by the sender: what is stored cannot be told by line.
  EXPECT_FALSE(store->append(LogType::kFlows, SourceRange{"n", "g", 0, ends[9]}, flow(kFirstHour)).ok());
  for (const bool flushed : {false, true}) {
    if (flushed) {
      ASSERT_TRUE(store->tick(true).ok());
    }
    store.reset();
    store = open();
    EXPECT_EQ(store->stored_until("n", "g"), ends[5]);
    EXPECT_EQ(send(0, 6).duplicates, 6u);
    EXPECT_EQ(count(*store), 8);
  }
  EXPECT_EQ(send(0, 10).rows, 2u);
  EXPECT_EQ(count(*store), 10);
}

TEST_F(StoreTest, AtTheSameTimeTheSameRangeIsStoredOnce) {
  const auto store = open();
  std::string text;
  for (int i = 0; i < 100; ++i) text += flow(kFirstHour + i);
  std::atomic<std::uint64_t> rows = 0, duplicates = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t part = 0; part < 5; ++part) {
        const auto appended =
            store->append(LogType::kFlows, SourceRange{"n", "g" + std::to_string(part), 0, text.size()}, text);
        ASSERT_TRUE(appended.ok());
        rows += appended.value().rows;
        duplicates += appended.value().duplicates;
      }
      if (thread == 0) {
        ASSERT_TRUE(store->tick(true).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(rows, 500u);
  EXPECT_EQ(duplicates, 3500u);
  EXPECT_EQ(count(*store), 500);
  EXPECT_LT(store->stats().wal_syncs, 41u);
}

TEST_F(StoreTest, OldSegmentsExpireWholeAndAQueryKeepsWhatItReads) {
  base_.retention[0] = std::chrono::hours(2);
  const auto store = open();
  for (int hour = 0; hour < 4; ++hour) append(*store, LogType::kFlows, flow(kFirstHour + hour * 3600));
  ASSERT_TRUE(store->tick(true).ok());
  EXPECT_EQ(count(*store), 4);
  now_ = kFirstHour + 3 * 3600;
  ASSERT_TRUE(store->tick().ok());
  EXPECT_EQ(count(*store), 3);
  EXPECT_EQ(store->stats().logs[0].rows_expired, 1u);
  now_ = kFirstHour + 3 * 3600 + 1;
  ASSERT_TRUE(store->tick().ok());
  EXPECT_EQ(count(*store), 2);
  EXPECT_EQ(files_below(folder_.path() + "/store/parquet").size(), 2u);
  const auto answer = store->query(all());
  EXPECT_TRUE(answer.value().completeness.beyond_retention);
}

TEST_F(StoreTest, TheOldestGoWhenTheDiskIsFullEnough) {
  base_.max_bytes = 64ull * 1024 * 1024;
  base_.retention.fill(std::chrono::hours(24 * 365));
  const auto store = open();
  // Noise that hardly compresses: about 45 KB a row.
  RandomLines lines(5);
  for (int hour = 0; hour < 8; ++hour) {
    for (int part = 0; part < 2; ++part) {
      std::string text;
      for (int i = 0; i < 80; ++i) {
        std::string noise;
        for (int c = 0; c < 60'000; ++c) noise += static_cast<char>('!' + 2 + lines.below(50));
        std::erase(noise, '\\');
        text += flow(kFirstHour + hour * 3600, ",\"noise\":\"" + noise + "\"");
      }
      append(*store, LogType::kFlows, text);
    }
    ASSERT_TRUE(store->tick(true).ok());
    ASSERT_LE(store->stats().total_bytes, base_.max_bytes) << hour;
  }
  EXPECT_GT(store->stats().logs[0].segments_expired, 0u);
  EXPECT_GT(store->stats().logs[0].oldest.value(), kFirstHour);
  query::Request newest = all();
  newest.limit = 1;
  newest.columns = {"start_time"};
  const auto answer = store->query(newest);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(std::get<std::int64_t>(answer.value().rows[0][0]), kFirstHour + 7 * 3600);
}

TEST_F(StoreTest, FilesThatNoManifestNamesAreRemovedAndMissingOnesAreTold) {
  {
    const auto store = open();
    append(*store, LogType::kFlows, flow(kFirstHour));
    ASSERT_TRUE(store->tick(true).ok());
  }
  const std::string parquet = folder_.path() + "/store/parquet";
  const std::string segment = parquet + "/" + files_below(parquet).front();
  std::filesystem::copy_file(segment, parquet + "/flows/stray.parquet");
  { EXPECT_EQ(count(*open()), 1); }
  EXPECT_EQ(files_below(parquet).size(), 1u);
  std::filesystem::resize_file(segment, 10);
  const auto failed = Store::open(options());
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kDataLoss);
}

TEST_F(StoreTest, RollupsAnswerWholeHoursAndAreMergedAfterTheHour) {
  const auto store = open();
  for (int i = 0; i < 24; ++i) append(*store, LogType::kFlows, flow(kFirstHour + i * 300));
  ASSERT_TRUE(store->tick(true).ok());
  EXPECT_EQ(store->stats().compactions, 0u);
  now_ = kFirstHour + 3600 + 600;
  ASSERT_TRUE(store->tick().ok());
  EXPECT_EQ(store->stats().compactions, 1u);
  query::Request request = all();
  request.group_by = {"source_namespace"};
  request.metrics = {{query::Aggregate::kSum, "bytes"}, {}};
  const auto answer = store->query(request);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer.value().statistics.used_rollup);
  EXPECT_EQ(std::get<std::int64_t>(answer.value().rows[0][1]), 24 * 30);
  EXPECT_EQ(std::get<std::int64_t>(answer.value().rows[0][2]), 24);
  // Part of the hour: the rows themselves.
  request.to = kFirstHour + 1000;
  const auto part = store->query(request);
  EXPECT_FALSE(part.value().statistics.used_rollup);
  EXPECT_EQ(std::get<std::int64_t>(part.value().rows[0][2]), 4);
}

TEST_F(StoreTest, SubscribersGetEachNewRowOnceAndResume) {
  const auto store = open();
  append(*store, LogType::kFlows, flow(kFirstHour));
  query::Request request = all();
  request.filter = "dest_namespace = db";
  request.columns = {"start_time"};
  auto live = store->subscribe(request, std::nullopt);
  ASSERT_TRUE(live.ok());
  EXPECT_TRUE(live.value()->next(std::chrono::milliseconds(1)).value().answer.rows.empty());
  append(*store, LogType::kFlows, flow(kFirstHour + 1) + flow(kFirstHour + 2, R"(,"dest_namespace":"x")"));
  const auto batch = live.value()->next(std::chrono::seconds(5));
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch.value().answer.ids, (std::vector<std::uint64_t>{2}));
  EXPECT_EQ(batch.value().last_id, 3u);
  std::thread later([&] { append(*store, LogType::kFlows, flow(kFirstHour + 3)); });
  EXPECT_EQ(live.value()->next(std::chrono::seconds(5)).value().answer.ids, (std::vector<std::uint64_t>{4}));
  later.join();
  ASSERT_TRUE(store->tick(true).ok());
  append(*store, LogType::kFlows, flow(kFirstHour + 4));
  auto resumed = store->subscribe(request, 1);
  EXPECT_EQ(resumed.value()->next(std::chrono::seconds(5), 2).value().answer.ids, (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(resumed.value()->next(std::chrono::seconds(5), 2).value().answer.ids, (std::vector<std::uint64_t>{5}));
  store->close();
  EXPECT_EQ(resumed.value()->next(std::chrono::seconds(5)).error().code, ErrorCode::kCancelled);
}

TEST_F(StoreTest, ASlowSubscriberIsToldWhatItLost) {
  base_.retention[0] = std::chrono::hours(1);
  const auto store = open();
  append(*store, LogType::kFlows, flow(kFirstHour) + flow(kFirstHour + 1) + flow(kFirstHour + 2));
  auto live = store->subscribe(all(), 1);
  ASSERT_TRUE(store->tick(true).ok());
  now_ = kFirstHour + 7200;
  append(*store, LogType::kFlows, flow(kFirstHour + 7200));
  ASSERT_TRUE(store->tick().ok());
  const auto batch = live.value()->next(std::chrono::seconds(5));
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch.value().lost, 2u);
  EXPECT_EQ(batch.value().answer.ids, (std::vector<std::uint64_t>{4}));
}

std::string window(const std::string& node, std::int64_t start, int lost) {
  return R"({"start_time":)" + std::to_string(start) + R"(,"end_time":)" + std::to_string(start + 300) +
         R"(,"node":")" + node +
         R"(","sources":[{"name":"ebpf","events":1,"packets":1,"lost":[{"name":"full","count":)" +
         std::to_string(lost) + "}]}]}\n";
}

TEST_F(StoreTest, AnswersSayHowCompleteTheyAre) {
  const auto store = open();
  now_ = kFirstHour + 3600;
  query::Request request = all();
  request.from = kFirstHour;
  request.to = kFirstHour + 3600;
  EXPECT_FALSE(store->query(request).value().completeness.complete);  // nobody reported
  std::string lines;
  for (int i = 0; i < 12; ++i) lines += window("node-a", kFirstHour + i * 300, 0);
  append(*store, LogType::kAgent, lines);
  ASSERT_TRUE(store->tick(true).ok());
  EXPECT_TRUE(store->query(request).value().completeness.complete);
  // Silent from the middle on, and lossy before.
  lines.clear();
  for (int i = 0; i < 6; ++i) lines += window("node-b", kFirstHour + i * 300, i == 2 ? 5 : 0);
  append(*store, LogType::kAgent, lines);
  const auto completeness = store->query(request).value().completeness;
  EXPECT_FALSE(completeness.complete);
  EXPECT_EQ(completeness.lost_events, 5u);
  EXPECT_EQ(completeness.nodes, 2u);
  ASSERT_EQ(completeness.silent_nodes.size(), 1u);
  EXPECT_EQ(completeness.silent_nodes[0].node, "node-b");
  EXPECT_EQ(completeness.silent_nodes[0].last_seen, kFirstHour + 1800);
  request.to = kFirstHour + 1800;
  EXPECT_TRUE(store->query(request).value().completeness.silent_nodes.empty());
}

TEST_F(StoreTest, AQueryThatTakesTooLongIsStopped) {
  base_.query_timeout = std::chrono::milliseconds(1);
  const auto store = open();
  RandomLines lines(9);
  std::string text;
  for (int i = 0; i < 3000; ++i) text += lines.flow();
  append(*store, LogType::kFlows, text);
  query::Request request = all();
  // Hundreds of regular expressions a row: far beyond the limit on any machine.
  request.filter = "ns =~ nothing";
  for (int i = 0; i < 400; ++i) request.filter += " OR labels =~ \"a.*b.*c" + std::to_string(i) + ".*d\"";
  request.group_by = {"source_name_aggr", "dest_name_aggr", "start_time", "bytes_in"};
  request.metrics = {{query::Aggregate::kDistinct, "bytes_out"}};
  const auto answer = store->query(request);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
}

TEST_F(StoreTest, OptionsAreJudgedTogether) {
  StoreOptions bad = options();
  bad.memory_bytes = 1;
  bad.flush_rows = 0;
  const auto store = Store::open(bad);
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().message, "store: memory_bytes: must be at least 256 MiB; flush_rows: must be at least 1");
}

}  // namespace
}  // namespace weir::store
