#include "ship/shipper.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>

#include "base/compression.h"
#include "http/server.h"

namespace weir::ship {
namespace {

using namespace std::chrono_literals;

/// What a receiver got, and how it behaves.
class Receiver {
 public:
  Receiver() {
    http::ServerOptions options;
    options.address = SocketAddress::parse("127.0.0.1:0").value();
    options.workers = 4;
    options.max_connections = 64;
    const auto take = [this](const http::Request& request) { return answer(request); };
    auto server = http::Server::start(options, {{http::Method::kPost, "/sink", take, 64 << 20},
                                                {http::Method::kPost, "/api/v1/ingest/{log}", take, 64 << 20}});
    EXPECT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
  }
  std::string url() const { return "http://" + server_->address().to_string(); }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  std::vector<http::Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  /// Of the next requests, in turn; then 200. Called with the body's lines.
  std::function<http::Answer(const http::Request&, const std::vector<std::string>&)> judge;

 private:
  http::Answer answer(const http::Request& request) {
    std::string body = request.body;
    if (request.header("content-encoding") == "zstd") body = zstd_decompress(body, 64 << 20).value();
    std::vector<std::string> lines;
    std::istringstream in(body);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    http::Answer given;
    given.content_type = "application/json";
    given.body = R"({"rows":1,"refused_lines":0,"refused":[]})";
    if (judge) given = judge(request, lines);
    if (given.status == 200) lines_.insert(lines_.end(), lines.begin(), lines.end());
    return given;
  }

  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
  std::vector<http::Request> requests_;
  std::unique_ptr<http::Server> server_;
};

http::Answer status(unsigned code, std::string body = "") {
  http::Answer answer;
  answer.status = code;
  answer.body = std::move(body);
  return answer;
}

class ShipperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/weir-ship-XXXXXX";
    folder_ = ::mkdtemp(pattern);
    std::filesystem::create_directory(folder_ + "/logs");
    options_.log_directory = folder_ + "/logs";
    options_.state_directory = folder_ + "/state";
    options_.node = "node-1";
    options_.first_retry = 2ms;
    options_.longest_retry = 20ms;
    options_.poll = 5ms;
    options_.note = [this](std::string_view text) {
      const std::lock_guard lock(mutex_);
      notes_.emplace_back(text);
    };
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& log, const std::string& text) const {
    std::ofstream(folder_ + "/logs/" + log, std::ios::binary | std::ios::app) << text;
  }
  std::string read(const std::string& path) const {
    std::ifstream file(folder_ + "/" + path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  static std::string flow(int number, const std::string& action = "allow") {
    return R"({"start_time":10,"end_time":20,"action":")" + action + R"(","num_flows":)" + std::to_string(number) + "}";
  }
  static std::string shipped(int number, const std::string& action = "allow") {
    return R"({"host":"node-1","@timestamp":20000,)" + flow(number, action).substr(1);
  }
  std::unique_ptr<Shipper> make(const std::vector<std::string>& destinations) {
    auto specs = parse_destinations(destinations);
    EXPECT_TRUE(specs.ok()) << specs.error().message;
    options_.destinations = specs.value();
    auto shipper = Shipper::create(options_);
    EXPECT_TRUE(shipper.ok()) << shipper.error().message;
    return std::move(shipper).value();
  }
  /// Ships all that there is.
  std::vector<DestinationStats> ship_once(const std::vector<std::string>& destinations) {
    options_.once = true;
    const auto shipper = make(destinations);
    shipper->start();
    EXPECT_TRUE(shipper->wait(20s));
    shipper->stop();
    return shipper->stats();
  }
  template <typename Condition>
  static bool comes_true(Condition condition) {
    for (int i = 0; i < 4'000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }

  std::string folder_;
  ShipperOptions options_;
  std::mutex mutex_;
  std::vector<std::string> notes_;
};

TEST_F(ShipperTest, SendsEachLineOnceToEachDestinationAndGoesOnAfterARestart) {
  Receiver a, b;
  write("flows.log.1", flow(1) + "\n" + flow(2) + "\n");
  write("flows.log", flow(3) + "\n" + flow(4));
  write("dns.log", "{\"qname\":\"x\"}\n");
  const std::vector<std::string> to = {"http name=a url=" + a.url() + "/sink",
                                       "http name=b types=flows url=" + b.url() + "/sink"};
  auto stats = ship_once(to);
  const std::vector<std::string> flows = {shipped(1), shipped(2), shipped(3)};
  EXPECT_EQ(b.lines(), flows);
  EXPECT_EQ(a.lines().size(), 4u);
  EXPECT_EQ(stats[0].lines_sent, 4u);
  EXPECT_EQ(stats[1].lines_sent, 3u);
  EXPECT_EQ(stats[1].retries, 0u);
  write("flows.log", "\n");
  stats = ship_once(to);
  EXPECT_EQ(stats[1].lines_sent, 1u);
  EXPECT_EQ(b.lines().back(), shipped(4));
  EXPECT_EQ(a.lines().size(), 5u);
  const http::Request request = b.requests().back();
  EXPECT_EQ(request.header("weir-agent"), "node-1");
  EXPECT_EQ(request.header("weir-log"), "flows");
  const std::string begin = std::to_string(flow(3).size() + 1);
  EXPECT_EQ(request.header("weir-range"), begin + "-" + std::to_string(2 * (flow(3).size() + 1)));
}

TEST_F(ShipperTest, TriesAgainUntilItIsTakenAndTellsSoOnce) {
  Receiver receiver;
  int attempts = 0;
  receiver.judge = [&](const http::Request&, const std::vector<std::string>&) {
    const unsigned codes[] = {500, 503, 429, 401, 404, 200};
    return status(codes[std::min(attempts++, 5)], "not now");
  };
  write("flows.log", flow(1) + "\n");
  const auto stats = ship_once({"http url=" + receiver.url() + "/sink"});
  EXPECT_EQ(receiver.lines(), std::vector{shipped(1)});
  EXPECT_EQ(stats[0].retries, 5u);
  EXPECT_EQ(stats[0].lines_refused, 0u);
  EXPECT_EQ(stats[0].last_error, "HTTP 404: not now");
  EXPECT_EQ(notes_, (std::vector<std::string>{"destination http: HTTP 500: not now; trying again",
                                              "destination http: it takes lines again, after 5 failures"}));
}

TEST_F(ShipperTest, OnlyTheLinesThatAreRefusedAreLeftOutAndTheyAreKept) {
  Receiver receiver;
  receiver.judge = [](const http::Request&, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      if (line.find("deny") != std::string::npos) return status(400, "a bad line");
    }
    return status(200);
  };
  std::vector<std::string> want;
  for (int i = 0; i < 100; ++i) {
    const bool bad = i == 0 || i == 50 || i == 51 || i == 99;
    write("flows.log", flow(i, bad ? "deny" : "allow") + "\n");
    if (!bad) want.push_back(shipped(i));
  }
  const auto stats = ship_once({"http types=flows url=" + receiver.url() + "/sink"});
  EXPECT_EQ(receiver.lines(), want);
  EXPECT_EQ(stats[0].lines_sent, 96u);
  EXPECT_EQ(stats[0].lines_refused, 4u);
  const std::string kept = read("state/http.refused.log");
  EXPECT_EQ(std::count(kept.begin(), kept.end(), '\n'), 4);
  EXPECT_NE(kept.find(R"("log":"flows","stream":"flows-)"), std::string::npos);
  EXPECT_NE(kept.find(R"("offset":0,"reason":"HTTP 400: a bad line","line":"{\"start_time\":10)"), std::string::npos);
}

TEST_F(ShipperTest, AFilterChoosesLinesAndAWeirServerGetsTheRangeAllTheSame) {
  Receiver receiver;
  for (int i = 0; i < 10; ++i) write("flows.log", flow(i, i % 3 == 0 ? "deny" : "allow") + "\n");
  write("flows.log", "not JSON\n");
  const auto stats = ship_once({"weir types=flows filter='action = deny' url=" + receiver.url()});
  EXPECT_EQ(receiver.lines(),
            (std::vector{flow(0, "deny"), flow(3, "deny"), flow(6, "deny"), flow(9, "deny"), std::string("not JSON")}));
  EXPECT_EQ(stats[0].lines_filtered, 6u);
  EXPECT_EQ(receiver.requests()[0].header("weir-range"), "0-" + std::to_string(read("logs/flows.log").size()));
}

TEST_F(ShipperTest, GoesOnWhereAWeirServerSaysThatItIs) {
  Receiver receiver;
  for (int i = 0; i < 4; ++i) write("flows.log", flow(i) + "\n");
  const std::string until = std::to_string(2 * (flow(0).size() + 1));
  receiver.judge = [&](const http::Request& request, const std::vector<std::string>&) {
    if (request.header("weir-range").starts_with("0-")) return status(409, "{\"stored_until\":" + until + "}");
    return status(200, R"({"refused_lines":3,"refused":[{"line":2,"reason":"odd"}]})");
  };
  const auto stats = ship_once({"weir url=" + receiver.url()});
  EXPECT_EQ(receiver.lines(), (std::vector{flow(2), flow(3)}));
  // It said that three were refused, of two, and named one.
  EXPECT_EQ(stats[0].lines_refused, 2u);
  EXPECT_NE(
      read("state/weir.refused.log")
          .find(R"("reason":"odd","line":"{\"start_time\":10,\"end_time\":20,\"action\":\"allow\",\"num_flows\":3}")"),
      std::string::npos);
}

TEST_F(ShipperTest, OneDestinationThatIsAwayHoldsUpNoOther) {
  Receiver receiver;
  write("flows.log", flow(1) + "\n");
  const auto shipper =
      make({"http name=away url=http://127.0.0.1:1/sink", "http name=here url=" + receiver.url() + "/sink"});
  shipper->start();
  EXPECT_TRUE(comes_true([&] { return receiver.lines().size() == 1; }));
  EXPECT_TRUE(comes_true([&] { return shipper->stats()[0].retries > 3; }));
  const auto stats = shipper->stats();
  EXPECT_TRUE(stats[0].failing);
  EXPECT_EQ(stats[0].lag_bytes, flow(1).size() + 1);
  EXPECT_GT(stats[0].lag_seconds, 0);
  EXPECT_EQ(stats[1].lag_bytes, 0u);
  write("flows.log", flow(2) + "\n");
  EXPECT_TRUE(comes_true([&] { return receiver.lines().size() == 2; }));
  shipper->stop();
}

TEST_F(ShipperTest, StopBreaksOffARequestThatHangs) {
  Receiver receiver;
  std::atomic<bool> hang{true};
  std::atomic<int> hanging{0};
  receiver.judge = [&](const http::Request&, const std::vector<std::string>&) {
    ++hanging;
    while (hang) std::this_thread::sleep_for(1ms);
    return status(200);
  };
  write("flows.log", flow(1) + "\n");
  const auto shipper = make({"http url=" + receiver.url() + "/sink"});
  shipper->start();
  EXPECT_TRUE(comes_true([&] { return hanging.load() == 1; }));
  const auto before = std::chrono::steady_clock::now();
  shipper->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
  hang = false;
  // It was not answered: it comes again.
  ship_once({"http url=" + receiver.url() + "/sink"});
  EXPECT_EQ(receiver.lines().size(), 2u);
}

TEST_F(ShipperTest, DamagedCursorsSendEverythingAgain) {
  Receiver receiver;
  write("flows.log", flow(1) + "\n");
  ship_once({"http url=" + receiver.url() + "/sink"});
  ASSERT_FALSE(read("state/http.cursors").empty());
  std::ofstream(folder_ + "/state/http.cursors") << "rubbish";
  ship_once({"http url=" + receiver.url() + "/sink"});
  EXPECT_EQ(receiver.lines().size(), 2u);
  ASSERT_FALSE(notes_.empty());
  EXPECT_NE(notes_[0].find("everything is sent again"), std::string::npos);
}

TEST_F(ShipperTest, CredentialsThatCannotBeReadAreAnErrorOfTheStart) {
  options_.destinations = {parse_destination("weir url=https://x token_file=/nowhere/token").value()};
  const auto shipper = Shipper::create(options_);
  ASSERT_FALSE(shipper.ok());
  EXPECT_NE(shipper.error().message.find("destination weir: token_file: open /nowhere/token"), std::string::npos);
}

}  // namespace
}  // namespace weir::ship
