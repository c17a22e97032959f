#include <algorithm>
#include <chrono>
#include <utility>

#include "store/internal/store_impl.h"

namespace weir::store {

using std::chrono::steady_clock;

std::uint64_t Store::Impl::visible_id(LogType log) {
  const std::lock_guard lock(state_mu_);
  return logs_[static_cast<std::size_t>(log)].visible_id;
}

Result<std::uint64_t> Store::Impl::wait_for_rows(LogType log, std::uint64_t after, steady_clock::time_point deadline) {
  std::unique_lock lock(state_mu_);
  const PerLog& state = logs_[static_cast<std::size_t>(log)];
  visible_.wait_until(lock, deadline, [&] { return closing_ || state.visible_id > after; });
  if (closing_) return Error{ErrorCode::kCancelled, "the store is closing"};
  return state.visible_id;
}

std::uint64_t Store::Impl::oldest_id(LogType log) {
  const std::lock_guard hot_lock(hot_mu_);
  const std::lock_guard lock(state_mu_);
  const PerLog& state = logs_[static_cast<std::size_t>(log)];
  std::uint64_t oldest = state.visible_id + 1;
  if (state.hot->rows > 0) oldest = std::min(oldest, state.hot->min_id);
  for (const auto& table : state.sealed) {
    if (table->rows > 0) oldest = std::min(oldest, table->min_id);
  }
  for (const auto& segment : state.segments) oldest = std::min(oldest, segment->info.min_id);
  return oldest;
}

namespace {

class LiveSubscription : public Subscription {
 public:
  /// `Impl` is private to Store: it comes as a template argument.
  template <typename Impl>
  static std::unique_ptr<Subscription> make(Impl& impl, query::Plan plan, std::uint64_t after);
};

template <typename Impl>
class Following : public LiveSubscription {
 public:
  Following(Impl& impl, query::Plan plan, std::uint64_t after) : impl_(impl), plan_(std::move(plan)), after_(after) {
    impl_.count_subscription(1);
  }
  ~Following() override { impl_.count_subscription(-1); }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

  Result<LiveBatch> next(std::chrono::milliseconds timeout, std::uint32_t limit) override {
    const auto deadline = steady_clock::now() + timeout;
    limit = std::max(limit, 1u);
    LiveBatch batch;
    batch.answer.columns = plan_.columns();
    while (true) {
      TRY_ASSIGN(const std::uint64_t newest, impl_.wait_for_rows(plan_.log, after_, deadline));
      if (newest > after_) TRY(read_on(newest, limit, batch));
      batch.last_id = after_;
      if (!batch.answer.rows.empty() || batch.lost > 0 || steady_clock::now() >= deadline) return batch;
    }
  }

 private:
  Status read_on(std::uint64_t newest, std::uint32_t limit, LiveBatch& batch) {
    const std::uint64_t oldest = impl_.oldest_id(plan_.log);
    std::uint64_t from = after_;
    if (newest - from > kMaxLiveBacklog) from = newest - kMaxLiveBacklog;
    if (oldest > from + 1) from = std::min(oldest - 1, newest);
    batch.lost += from - after_;
    after_ = from;
    TRY_ASSIGN(query::Answer answer, impl_.rows_above(plan_, after_, newest, limit));
    // Fewer than asked for: there are no more up to the newest.
    after_ = answer.ids.size() < limit ? newest : answer.ids.back();
    batch.answer = std::move(answer);
    return {};
  }

  Impl& impl_;
  query::Plan plan_;
  std::uint64_t after_;
};

template <typename Impl>
std::unique_ptr<Subscription> LiveSubscription::make(Impl& impl, query::Plan plan, std::uint64_t after) {
  return std::make_unique<Following<Impl>>(impl, std::move(plan), after);
}

}  // namespace

Result<std::unique_ptr<Subscription>> Store::subscribe(const query::Request& request,
                                                       std::optional<std::uint64_t> after_id) const {
  query::Request rows;
  rows.log = request.log;
  rows.filter = request.filter;
  rows.columns = request.columns;
  rows.deduplicate = request.deduplicate;
  rows.from = 0;
  rows.to = INT64_MAX;
  TRY_ASSIGN(query::Plan plan, query::make_plan(rows));
  const std::uint64_t newest = impl_->visible_id(plan.log);
  // An id of another store's, or of rows that were never acknowledged: from now on.
  const std::uint64_t after = std::min(after_id.value_or(newest), newest);
  return LiveSubscription::make(*impl_, std::move(plan), after);
}

}  // namespace weir::store
