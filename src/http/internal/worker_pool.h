#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace weir::http {

/// Threads that run jobs in the order of their coming. Bounds: those of who posts.
class WorkerPool {
 public:
  ~WorkerPool() { stop(); }
  void start(unsigned threads);
  void post(std::function<void()> job);
  /// Jobs that run come to their end; others never begin, and go with the pool.
  void stop();

 private:
  void work(const std::stop_token& stop);

  std::mutex mutex_;  // guards jobs_
  std::condition_variable_any ready_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::jthread> threads_;
};

}  // namespace weir::http
