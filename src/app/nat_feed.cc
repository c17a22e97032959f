#include "app/nat_feed.h"

namespace weir::app {

Result<std::unique_ptr<NatFeed>> NatFeed::create(const config::Settings& settings) {
  std::unique_ptr<NatFeed> feed(new NatFeed());
  capture::ConntrackReader::Options options;
  options.receive_buffer_bytes = static_cast<std::uint32_t>(settings.conntrack_buffer_mb) << 20;
  TRY_ASSIGN(feed->reader_, capture::ConntrackReader::create(options));
  return feed;
}

bool NatFeed::read(NodePipeline& node, std::int64_t now_ns) {
  bool any = false;
  for (bool more = true; more;) {
    const Result<capture::ConntrackRead> read = reader_->poll(now_ns);
    if (!read.ok()) return any;
    for (const model::ConntrackEvent& event : read.value().events) node.collector().on_conntrack(event);
    any |= !read.value().events.empty();
    more = read.value().more;
  }
  return any;
}

model::SourceCounts NatFeed::stats() const {
  const capture::ConntrackStats& s = reader_->stats();
  return {"nat", s.events_new + s.events_destroy + s.dump_entries, 0, {{"overrun", s.lost}}};
}

}  // namespace weir::app
