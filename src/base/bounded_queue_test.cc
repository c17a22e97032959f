#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace weir {
namespace {

bool readable(int fd, int timeout_ms = 0) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms) == 1;
}

std::unique_ptr<BoundedQueue<int>> make(std::size_t capacity) {
  auto made = BoundedQueue<int>::create(capacity);
  EXPECT_TRUE(made.ok());
  return std::move(made).value();
}

TEST(BoundedQueue, KeepsTheOrderAndSaysWhetherThereIsAnything) {
  const auto queue = make(4);
  EXPECT_FALSE(readable(queue->fd()));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue->push(i, {}));
  EXPECT_TRUE(readable(queue->fd()));
  std::vector<int> out;
  EXPECT_EQ(queue->pop(out, 2), 2U);
  EXPECT_TRUE(readable(queue->fd())) << "one is left";
  EXPECT_EQ(queue->pop(out, 2), 1U);
  EXPECT_FALSE(readable(queue->fd()));
  EXPECT_EQ(queue->pop(out, 2), 0U);
  EXPECT_EQ(out, (std::vector<int>{0, 1, 2}));
}

TEST(BoundedQueue, WhoAddsToAFullOneWaitsUntilToldToStop) {
  const auto queue = make(1);
  EXPECT_TRUE(queue->push(1, {}));
  std::atomic<int> result{-1};
  std::jthread writer([&](const std::stop_token& stop) { result = queue->push(2, stop) ? 1 : 0; });
  writer.request_stop();
  writer.join();
  EXPECT_EQ(result, 0);
  EXPECT_EQ(queue->size(), 1U);
}

TEST(BoundedQueue, LosesNothingBetweenThreads) {
  const auto queue = make(7);
  constexpr int kEach = 20'000;
  const auto write = [&](const std::stop_token& stop, int from) {
    for (int i = 0; i < kEach; ++i) ASSERT_TRUE(queue->push(from + i, stop));
  };
  std::jthread one(write, 0);
  std::jthread other(write, kEach);
  std::vector<int> out;
  while (out.size() < 2 * kEach) {
    ASSERT_TRUE(readable(queue->fd(), 10'000));
    EXPECT_LE(queue->pop(out, 5), 5U);
  }
  std::vector<int> last{-1, kEach - 1};
  for (const int value : out) {
    int& before = last[value >= kEach ? 1 : 0];
    ASSERT_EQ(value, before + 1);
    before = value;
  }
  EXPECT_FALSE(readable(queue->fd()));
}

}  // namespace
}  // namespace weir
