#include "app/hit_feed.h"

#include "app/stage_options.h"

namespace weir::app {

Result<std::unique_ptr<HitFeed>> HitFeed::create(const config::Settings& settings, bool meter_denied_ingress) {
  std::unique_ptr<HitFeed> feed(new HitFeed());
  capture::NflogReader::Options options;
  options.groups.clear();
  for (const std::string& group : settings.nflog_groups) {
    options.groups.push_back(static_cast<std::uint16_t>(std::stoul(group)));
  }
  options.receive_buffer_bytes = static_cast<std::uint32_t>(settings.nflog_buffer_mb) << 20;
  TRY_ASSIGN(feed->reader_, capture::NflogReader::create(options, &feed->rules_));
  if (meter_denied_ingress) {
    const meter::MeterOptions common = live_meter_options(settings);
    meter::ConntrackMeterOptions meter;
    meter.hash_seed = common.hash_seed;
    TRY_ASSIGN(feed->denied_, meter::ConntrackMeter::create(meter));
  }
  return feed;
}

void HitFeed::take(NodePipeline& node, std::span<const model::ConnectionUpdate> updates) {
  updates_.assign(updates.begin(), updates.end());
  for (model::ConnectionUpdate& update : updates_) {
    update.slot += collect::Collector::kSecondSource;
    update.observed_at = model::ObservedAt::kDest;
  }
  node.collect(updates_);
}

void HitFeed::drain(NodePipeline& node, std::int64_t now_ns) {
  if (denied_ == nullptr) return;
  denied_->advance(now_ns);
  take(node, denied_->updates());
  denied_->clear_updates();
}

void HitFeed::report(NodePipeline& node, bool final) {
  if (denied_ == nullptr) return;
  if (final) denied_->end_input();
  for (auto updates = denied_->flush(); !updates.empty(); updates = denied_->flush()) take(node, updates);
}

bool HitFeed::read(NodePipeline& node, ConnectionFeed& feed, std::int64_t now_ns) {
  bool any = false;
  for (bool more = true; more;) {
    const Result<capture::NflogReader::Read> read = reader_->poll(now_ns);
    if (!read.ok()) return any;
    for (const model::PolicyHit& hit : read.value().hits) {
      any = true;
      node.collector().on_hit(hit);
      feed.on_hit(hit);
      if (denied_ != nullptr && !hit.egress) denied_->add(hit);
    }
    if (denied_ != nullptr) {
      take(node, denied_->updates());
      denied_->clear_updates();
    }
    more = read.value().more;
  }
  return any;
}

void HitFeed::set_policies(const model::PolicySet& policies) {
  // Shorter ones fit into a prefix whole, with any rule number.
  constexpr std::size_t kShortestCut = 50;
  rules_.clear();
  const auto add = [&](const std::string& id, const auto& policy) {
    if (id.size() < kShortestCut) return;
    rules_.add_all(model::HitKind::kPolicyRule, id, static_cast<std::int32_t>(policy.ingress.size()),
                   static_cast<std::int32_t>(policy.egress.size()));
  };
  // Staged ones are not in the data plane.
  for (const auto& policy : policies.network_policies) {
    if (policy->staged != model::StagedAction::kNone) continue;
    add("knp/" + policy->namespace_name + "/" + policy->name, *policy);
    add("np/" + policy->namespace_name + "/knp.default." + policy->name, *policy);
  }
  for (const auto& policy : policies.calico_policies) {
    if (policy->staged != model::StagedAction::kNone) continue;
    add(policy->namespace_name ? "np/" + *policy->namespace_name + "/" + policy->name : "gnp/" + policy->name, *policy);
  }
}

model::SourceCounts HitFeed::stats() const {
  const capture::NflogStats& s = reader_->stats();
  return {"nflog", s.hits, s.packets, {{"overrun", s.lost}, {"unreadable", s.unreadable + s.truncated}}};
}

}  // namespace weir::app
