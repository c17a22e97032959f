#include "ingest/bulk.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace weir::ingest {
namespace {

std::string flow(int number) {
  return R"({"start_time":1000,"end_time":1300,"action":"allow","reporter":"dst","num_flows":)" +
         std::to_string(number) + "}";
}

TEST(Bulk, BodiesBecomeItems) {
  const auto items = parse_bulk(
      "{\"index\":{\"_index\":\"flows\",\"_id\":\"a\"}}\n{\"x\":1}\n\n{\"create\":{}}\r\n{\"y\":2}\r\n"
      "{\"delete\":{\"_id\":7}}\n{\"update\":{\"_index\":\"dns\"}}\n{\"z\":3}",
      "given");
  ASSERT_TRUE(items.ok()) << items.error().message;
  ASSERT_EQ(items.value().size(), 4u);
  using Action = BulkItem::Action;
  const struct {
    Action action;
    const char *index, *id, *source;
  } want[] = {{Action::kIndex, "flows", "a", "{\"x\":1}"},
              {Action::kCreate, "given", "", "{\"y\":2}"},
              {Action::kDelete, "given", "7", ""},
              {Action::kUpdate, "dns", "", "{\"z\":3}"}};
  for (std::size_t i = 0; i < 4; ++i) {
    SCOPED_TRACE(i);
    const BulkItem& item = items.value()[i];
    EXPECT_EQ(item.action, want[i].action);
    EXPECT_EQ(item.index, want[i].index);
    EXPECT_EQ(item.id, want[i].id);
    EXPECT_EQ(item.source, want[i].source);
  }
}

TEST(Bulk, BodiesThatCannotBeBelievedNameTheLine) {
  const struct {
    const char *body, *want;
  } cases[] = {
      {"{}\n{}\n", "line 1: an action"},
      {"[]\n", "line 1: an action"},
      {"{\"index\":{}}\n{}\nnope\n", "line 3: an action"},
      {"{\"index\":{}}\n", "line 1: the document of the action is missing"},
      {"{\"index\":[]}\n{}\n", "line 1: the action is no object"},
      {"{\"drop\":{}}\n", "line 1: unknown action 'drop'"},
      {"{\"index\":{},\"create\":{}}\n{}\n", "line 1: an action"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.body);
    const auto items = parse_bulk(c.body, "flows");
    ASSERT_FALSE(items.ok());
    EXPECT_NE(items.error().message.find(c.want), std::string::npos) << items.error().message;
  }
}

TEST(Bulk, IndicesNameTheirLog) {
  using model::LogType;
  const struct {
    const char* index;
    std::optional<LogType> log;
  } cases[] = {
      {"tigera_secure_ee_flows.cluster.20260101", LogType::kFlows},
      {"tigera_secure_ee_flows.cluster.linseed-20260101-000001", LogType::kFlows},
      {"tigera_secure_ee_dns.cluster.20260101", LogType::kDns},
      {"tigera_secure_ee_l7.x", LogType::kL7},
      {"tigera_secure_ee_audit_ee.cluster.1", LogType::kAudit},
      {"tigera_secure_ee_audit_kube", LogType::kAudit},
      {"flows", LogType::kFlows},
      {"weir-flows-2026.01.01", LogType::kFlows},
      {"logs-dns-default", LogType::kDns},
      {".ds-logs-l7-default-2026.01.01-000001", LogType::kL7},
      {"tigera_secure_ee_bgp.x", std::nullopt},
      {"flowsheets", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& c : cases) EXPECT_EQ(log_of_index(c.index), c.log) << c.index;
}

class BulkStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/weir-bulk-XXXXXX";
    folder_ = ::mkdtemp(pattern);
    open();
  }
  void TearDown() override {
    bulk_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open() {
    bulk_.reset();
    store_.reset();
    store::StoreOptions options;
    options.directory = folder_ + "/store";
    options.background = false;
    options.now = [] { return std::int64_t{2000}; };
    auto store = store::Store::open(options);
    ASSERT_TRUE(store.ok()) << store.error().message;
    store_ = std::move(store).value();
    auto bulk = BulkIngest::open(*store_, folder_ + "/ids");
    ASSERT_TRUE(bulk.ok()) << bulk.error().message;
    bulk_ = std::move(bulk).value();
  }
  /// The results: status, and the type of an error.
  std::vector<std::string> send(const std::string& body) {
    auto items = parse_bulk(body, "flows");
    EXPECT_TRUE(items.ok());
    bulk_->store_items(items.value());
    std::vector<std::string> results;
    for (const BulkItem& item : items.value()) {
      results.push_back(std::to_string(item.status) + (item.error_type.empty() ? "" : " " + item.error_type));
    }
    return results;
  }
  std::uint64_t rows() {
    query::Request request;
    request.to = 10'000;
    request.limit = 10'000;
    request.deduplicate = false;
    const auto answer = store_->query(request);
    EXPECT_TRUE(answer.ok()) << answer.error().message;
    return answer.ok() ? answer.value().rows.size() : 0;
  }
  static std::string create(const std::string& id, int number) {
    return "{\"create\":{\"_id\":\"" + id + "\"}}\n" + flow(number) + "\n";
  }

  std::string folder_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<BulkIngest> bulk_;
};

TEST_F(BulkStoreTest, EachItemHasItsResult) {
  const auto results =
      send("{\"index\":{}}\n" + flow(1) + "\n{\"index\":{}}\nnot JSON\n{\"delete\":{\"_id\":\"x\"}}\n" +
           "{\"index\":{\"_index\":\"metrics\"}}\n{}\n{\"create\":{}}\n" + flow(2) + "\n");
  EXPECT_EQ(results, (std::vector<std::string>{"201", "400 mapper_parsing_exception", "400 illegal_argument_exception",
                                               "404 index_not_found_exception", "201"}));
  EXPECT_EQ(rows(), 2u);
}

TEST_F(BulkStoreTest, ADocumentWithAnIdIsStoredOnceAcrossRestarts) {
  EXPECT_EQ(send(create("a", 1) + create("b", 2) + create("a", 3)),
            (std::vector<std::string>{"201", "201", "409 version_conflict_engine_exception"}));
  for (int i = 0; i < 3; ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(
        send(create("a", 1) + "{\"index\":{\"_id\":\"b\"}}\n" + flow(2) + "\n" + create("c" + std::to_string(i), 3)),
        (std::vector<std::string>{"409 version_conflict_engine_exception", "200", "201"}));
    EXPECT_EQ(rows(), static_cast<std::uint64_t>(3 + i));
    open();
  }
}

TEST_F(BulkStoreTest, ARefusedDocumentIsRefusedAgain) {
  const std::string bad = "{\"create\":{\"_id\":\"a\"}}\nnot JSON\n";
  EXPECT_EQ(send(bad + create("b", 1)), (std::vector<std::string>{"400 mapper_parsing_exception", "201"}));
  EXPECT_EQ(send(bad), std::vector<std::string>{"400 mapper_parsing_exception"});
  EXPECT_EQ(send(create("a", 1)), std::vector<std::string>{"201"});
}

TEST_F(BulkStoreTest, IdsThatWereNotedAndNotStoredDoNotCount) {
  auto ids = IdIndex::open(*store_, folder_ + "/other");
  ASSERT_TRUE(ids.ok());
  const std::vector<std::uint64_t> noted = {1, 2}, stored = {3};
  ids.value()->begin(noted);
  ASSERT_TRUE(ids.value()->note(noted).ok());
  ids.value()->begin(stored);
  const auto range = ids.value()->note(stored);
  ASSERT_TRUE(range.ok());
  ASSERT_TRUE(store_->append(model::LogType::kFlows, range.value(), flow(1) + "\n").ok());
  // Killed before commit().
  ids.value().reset();
  ids = IdIndex::open(*store_, folder_ + "/other");
  ASSERT_TRUE(ids.ok());
  using Known = IdIndex::Known;
  EXPECT_EQ(ids.value()->begin({1, 2, 3}), (std::vector{Known::kNew, Known::kNew, Known::kStored}));
  EXPECT_EQ(ids.value()->begin({1}), std::vector{Known::kPending});
  ids.value()->abort({1});
  EXPECT_EQ(ids.value()->begin({1}), std::vector{Known::kNew});
}

TEST_F(BulkStoreTest, ALogOfIdsThatIsTornIsReadUpToThere) {
  const std::string folder = folder_ + "/other";
  auto ids = IdIndex::open(*store_, folder);
  ids.value()->begin({1});
  const auto range = ids.value()->note({1});
  ASSERT_TRUE(store_->append(model::LogType::kFlows, range.value(), flow(1) + "\n").ok());
  ids.value()->begin({2});
  const auto second = ids.value()->note({2});
  ASSERT_TRUE(store_->append(model::LogType::kFlows, second.value(), flow(2) + "\n").ok());
  ids.value().reset();
  std::filesystem::resize_file(folder + "/1.ids", second.value().end - 3);
  ids = IdIndex::open(*store_, folder);
  ASSERT_TRUE(ids.ok());
  using Known = IdIndex::Known;
  EXPECT_EQ(ids.value()->begin({1, 2}), (std::vector{Known::kStored, Known::kNew}));
}

}  // namespace
}  // namespace weir::ingest
