#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "store/internal/disk.h"
#include "store/store_fixture.h"

// A writer process is killed at random moments, again and again, in the midst of appends, flushes, merges and retention
// of nothing. Afterwards every line that it was told is stored is there, once, and none is there twice.
//
// The writer is this program with --writer FOLDER FD: it tells each acknowledged append through the descriptor.

namespace weir::store {
namespace {

constexpr int kStreams = 3;
constexpr std::size_t kLineBytes = 256;

/// Line `number` of a stream: always the same, always as long.
std::string line_of(std::uint64_t number) {
  char text[kLineBytes];
  const int size =
      std::snprintf(text, sizeof text,
                    R"({"start_time":%lld,"end_time":%lld,"action":"allow","reporter":"dst","proto":"tcp",)"
                    R"("source_namespace":"ns-%llu","bytes_in":%llu)",
                    static_cast<long long>(kFirstHour + 300 * static_cast<std::int64_t>(number % 36)),
                    static_cast<long long>(kFirstHour + 300 * static_cast<std::int64_t>(number % 36) + 300),
                    static_cast<unsigned long long>(number % 7), static_cast<unsigned long long>(number));
  std::string line(text, static_cast<std::size_t>(size));
  return line + std::string(kLineBytes - 2 - line.size(), ' ') + "}\n";
}

StoreOptions options_of(const std::string& folder) {
  StoreOptions options;
  options.directory = folder;
  options.memory_bytes = 256ull * 1024 * 1024;
  options.retention.fill(std::chrono::hours(24 * 365 * 100));
  options.flush_rows = 500;
  // Long after the hours of the rows: each tick merges.
  options.now = [] { return kFirstHour + 1'000'000; };
  return options;
}

struct Ack {
  std::uint32_t stream;
  std::uint64_t end;
};

[[noreturn]] void run_writer(const std::string& folder, int fd) {
  const auto store = Store::open(options_of(folder));
  if (!store.ok()) {
    std::fprintf(stderr, "writer: %s\n", store.error().message.c_str());
    ::_exit(3);
  }
  std::vector<std::thread> threads;
  for (std::uint32_t stream = 0; stream < kStreams; ++stream) {
    threads.emplace_back([&, stream] {
      std::mt19937 random(static_cast<std::uint32_t>(::getpid()) + stream);
      const std::string name = "g" + std::to_string(stream);
      while (true) {
        const std::uint64_t begin = store.value()->stored_until("n", name);
        std::string text;
        // Now and then from before: the store must know those lines.
        const std::uint64_t again = random() % 4 == 0 ? std::min<std::uint64_t>(begin / kLineBytes, 5) : 0;
        const std::uint64_t first = begin / kLineBytes - again;
        for (std::uint64_t line = first; line < first + again + 1 + random() % 200; ++line) text += line_of(line);
        const std::uint64_t from = first * kLineBytes;
        const auto appended =
            store.value()->append(LogType::kFlows, SourceRange{"n", name, from, from + text.size()}, text);
        if (!appended.ok()) continue;
        const Ack ack{stream, from + text.size()};
        if (::write(fd, &ack, sizeof ack) != sizeof ack) ::_exit(4);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ::_exit(0);
}

TEST(Crash, NothingAcknowledgedIsLostAndNothingIsThereTwice) {
  const TempFolder folder;
  const std::string path = folder.path() + "/store";
  const char* wanted = std::getenv("WEIR_STORE_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 20;
  std::mt19937 random(1);
  std::array<std::uint64_t, kStreams> acked{};
  for (int kill = 0; kill < kills; ++kill) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(pipe_ends[0]);
      const std::string fd = std::to_string(pipe_ends[1]);
      ::execl("/proc/self/exe", "store_crash_test", "--writer", path.c_str(), fd.c_str(), nullptr);
      ::_exit(5);
    }
    ::close(pipe_ends[1]);
    // The death comes in the midst of whatever follows the so-many-th acknowledgement: by their number, so that a slow
    // machine gets as far as a fast one.
    auto left = 1 + random() % 60;
    Ack ack{};
    while (::read(pipe_ends[0], &ack, sizeof ack) == sizeof ack) {
      acked[ack.stream] = std::max(acked[ack.stream], ack.end);
      if (left == 0 || --left > 0) continue;
      ::usleep(static_cast<useconds_t>(random() % 20'000));
      ::kill(child, SIGKILL);
    }
    ::close(pipe_ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself: " << WEXITSTATUS(status);
  }
  StoreOptions options = options_of(path);
  options.background = false;
  for (const bool flushed : {false, true}) {
    const auto store = Store::open(options);
    ASSERT_TRUE(store.ok()) << store.error().message;
    if (flushed) {
      ASSERT_TRUE(store.value()->tick(true).ok());
    }
    std::int64_t lines = 0, sum = 0;
    for (std::uint32_t stream = 0; stream < kStreams; ++stream) {
      const std::uint64_t until = store.value()->stored_until("n", "g" + std::to_string(stream));
      ASSERT_GE(until, acked[stream]);
      const auto count = static_cast<std::int64_t>(until / kLineBytes);
      lines += count;
      sum += count * (count - 1) / 2;
    }
    query::Request request;
    request.from = 1;
    request.to = kFirstHour * 2;
    request.deduplicate = false;
    request.metrics = {query::Metric{}, query::Metric{query::Aggregate::kSum, "bytes_in"}};
    const auto answer = store.value()->query(request);
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(std::get<std::int64_t>(answer.value().rows[0][0]), lines);
    EXPECT_EQ(std::get<std::int64_t>(answer.value().rows[0][1]), sum);
    EXPECT_GT(lines, kills);
    if (flushed) std::printf("%lld lines, %d kills\n", static_cast<long long>(lines), kills);
  }
}

}  // namespace
}  // namespace weir::store

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "--writer") == 0) weir::store::run_writer(argv[2], std::atoi(argv[3]));
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
