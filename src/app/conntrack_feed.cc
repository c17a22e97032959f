#include "app/conntrack_feed.h"

#include "app/stage_options.h"

namespace weir::app {

Result<std::unique_ptr<ConntrackFeed>> ConntrackFeed::create(const config::Settings& settings,
                                                             std::int64_t counted_until_ns) {
  std::unique_ptr<ConntrackFeed> feed(new ConntrackFeed());
  capture::ConntrackReader::Options options;
  options.receive_buffer_bytes = static_cast<std::uint32_t>(settings.conntrack_buffer_mb) << 20;
  TRY_ASSIGN(feed->reader_, capture::ConntrackReader::create(options));
  const meter::MeterOptions common = live_meter_options(settings);
  meter::ConntrackMeterOptions meter;
  meter.max_connections = common.max_connections;
  meter.timeouts = common.timeouts;
  meter.hash_seed = common.hash_seed;
  meter.resume_before_ns = counted_until_ns;
  TRY_ASSIGN(feed->meter_, meter::ConntrackMeter::create(meter));
  feed->dump_interval_ns_ = settings.conntrack_dump_interval.count();
  return feed;
}

FeedRead ConntrackFeed::read(NodePipeline& node, std::int64_t now_ns) {
  const Result<capture::ConntrackRead> read = reader_->poll(now_ns);
  if (!read.ok()) return {};
  if (read.value().dump_begins) meter_->begin_dump();
  meter_->add(read.value().events);
  if (read.value().dump_ends) meter_->end_dump();
  take(node);
  return {!read.value().events.empty(), read.value().more};
}

void ConntrackFeed::take(NodePipeline& node) {
  node.take(meter_->updates());
  meter_->clear_updates();
}

void ConntrackFeed::drain(NodePipeline& node, std::int64_t now_ns) {
  meter_->advance(now_ns);
  take(node);
  if (now_ns < next_dump_ns_ && next_dump_ns_ - now_ns <= dump_interval_ns_) return;
  next_dump_ns_ = now_ns + dump_interval_ns_;
  // A refusal is for want of memory; the next interval tries again.
  [[maybe_unused]] const Status status = reader_->request_dump();
}

/// Counters come with dumps: a window ends with one.
void ConntrackFeed::dump_now(NodePipeline& node, std::int64_t now_ns) {
  constexpr int kMostReads = 100'000;
  // Behind a dump that is under way, which may have passed some entries already, comes another.
  if (!reader_->request_dump().ok()) return;
  next_dump_ns_ = now_ns + dump_interval_ns_;
  for (int i = 0; i < kMostReads && reader_->dump_pending(); ++i) read(node, now_ns);
}

void ConntrackFeed::report(NodePipeline& node) {
  for (auto updates = meter_->flush(); !updates.empty(); updates = meter_->flush()) node.collect(updates);
}

void ConntrackFeed::flush(NodePipeline& node, std::int64_t now_ns, bool final) {
  dump_now(node, now_ns);
  if (final) meter_->end_input();
  report(node);
}

FeedStats ConntrackFeed::stats() {
  const capture::ConntrackStats& reader = reader_->stats();
  const meter::ConntrackMeterStats& meter = meter_->stats();
  FeedStats stats;
  stats.counts = {name(),
                  reader.events_new + reader.events_update + reader.events_destroy,
                  0,
                  {{"overrun", reader.lost}, {"unreadable", reader.unreadable}}};
  stats.open = meter.open;
  stats.dropped = {{"no_room", meter.no_room}, {"end_lost", meter.missing + meter.replaced}};
  return stats;
}

}  // namespace weir::app
