#include "ship/shipper.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <set>
#include <thread>

#include "base/clock.h"
#include "ship/internal/sender.h"

namespace weir::ship {

struct Shipper::State {
  ShipperOptions options;
  std::vector<std::unique_ptr<Sender>> senders;
  std::vector<std::jthread> threads;
};

Shipper::Shipper(std::unique_ptr<State> state) : state_(std::move(state)) {}
Shipper::~Shipper() { stop(); }

Result<std::unique_ptr<Shipper>> Shipper::create(ShipperOptions options) {
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  std::error_code error;
  const std::string& folder = state->options.state_directory;
  std::filesystem::create_directories(folder, error);
  if (error && !std::filesystem::is_directory(folder)) {
    return Error{ErrorCode::kPermissionDenied, "create directory " + folder + ": " + error.message()};
  }
  for (const DestinationSpec& spec : state->options.destinations) {
    TRY_ASSIGN(std::unique_ptr<Sender> sender, Sender::create(state->options, spec));
    state->senders.push_back(std::move(sender));
  }
  return std::unique_ptr<Shipper>(new Shipper(std::move(state)));
}

void Shipper::start() {
  // New threads inherit our mask: signals are for the threads that wait for them.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  for (const auto& sender : state_->senders) {
    state_->threads.emplace_back([&one = *sender] { one.run(); });
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool Shipper::wait(std::chrono::milliseconds patience) {
  const std::int64_t until = clock_ns(CLOCK_MONOTONIC) + std::chrono::nanoseconds(patience).count();
  const auto ended = [](const std::unique_ptr<Sender>& sender) { return sender->ended(); };
  while (!std::all_of(state_->senders.begin(), state_->senders.end(), ended)) {
    if (clock_ns(CLOCK_MONOTONIC) >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

void Shipper::stop() {
  for (const auto& sender : state_->senders) sender->stop();
  state_->threads.clear();  // joins
}

std::vector<DestinationStats> Shipper::stats() const {
  std::vector<DestinationStats> stats;
  for (const auto& sender : state_->senders) stats.push_back(sender->stats());
  return stats;
}

}  // namespace weir::ship
