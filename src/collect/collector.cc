#include "collect/collector.h"

#include <algorithm>
#include <limits>
#include <string>

#include "policy/hit_text.h"

namespace weir::collect {

Collector::Collector(CollectorOptions options, const cluster::Ledger& ledger, policy::Engine* engine,
                     policy::TraceStore& traces)
    : options_(options), ledger_(ledger), engine_(engine), traces_(traces), domains_(options.domains) {}

Collector::Context& Collector::context_of(model::ConnectionSlot slot) {
  const bool second = slot >= kSecondSource;
  Contexts& contexts = second ? second_contexts_ : contexts_;
  const std::size_t at = second ? slot - kSecondSource : slot;
  while (at / kContextsAtOnce >= contexts.size()) contexts.push_back(std::make_unique<ContextBlock>());
  return (*contexts[at / kContextsAtOnce])[at % kContextsAtOnce];
}

void Collector::add(const model::ConnectionUpdate& update) {
  Context& context = context_of(update.slot);
  const std::int64_t delay = options_.initial_delay.count();
  if (delay > 0 && update.first && !update.last && now_ns_ - update.start_ns < delay) {
    context = {};
    context.young_at = static_cast<std::uint32_t>(young_.size());
    young_.push_back(update);
    return;
  }
  if (context.young_at == kNotYoung || update.first) {
    process(context, update);
    return;
  }
  merge_young(young_[context.young_at], update);
  if (update.last) process(context, take_young(context));
}

model::ConnectionUpdate Collector::take_young(Context& context) {
  const std::uint32_t at = context.young_at;
  const model::ConnectionUpdate whole = young_[at];
  young_[at] = young_.back();
  context_of(young_[at].slot).young_at = at;
  young_.pop_back();
  context.young_at = kNotYoung;
  return whole;
}

void Collector::merge_young(model::ConnectionUpdate& whole, const model::ConnectionUpdate& update) {
  model::ConnectionUpdate merged = update;
  merged.first = true;
  merged.resumed = whole.resumed;
  merged.start_ns = whole.start_ns;
  merged.closed |= whole.closed;
  if (update.outcome == model::Outcome::kUnknown) merged.outcome = whole.outcome;
  if (update.process_id == 0) {
    merged.process_id = whole.process_id;
    merged.process_name = whole.process_name;
  }
  merged.delta.packets_forward += whole.delta.packets_forward;
  merged.delta.packets_reverse += whole.delta.packets_reverse;
  merged.delta.bytes_forward += whole.delta.bytes_forward;
  merged.delta.bytes_reverse += whole.delta.bytes_reverse;
  merged.tcp.retransmissions += whole.tcp.retransmissions;
  merged.tcp.resets += whole.tcp.resets;
  merged.tcp.lost += whole.tcp.lost;
  merged.tcp.timeouts += whole.tcp.timeouts;
  const std::uint32_t least = whole.tcp.min_congestion_window;
  if (least != 0 && (merged.tcp.min_congestion_window == 0 || least < merged.tcp.min_congestion_window))
    merged.tcp.min_congestion_window = least;
  whole = merged;
}

void Collector::process(Context& context, const model::ConnectionUpdate& update) {
  if (update.first) {
    ++stats_.connections;
    context = {};
    open(context, update, update.start_ns);
    context.started = update.resumed;
    if (context.egress.action == model::Action::kDeny || context.ingress.action == model::Action::kDeny) {
      ++stats_.denied_connections;
    }
  } else if (!context.ended && identity_moved(context, update)) {
    ++stats_.identity_moves;
    end_flow(context, update.slot);
    context = {};
    open(context, update, update.newest_ns);
  } else if (!hits_.empty() && !context.ended) {
    Context before = context;
    if (take_hits(context) && context.started) {
      ++stats_.verdict_moves;
      end_flow(before, update.slot);
      context.started = before.started;
      context.split = before.split;
    }
  }
  report(context, update);
  context.open = !update.last;
}

void Collector::end_flow(Context& context, model::ConnectionSlot slot) {
  model::ConnectionUpdate end;
  end.tuple = context.tuple;
  end.slot = slot;
  end.closed = true;
  report(context, end);
  context.started = context.ended = false;
  context.split = true;
}

void Collector::set_engine(policy::Engine* engine) {
  engine_ = engine;
  if (engine == nullptr) return;
  const auto move_all = [this](Contexts& contexts, model::ConnectionSlot slot) {
    for (const auto& block : contexts) {
      for (Context& context : *block) move_pending(context, slot++);
    }
  };
  move_all(contexts_, 0);
  move_all(second_contexts_, kSecondSource);
}

void Collector::move_pending(Context& context, model::ConnectionSlot slot) {
  if (!context.open || context.ended || !(context.egress.managed || context.ingress.managed)) return;
  const policy::Verdict now = evaluate(context.tuple, context.source, context.dest, context.domains);
  const auto denies = [](const model::PolicyTrace* trace) {
    return trace != nullptr && trace->verdict == model::Action::kDeny;
  };
  const auto moved = [&](const policy::SideVerdict& was, const policy::SideVerdict& is) {
    return was.managed && is.managed && denies(is.pending) != denies(was.pending);
  };
  if (context.started && (moved(context.egress, now.egress) || moved(context.ingress, now.ingress))) {
    ++stats_.pending_moves;
    end_flow(context, slot);
  }
  // An evaluation that no longer knows the end (its pod is gone) leaves the last trace.
  if (context.egress.managed && now.egress.managed) context.egress.pending = now.egress.pending;
  if (context.ingress.managed && now.ingress.managed) context.ingress.pending = now.ingress.pending;
}

void Collector::clear_reports() {
  reports_.clear();
  reported_sources_.clear();
}

void Collector::on_http(const model::HttpTransaction& transaction) {
  if (transaction.original_source.is_none()) return;
  if (!options_.http_by_tuple) {
    original_sources_[transaction.slot].push_back(transaction.original_source);
    return;
  }
  const model::Tuple tuple = translated(transaction.tuple);
  if (original_sources_by_tuple_.size() >= kMaxOriginalSources) {
    // Most are of connections that the other source never told of.
    stats_.original_sources_dropped += original_sources_by_tuple_.size();
    original_sources_by_tuple_.clear();
  }
  std::vector<IpAddress>& sources = original_sources_by_tuple_[tuple];
  // Both ends' interfaces may have seen the request.
  if (std::find(sources.begin(), sources.end(), transaction.original_source) == sources.end()) {
    sources.push_back(transaction.original_source);
  }
}

std::vector<IpAddress> Collector::take_original_sources(const Context& context, model::ConnectionSlot slot) {
  std::vector<IpAddress> sources;
  if (const auto found = original_sources_.find(slot); found != original_sources_.end()) {
    sources = std::move(found->second);
    original_sources_.erase(found);
  }
  if (original_sources_by_tuple_.empty()) return sources;
  if (const auto found = original_sources_by_tuple_.find(context.tuple); found != original_sources_by_tuple_.end()) {
    sources = std::move(found->second);
    original_sources_by_tuple_.erase(found);
  }
  return sources;
}

void Collector::on_hit(const model::PolicyHit& hit) {
  hits_.add(hit);
  if (hit.original_dest == hit.tuple.dest && hit.original_dest_port == hit.tuple.dest_port) return;
  learn_translation(hit.tuple, hit.original_dest, hit.original_dest_port, hit.time_ns);
}

/// A denied connection leaves no entry in the connection tracker: what was made of its destination is known otherwise.
void Collector::learn_translation(const model::Tuple& to, const IpAddress& original_dest,
                                  std::uint16_t original_dest_port, std::int64_t time_ns) {
  model::ConntrackEvent event;
  event.kind = model::ConntrackEvent::Kind::kNew;
  event.original = {to.source, original_dest, to.source_port, original_dest_port, to.protocol};
  event.reply = {to.dest, to.source, to.dest_port, to.source_port, to.protocol};
  event.time_ns = time_ns;
  nat_.learn(event);
}

model::Tuple Collector::translated(const model::Tuple& tuple) const {
  const Translation* known = nat_.translated(tuple);
  return known != nullptr ? known->flow : tuple;
}

void Collector::advance(std::int64_t now_ns) {
  now_ns_ = now_ns;
  hits_.expire(now_ns);
  nat_.advance(now_ns);
  release_young(now_ns - options_.initial_delay.count());
}

void Collector::finish() { release_young(std::numeric_limits<std::int64_t>::max()); }

void Collector::release_young(std::int64_t newest_start_ns) {
  // The second source has the destination's view of denied connections: what their client had addressed is learnt from
  // the client's own view, which is therefore first.
  for (const bool second : {false, true}) {
    for (std::size_t i = 0; i < young_.size();) {
      if ((young_[i].slot >= kSecondSource) != second || young_[i].start_ns > newest_start_ns) {
        ++i;
        continue;
      }
      Context& context = context_of(young_[i].slot);
      process(context, take_young(context));
    }
  }
  // What a burst of connections took goes back.
  constexpr std::size_t kKeptYoung = 4096;
  if (young_.capacity() > kKeptYoung && young_.size() < young_.capacity() / 8) young_.shrink_to_fit();
}

void Collector::open(Context& context, const model::ConnectionUpdate& update, std::int64_t at_ns) {
  context.tuple = update.tuple;
  context.original_dest = update.original_dest;
  context.original_dest_port = update.original_dest_port;
  context.nat_port = update.nat_port;
  if (update.observed_at != model::ObservedAt::kAnywhere) {
    translate(context, update);
    // A view of both ends does not say whose it is. A connection is counted under one name: what comes to be known
    // later, or becomes another, would leave it open under the first.
    context.process_id = update.process_id;
    context.process_name = update.process_name;
  }
  find_ends(context, update, at_ns);
  const model::Tuple& tuple = context.tuple;
  if (options_.include_services) {
    context.service = ledger_.service_at(context.original_dest, context.original_dest_port, tuple.protocol, at_ns);
  }
  const bool outside =
      context.dest->type == model::EndpointType::kNet || context.dest->type == model::EndpointType::kNetworkSet;
  if (outside) context.domains = domains_.find(tuple.source, tuple.dest, at_ns);
  judge(context, update);
}

void Collector::translate(Context& context, const model::ConnectionUpdate& update) {
  const bool at_source = update.observed_at == model::ObservedAt::kSource;
  const Translation* known = at_source ? nat_.translated(update.tuple) : nat_.original(update.tuple);
  if (known == nullptr) {
    if (at_source && !hits_.empty()) translate_by_hits(context, update);
    return;
  }
  context.original_dest = known->original.dest;
  context.original_dest_port = known->original.dest_port;
  // A destination behind SNAT sees the node; the connection is its opener's all the same.
  context.tuple = known->flow;
  if (known->received.source != known->flow.source || known->received.source_port != known->flow.source_port) {
    context.nat_port = known->received.source_port;
  }
}

void Collector::translate_by_hits(Context& context, const model::ConnectionUpdate& update) {
  backends_.clear();
  ledger_.backends(update.original_dest, update.original_dest_port, update.tuple.protocol, update.start_ns, backends_);
  for (const cluster::Ledger::Backend& backend : backends_) {
    model::Tuple tuple = update.tuple;
    tuple.dest = backend.ip;
    tuple.dest_port = backend.port;
    if (!hits_.has(tuple, true)) continue;
    context.tuple = tuple;
    learn_translation(tuple, update.original_dest, update.original_dest_port, update.newest_ns);
    return;
  }
}

void Collector::find_ends(Context& context, const model::ConnectionUpdate& update, std::int64_t at_ns) const {
  const model::Tuple& tuple = context.tuple;
  const cluster::Ledger::Ends ends = ledger_.resolve_ends(tuple.source, tuple.dest, at_ns);
  context.source = ends.source;
  context.dest = ends.dest;
  if (update.observed_at == model::ObservedAt::kAnywhere) return;
  // Whose interface it is, we know better than whose address it was.
  const bool at_source = update.observed_at == model::ObservedAt::kSource;
  const model::Endpoint* owner =
      ledger_.owner_since(at_source ? tuple.source : tuple.dest, update.interface_since_ns, at_ns);
  if (owner != nullptr) (at_source ? context.source : context.dest) = owner;
}

void Collector::judge(Context& context, const model::ConnectionUpdate& update) {
  if (!options_.cluster_known) {
    context.report_source = update.observed_at != model::ObservedAt::kDest;
    context.report_dest = !context.report_source;
    return;
  }
  const auto is_local_pod = [&](const model::Endpoint& endpoint) {
    return endpoint.type == model::EndpointType::kWorkload && !endpoint.host_network && ledger_.is_local(endpoint);
  };
  context.report_source = update.observed_at != model::ObservedAt::kDest && is_local_pod(*context.source);
  context.report_dest = update.observed_at != model::ObservedAt::kSource && is_local_pod(*context.dest);
  if (!context.report_source && !context.report_dest) {
    ++stats_.not_local;
    return;
  }
  context.dest_is_ours = context.report_dest;
  const bool before_dnat = context.service != nullptr && context.dest->type != model::EndpointType::kWorkload;
  if (engine_ != nullptr) {
    const policy::Verdict verdict = before_dnat
                                        ? evaluate_backends(context, update)
                                        : evaluate(context.tuple, context.source, context.dest, context.domains);
    if (context.report_source && verdict.egress.managed) {
      context.egress = verdict.egress;
      context.egress_source = model::VerdictSource::kComputed;
    }
    if (context.report_dest && verdict.ingress.managed) {
      context.ingress = verdict.ingress;
      context.ingress_source = model::VerdictSource::kComputed;
    }
  }
  if (!hits_.empty()) take_hits(context);
  // What egress denies never came to the destination, unless that saw it itself.
  if (context.report_source && context.egress.action == model::Action::kDeny) context.report_dest = false;
}

policy::Verdict Collector::evaluate_backends(const Context& context, const model::ConnectionUpdate& update) {
  backends_.clear();
  ledger_.backends(context.original_dest, context.original_dest_port, context.tuple.protocol, update.start_ns,
                   backends_);
  policy::Verdict common;
  model::Tuple tuple = context.tuple;
  for (std::size_t i = 0; i < backends_.size(); ++i) {
    tuple.dest = backends_[i].ip;
    tuple.dest_port = backends_[i].port;
    const model::Endpoint* dest = backends_[i].endpoint != nullptr ? backends_[i].endpoint : context.dest;
    const policy::Verdict verdict = evaluate(tuple, context.source, dest, context.domains);
    if (i == 0) common = verdict;
    if (verdict.egress.enforced != common.egress.enforced) return {};
  }
  return common;
}

bool Collector::take_hits(Context& context) {
  bool moved = false;
  if (context.report_source)
    moved |= take_hits(context.tuple, true, context.started, context.egress, context.egress_source);
  if (context.dest_is_ours)
    moved |= take_hits(context.tuple, false, context.started, context.ingress, context.ingress_source);
  return moved;
}

bool Collector::take_hits(const model::Tuple& tuple, bool egress, bool started, policy::SideVerdict& side,
                          model::VerdictSource& source) {
  const HitTable::Path& path = hits_.take(tuple, egress);
  if (path.empty()) return false;
  ++stats_.dataplane_verdicts;
  const model::PolicyHit& last = path.back();
  const policy::SideVerdict before = side;
  // A tier's end does not say whose policies apply, and rules that passed on may not be logged: where evaluation comes
  // to the same end, its trace says more.
  const auto agrees = [&](const model::PolicyTrace* trace) {
    if (trace == nullptr || trace->verdict != last.action || trace->entries.empty()) return false;
    const std::string& entry = trace->entries.back();
    const std::string_view text = std::string_view(entry).substr(entry.find('|') + 1);
    if (last.kind != model::HitKind::kTierEnd) return text == policy::hit_text(last, options_.trace_names);
    return text.starts_with(last.id + "|") && text.ends_with("|-1");
  };
  if (agrees(before.enforced)) {
    if (!started) source = model::VerdictSource::kDataplane;
    return false;
  }
  source = model::VerdictSource::kDataplane;
  side.managed = true;
  side.action = last.action;
  if (before.managed && before.action != last.action) ++stats_.verdict_mismatches;
  if (engine_ != nullptr && agrees(side.pending)) {
    side.enforced = side.pending;
    return before.enforced != side.enforced;
  }
  model::PolicyTrace trace;
  for (const model::PolicyHit& hit : path) {
    trace.entries.push_back(std::to_string(trace.entries.size()) + "|" + policy::hit_text(hit, options_.trace_names));
  }
  trace.verdict = last.action;
  side.enforced = traces_.intern(std::move(trace));
  if (side.pending == nullptr) side.pending = side.enforced;
  return before.enforced != side.enforced;
}

policy::Verdict Collector::evaluate(const model::Tuple& tuple, const model::Endpoint* source,
                                    const model::Endpoint* dest, std::span<const std::string_view> names) const {
  return engine_->evaluate({.source = source,
                            .dest = dest,
                            .source_ip = tuple.source,
                            .dest_ip = tuple.dest,
                            .protocol = tuple.protocol,
                            .source_port = tuple.source_port,
                            .dest_port = tuple.dest_port,
                            .dest_names = names});
}

bool Collector::identity_moved(const Context& context, const model::ConnectionUpdate& update) const {
  const auto moved = [&](const IpAddress& ip, const model::Endpoint& was) {
    const model::Endpoint* now = ledger_.endpoint_at(ip, update.newest_ns);
    // Never from a known endpoint to none: the last packets of a pod that is gone are still its own.
    return now != nullptr && now != &was;
  };
  // Of the end at whose interface it is seen we know the owner for good.
  const bool source_known = update.observed_at == model::ObservedAt::kSource;
  const bool dest_known = update.observed_at == model::ObservedAt::kDest;
  return options_.cluster_known && ((!source_known && moved(context.tuple.source, *context.source)) ||
                                    (!dest_known && moved(context.tuple.dest, *context.dest)));
}

void Collector::report(Context& context, const model::ConnectionUpdate& update) {
  const bool ends = (update.closed || update.last) && !context.ended;
  const model::TrafficDelta& delta = update.delta;
  const bool silent = delta.packets_forward == 0 && delta.packets_reverse == 0;
  if (context.split && !context.started && silent) {
    // It ended for another verdict and nothing came since: there is nothing to begin anew.
    context.ended |= ends;
    return;
  }
  const bool outcome_known = update.outcome != model::Outcome::kUnknown && !context.outcome_reported;
  std::vector<IpAddress> clients;
  if (!original_sources_.empty() || !original_sources_by_tuple_.empty()) {
    clients = take_original_sources(context, update.slot);
  }
  const bool news = !context.started || ends || !silent || outcome_known || !clients.empty();
  if (!context.report_source && !context.report_dest) {
    stats_.not_local_packets += delta.packets_forward + delta.packets_reverse;
    stats_.not_local_bytes += delta.bytes_forward + delta.bytes_reverse;
  } else if (news) {
    model::ReportedFlow flow;
    flow.tuple = context.tuple;
    flow.source = context.source;
    flow.dest = context.dest;
    flow.service = context.service;
    flow.starts = !context.started;
    flow.ends = ends;
    flow.trailing = context.ended;
    if (outcome_known) flow.outcome = update.outcome;
    context.outcome_reported |= outcome_known;
    flow.tcp = update.tcp;
    flow.nat_port = update.nat_port != 0 ? update.nat_port : context.nat_port;
    flow.process_id = context.process_id;
    flow.process_name = context.process_name;
    if (!clients.empty()) flow.original_source_ips = reported_sources_.emplace_back(std::move(clients));
    if (context.report_source) report_side(context, flow, model::Reporter::kSource, delta);
    if (context.report_dest) report_side(context, flow, model::Reporter::kDest, delta);
  }
  context.started = true;
  context.ended |= ends;
  if (update.last) original_sources_.erase(update.slot);
}

void Collector::report_side(const Context& context, const model::ReportedFlow& common, model::Reporter reporter,
                            const model::TrafficDelta& delta) {
  model::ReportedFlow& flow = reports_.emplace_back(common);
  const bool egress = reporter == model::Reporter::kSource;
  const policy::SideVerdict& side = egress ? context.egress : context.ingress;
  flow.reporter = reporter;
  flow.action = side.action;
  flow.verdict_source = egress ? context.egress_source : context.ingress_source;
  flow.enforced = side.enforced;
  flow.pending = side.pending;
  flow.packets_out = egress ? delta.packets_forward : delta.packets_reverse;
  flow.packets_in = egress ? delta.packets_reverse : delta.packets_forward;
  flow.bytes_out = egress ? delta.bytes_forward : delta.bytes_reverse;
  flow.bytes_in = egress ? delta.bytes_reverse : delta.bytes_forward;
  if (egress) flow.dest_domains = context.domains;
  ++stats_.reports;
}

}  // namespace weir::collect
