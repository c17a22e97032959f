#include "ship/internal/sender.h"

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "base/clock.h"
#include "base/json.h"

namespace weir::ship {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
/// What was delivered within and not noted is sent again after a kill.
constexpr std::int64_t kCursorNs = kSecond / 2;
constexpr int kRefusedFiles = 1;

std::int64_t steady_ns() { return clock_ns(CLOCK_BOOTTIME); }

}  // namespace

Result<std::unique_ptr<Sender>> Sender::create(const ShipperOptions& options, const DestinationSpec& spec) {
  std::unique_ptr<Sender> sender(new Sender(options, spec));
  const Status opened = sender->open();
  if (!opened.ok()) return Error{opened.error().code, "destination " + spec.name + ": " + opened.error().message};
  return sender;
}

Status Sender::open() {
  TRY_ASSIGN(destination_, make_destination(spec_));
  cursor_path_ = options_.state_directory + '/' + spec_.name + ".cursors";
  Result<std::vector<flowlog::Cursor>> cursors = flowlog::load_cursors(cursor_path_);
  if (!cursors.ok() && cursors.error().code != ErrorCode::kDataLoss) return cursors.error();
  if (!cursors.ok()) {
    options_.note("destination " + spec_.name + ": " + cursors.error().message + "; everything is sent again");
    cursors = std::vector<flowlog::Cursor>();
  }
  for (const model::LogType type : spec_.logs) {
    flowlog::Tailer::Options tail;
    tail.directory = options_.log_directory;
    tail.name = std::string(to_string(type)) + ".log";
    tail.batch_bytes = options_.batch_bytes;
    std::optional<LineFilter> filter;
    if (!spec_.filter.empty()) {
      TRY_ASSIGN(filter, LineFilter::compile(spec_.filter, type));
    }
    logs_.push_back({type, flowlog::Tailer(std::move(tail), cursors.value()), std::move(filter)});
  }
  counts_.name = spec_.name;
  counts_.kind = spec_.kind;
  random_.seed(static_cast<unsigned>(clock_ns(CLOCK_REALTIME)));
  caught_up_ns_ = steady_ns();
  publish();
  return {};
}

void Sender::run() {
  while (!stopping_.load()) {
    const bool sent = send_some();
    store_cursors(false);
    publish();
    if (sent || stopping_.load()) continue;
    if (failures_ == 0) {
      caught_up_ns_ = steady_ns();
      if (options_.once) break;
    }
    rest(options_.poll);
  }
  store_cursors(true);
  publish();
  if (refused_ != nullptr) (void)refused_->close();
  ended_ = true;
}

void Sender::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

DestinationStats Sender::stats() const {
  const std::lock_guard lock(mutex_);
  return published_;
}

void Sender::publish() {
  std::uint64_t lag = 0, lost = 0, files = 0, long_lines = 0;
  for (const Log& log : logs_) {
    lag += log.tailer.lag_bytes();
    lost += log.tailer.stats().bytes_lost + log.tailer.stats().bytes_too_long;
    files += log.tailer.stats().files_lost;
    long_lines += log.tailer.stats().lines_too_long;
  }
  counts_.lag_bytes = lag;
  counts_.lag_seconds = lag == 0 ? 0 : static_cast<double>(steady_ns() - caught_up_ns_) / 1e9;
  counts_.bytes_lost = lost;
  counts_.files_lost = files;
  counts_.lines_too_long = long_lines;
  counts_.failing = failures_ > 0;
  const std::lock_guard lock(mutex_);
  published_ = counts_;
}

void Sender::rest(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [this] { return stopping_.load(); });
}

/// A batch of each log that has one. False: there was none, or the destination did not take it.
bool Sender::send_some() {
  bool sent = false;
  for (Log& log : logs_) {
    if (stopping_.load()) return sent;
    const auto batch = log.tailer.read();
    if (!batch.ok()) {
      failed({.outcome = Delivery::Outcome::kRetry, .reason = batch.error().message});
      return false;
    }
    if (!batch.value()) continue;
    if (!send_batch(log, *batch.value())) return false;
    sent = true;
  }
  return sent;
}

/// The lines of bytes [begin, end) of the batch that the filter lets pass; returns how many it does not.
std::uint64_t Sender::choose_lines(Log& log, const flowlog::TailBatch& batch, std::uint64_t begin, std::uint64_t end,
                                   LineBatch& out) {
  out.log = log.type;
  out.node = options_.node;
  out.stream = batch.stream;
  out.begin = begin;
  out.end = end;
  out.bytes = std::string_view(batch.lines).substr(begin - batch.begin, end - begin);
  out.lines.clear();
  std::uint64_t filtered = 0;
  for (std::string_view rest = out.bytes; !rest.empty();) {
    const std::size_t newline = rest.find('\n');
    const std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline + 1);
    if (line.empty()) continue;
    if (!log.filter || log.filter->passes(line)) {
      out.lines.push_back(line);
    } else {
      ++filtered;
    }
  }
  return filtered;
}

/// All of the batch, in parts if the destination wants that. False: it has to wait; what was delivered is behind the
/// cursor.
bool Sender::send_batch(Log& log, const flowlog::TailBatch& batch) {
  LineBatch part;
  std::uint64_t begin = batch.begin, end = batch.end;
  while (begin < batch.end) {
    if (stopping_.load()) return false;
    const std::uint64_t filtered = choose_lines(log, batch, begin, end, part);
    const Delivery delivery = part.lines.empty() ? Delivery() : deliver(part);
    if (delivery.outcome == Delivery::Outcome::kRetry) {
      failed(delivery);
      return false;
    }
    if (failures_ > 0) recovered();
    cursors_moved_ = true;
    if (delivery.outcome == Delivery::Outcome::kContinue) {
      // It has more than we knew; the rest is read anew from there.
      if (!log.tailer.seek(batch, delivery.from)) log.tailer.advance(batch, batch.end);
      return true;
    }
    if (delivery.outcome == Delivery::Outcome::kRefused && part.lines.size() > 1) {
      // Half by half, until the lines are found that it does not take.
      const std::string_view middle = part.lines[part.lines.size() / 2];
      end = batch.begin + static_cast<std::uint64_t>(middle.data() - batch.lines.data());
      continue;
    }
    settle(part, delivery);
    counts_.lines_filtered += filtered;
    log.tailer.advance(batch, end);
    begin = end;
    end = batch.end;
  }
  return true;
}

/// Counts what became of the lines, and keeps those that were refused, before the cursor moves.
void Sender::settle(const LineBatch& part, const Delivery& delivery) {
  if (delivery.outcome == Delivery::Outcome::kRefused) {
    keep_refused(part, {0, delivery.reason});
  } else {
    for (const Delivery::Refused& refused : delivery.refused) keep_refused(part, refused);
    counts_.lines_refused += delivery.refused_unnamed;
    counts_.lines_sent += part.lines.size() - delivery.refused.size() - delivery.refused_unnamed;
    counts_.bytes_sent += part.bytes.size();
    ++counts_.batches_sent;
  }
  if (refused_ != nullptr) refused_->flush(steady_ns());
}

Delivery Sender::deliver(const LineBatch& batch) {
  Delivery delivery = destination_->deliver(batch, stopping_);
  const std::size_t lines = batch.lines.size();
  std::erase_if(delivery.refused, [&](const Delivery::Refused& refused) { return refused.line >= lines; });
  delivery.refused_unnamed = std::min<std::uint64_t>(delivery.refused_unnamed, lines - delivery.refused.size());
  return delivery;
}

void Sender::keep_refused(const LineBatch& batch, const Delivery::Refused& refused) {
  if (counts_.lines_refused++ == 0) {
    options_.note("destination " + spec_.name + " refuses lines, which are kept in " + options_.state_directory + '/' +
                  spec_.name + ".refused.log: " + refused.reason);
  }
  if (refused_ == nullptr) {
    flowlog::LogFileOptions file;
    file.max_bytes = options_.refused_log_bytes / 2;
    file.max_files = kRefusedFiles;
    file.max_buffered_bytes = 1024 * 1024;
    auto opened = flowlog::LogFile::open(options_.state_directory, spec_.name + ".refused.log", file);
    if (!opened.ok()) return;  // it is counted
    refused_ = std::move(opened).value();
  }
  std::string& out = refused_->buffer();
  out += "{\"time\":";
  json::append_int(out, clock_ns(CLOCK_REALTIME) / kSecond);
  out += ",\"log\":";
  json::append_string(out, to_string(batch.log));
  out += ",\"stream\":";
  json::append_string(out, batch.stream);
  out += ",\"offset\":";
  const std::string_view line = batch.lines[refused.line];
  json::append_uint(out, batch.begin + static_cast<std::uint64_t>(line.data() - batch.bytes.data()));
  out += ",\"reason\":";
  json::append_string(out, refused.reason);
  out += ",\"line\":";
  json::append_string(out, line);
  out += "}\n";
}

void Sender::failed(const Delivery& delivery) {
  if (stopping_.load()) return;
  ++counts_.retries;
  counts_.last_error = delivery.reason;
  if (failures_++ == 0) options_.note("destination " + spec_.name + ": " + delivery.reason + "; trying again");
  publish();
  const unsigned doublings = std::min(failures_ - 1, 20U);
  const std::int64_t longest = options_.longest_retry.count();
  const std::int64_t pause = std::min(longest, options_.first_retry.count() << doublings);
  // Many agents that lost one server must not come back all at once.
  std::uniform_int_distribution<std::int64_t> jitter(pause / 2, pause + pause / 2);
  rest(std::max(std::chrono::milliseconds(jitter(random_)), delivery.retry_after));
}

void Sender::recovered() {
  options_.note("destination " + spec_.name + ": it takes lines again, after " + std::to_string(failures_) +
                (failures_ == 1 ? " failure" : " failures"));
  failures_ = 0;
}

void Sender::store_cursors(bool now) {
  if (!cursors_moved_ || (!now && steady_ns() - cursors_stored_ns_ < kCursorNs)) return;
  std::vector<flowlog::Cursor> cursors;
  for (const Log& log : logs_) log.tailer.cursors(cursors);
  const Status stored = flowlog::store_cursors(cursor_path_, cursors);
  cursors_stored_ns_ = steady_ns();
  cursors_moved_ = !stored.ok();
  if (!stored.ok()) {
    ++counts_.cursor_failures;
    if (!cursors_failing_) options_.note("destination " + spec_.name + ": its cursors: " + stored.error().message);
  }
  cursors_failing_ = !stored.ok();
}

}  // namespace weir::ship
