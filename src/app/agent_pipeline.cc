#include "app/agent_pipeline.h"

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include "app/agent_sources.h"
#include "app/kernel_probes.h"
#include "base/clock.h"
#include "base/file.h"
#include "flowlog/last_window.h"

namespace weir::app {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000, kMillisecond = 1'000'000;
/// After something came, the loop rests so long: events then come in batches, which cost a third of single ones.
constexpr std::int64_t kRestNs = 10 * kMillisecond;
/// Reads of one source in a row before the others have their turn: their buffers must hold what comes meanwhile. And
/// turns before the rest of the loop has its own.
constexpr int kReadsInARow = 4, kTurns = 16;
/// How long the start waits for the API server: flows of pods that are not known yet are lost.
constexpr std::chrono::milliseconds kClusterPatience{15'000};
/// Connections get their context this long after they began at the earliest, and at the latest with the report after.
constexpr std::int64_t kInitialDelayNs = 2 * kSecond, kReportNs = 5 * kSecond;

std::int64_t wall_ns() { return clock_ns(CLOCK_REALTIME); }
std::int64_t steady_ns() { return clock_ns(CLOCK_BOOTTIME); }

}  // namespace

Result<std::unique_ptr<AgentPipeline>> AgentPipeline::create(Options options) {
  std::unique_ptr<AgentPipeline> pipeline(new AgentPipeline());
  AgentPipeline& p = *pipeline;
  p.options_ = std::move(options);
  TRY(config::validate_for_agent(p.options_.settings));
  bound_by_memory(p.options_.settings);
  const config::Settings& settings = p.options_.settings;
  p.report_ = AgentReport(p.options_.node);
  p.interval_ns_ = settings.flush_interval.count();
  p.drain_ns_ = settings.drain_interval.count();
  p.epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  p.wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (p.epoll_ < 0 || p.wake_ < 0) return errno_error("epoll");
  TRY(p.watch(p.wake_));

  TRY_ASSIGN(const std::optional<std::int64_t> counted, flowlog::last_window_end(settings.log_directory));
  TRY_ASSIGN(p.logs_, AgentLogs::open(settings, p.options_.note));
  TRY_ASSIGN(p.cluster_, ClusterFeed::open(settings, p.options_.node, p.options_.note));
  TRY(p.open_sources(counted.value_or(0) * kSecond));
  p.reduce_privileges();  // before there are threads
  NodeOptions node_options;
  node_options.initial_delay = std::chrono::nanoseconds(kInitialDelayNs);
  node_options.http_heads_only = (p.payloads_ != nullptr ? p.payloads_ : p.feed_)->http_heads_only();
  node_options.http_by_tuple = p.payloads_ != nullptr;
  TRY_ASSIGN(p.node_, NodePipeline::create(settings, {}, p.cluster_->configured(), p.options_.node, p.logs_->sinks(),
                                           node_options));
  TRY(p.cluster_->start(*p.node_, kClusterPatience));
  p.open_endpoint();
  return pipeline;
}

AgentPipeline::~AgentPipeline() {
  if (epoll_ >= 0) ::close(epoll_);
  if (wake_ >= 0) ::close(wake_);
}

Status AgentPipeline::open_sources(std::int64_t counted_until_ns) {
  const config::Settings& settings = options_.settings;
  TRY_ASSIGN(AgentSources sources, open_agent_sources(settings, counted_until_ns, options_.note));
  feed_ = std::move(sources.feed);
  payloads_ = std::move(sources.payloads);
  hits_ = std::move(sources.hits);
  nat_ = std::move(sources.nat);
  choices_ = std::move(sources.choices);
  capture::InterfaceWatch::Options watch_options;
  watch_options.names = settings.interfaces;
  TRY_ASSIGN(interfaces_, capture::InterfaceWatch::create(watch_options));
  TRY(watch(interfaces_->fd()));
  TRY(watch(feed_->fd()));
  if (payloads_ != nullptr) TRY(watch(payloads_->fd()));
  if (hits_ != nullptr) TRY(watch(hits_->fd()));
  if (nat_ != nullptr) TRY(watch(nat_->fd()));
  return {};
}

void AgentPipeline::reduce_privileges() {
  std::vector<std::string_view> used;
  for (const SourceChoice& choice : choices_) {
    if (choice.used) used.push_back(choice.source);
  }
  // What keeps files of others usable was decided before.
  const Status reduced = keep_capabilities(running_capabilities(used) | file_capability());
  if (!reduced.ok()) note("privileges: more are kept than needed: " + reduced.error().message);
  capabilities_ = held_capabilities();
}

void AgentPipeline::open_endpoint() {
  kernel_ = kernel_release();
  started_ns_ = wall_ns();
  const std::string& address = options_.settings.metrics_address;
  if (address == "off") return;
  auto endpoint = AgentEndpoint::start(address);
  if (!endpoint.ok()) {
    // The logs matter more.
    note("metrics: not served: " + endpoint.error().message + " (option metrics_address)");
    return;
  }
  endpoint_ = std::move(endpoint).value();
  publish_state(false);
  note("metrics: http://" + endpoint_->address().to_string() + "/metrics");
}

Status AgentPipeline::watch(int fd) {
  if (fd < 0) return {};
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return errno_error("epoll_ctl");
  return {};
}

void AgentPipeline::reload() { reload_wanted_ = true; }

void AgentPipeline::stop() {
  const std::uint64_t one = 1;
  // The only failure is a counter that is full: then it is readable already.
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

Status AgentPipeline::run() {
  window_start_ns_ = wall_ns();
  window_end_ns_ = window_start_ns_ - window_start_ns_ % interval_ns_ + interval_ns_;
  next_drain_ns_ = steady_ns() + drain_ns_;
  poll_interfaces();
  // Reading the cluster's objects and loading programs took more than they are.
  ::malloc_trim(0);
  note("watching " + std::to_string(watched_) + " interfaces");
  drain(window_start_ns_);
  publish_state(true);
  while (!stopping_) {
    wait();
    poll_interfaces();
    const bool busy = read_sources();
    const std::int64_t now = wall_ns();
    if (steady_ns() >= next_cluster_ns_) follow_cluster(now);
    if (steady_ns() >= next_drain_ns_) {
      drain(now);
      publish_state(true);
      next_drain_ns_ = steady_ns() + drain_ns_;
    }
    const bool set_back = now < window_start_ns_;
    if (now >= window_end_ns_ || set_back) close_window(now);
    if (busy && !stopping_) {
      const timespec rest{0, kRestNs};
      ::nanosleep(&rest, nullptr);
    }
  }
  read_sources();
  node_->finish_input();
  close_window(wall_ns());
  return logs_->close();
}

void AgentPipeline::wait() {
  const std::int64_t until_drain = std::min(next_drain_ns_, next_cluster_ns_) - steady_ns();
  const std::int64_t until_window = window_end_ns_ - wall_ns();
  const std::int64_t wait_ns = std::clamp<std::int64_t>(std::min(until_drain, until_window), 0, kSecond);
  std::array<epoll_event, 8> events{};
  const int timeout_ms = static_cast<int>((wait_ns + kMillisecond - 1) / kMillisecond);
  const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
  for (int i = 0; i < count; ++i) {
    if (events[static_cast<std::size_t>(i)].data.fd == wake_) stopping_ = true;
  }
}

void AgentPipeline::poll_interfaces() {
  Result<capture::InterfaceWatch::Changes> changes = interfaces_->poll();
  if (!changes.ok()) {
    note("interfaces: " + changes.error().message);
    return;
  }
  watched_ -= std::min(watched_, changes.value().removed.size());
  for (ConnectionFeed* feed : {feed_.get(), payloads_.get()}) {
    if (feed == nullptr) continue;
    for (const capture::PodInterface& gone : changes.value().removed) feed->remove_interface(gone);
    for (const capture::PodInterface& added : changes.value().added) {
      const Status status = feed->add_interface(added);
      watched_ += feed == feed_.get() && status.ok() ? 1 : 0;
      // One that is gone again already is no loss.
      if (status.ok() || status.error().code == ErrorCode::kNotFound) continue;
      note(added.name + ": its traffic is not seen: " + status.error().message);
    }
  }
}

bool AgentPipeline::read_sources() {
  bool busy = false, more = true;
  const std::int64_t now = wall_ns();
  for (int turn = 0; more && turn < kTurns; ++turn) {
    more = false;
    // Verdicts and translations first: the connections that they belong to come after them.
    if (hits_ != nullptr) busy |= hits_->read(*node_, *feed_, now);
    if (nat_ != nullptr) busy |= nat_->read(*node_, now);
    for (ConnectionFeed* feed : {payloads_.get(), feed_.get()}) {
      FeedRead read{false, feed != nullptr};
      for (int i = 0; read.more && i < kReadsInARow; ++i) {
        read = feed->read(*node_, now);
        busy |= read.any;
      }
      more |= read.more;
    }
  }
  return busy;
}

void AgentPipeline::drain(std::int64_t now_ns) {
  if (payloads_ != nullptr) payloads_->drain(*node_, now_ns);
  feed_->drain(*node_, now_ns);
  if (hits_ != nullptr) hits_->drain(*node_, now_ns);
  follow_cluster(now_ns);
  if (steady_ns() >= next_report_ns_) {
    if (payloads_ != nullptr) payloads_->report(*node_);
    feed_->report(*node_);
    if (hits_ != nullptr) hits_->report(*node_, false);
    next_report_ns_ = steady_ns() + kReportNs;
  }
  node_->advance(now_ns);
  logs_->flush(steady_ns());
}

void AgentPipeline::follow_cluster(std::int64_t now_ns) {
  next_cluster_ns_ = steady_ns() + cluster_->apply_interval_ns();
  const Status status = cluster_->apply(*node_, now_ns);
  if (!status.ok()) note(status.error().message);
  if (hits_ == nullptr || node_->policies_version() == hit_rules_version_) return;
  hit_rules_version_ = node_->policies_version();
  hits_->set_policies(node_->ledger().policy_set());
}

AgentTotals AgentPipeline::totals() {
  AgentTotals totals;
  totals.feed = feed_->stats();
  totals.sources.push_back(totals.feed.counts);
  if (payloads_ != nullptr) totals.sources.push_back(payloads_->stats().counts);
  if (hits_ != nullptr) totals.sources.push_back(hits_->stats());
  if (nat_ != nullptr) totals.sources.push_back(nat_->stats());
  totals.node = node_->stats();
  totals.logs = logs_->files();
  return totals;
}

void AgentPipeline::publish_state(bool drained) {
  if (endpoint_ == nullptr) return;
  AgentState state;
  state.node = options_.node;
  state.kernel = kernel_;
  state.started_ns = started_ns_;
  state.now_ns = wall_ns();
  state.choices = choices_;
  state.totals = totals();
  state.cost = agent_cost();
  state.interfaces = watched_;
  state.cluster.source = cluster_->source();
  state.cluster.configured = cluster_->configured();
  state.cluster.synced = cluster_->synced();
  state.cluster.api = cluster_->api_status();
  state.cluster.pods = node_->ledger().pods().size();
  state.cluster.namespaces = node_->ledger().namespaces().size();
  state.cluster.network_policies = node_->ledger().network_policies().size();
  state.window_start_ns = window_start_ns_;
  state.interval_ns = interval_ns_;
  state.budget_step = budget_.step();
  state.capabilities = capabilities_;
  if (options_.destinations) state.destinations = options_.destinations();
  endpoint_->publish(state, drained && state.cluster.configured && state.cluster.synced);
}

void AgentPipeline::close_window(std::int64_t now_ns) {
  if (now_ns < window_start_ns_) {
    note("the clock was set back: a window ends early");
    window_start_ns_ = now_ns;
  }
  read_sources();
  drain(now_ns);
  feed_->flush(*node_, now_ns, stopping_);
  if (hits_ != nullptr) hits_->report(*node_, stopping_);
  if (stopping_) node_->finish_young();
  const std::int64_t start_s = window_start_ns_ / kSecond;
  const std::int64_t end_s = std::max(stopping_ ? (now_ns + kSecond - 1) / kSecond : now_ns / kSecond, start_s);
  logs_->begin_window();
  node_->close_window(start_s, end_s);
  report_.write(totals(), start_s, end_s, logs_->agent_lines());
  logs_->flush(steady_ns());
  adjust(static_cast<double>(now_ns - window_start_ns_) / 1e9);
  // What the window's records took, and the reading of objects.
  ::malloc_trim(0);
  window_start_ns_ = end_s * kSecond;
  window_end_ns_ = now_ns - now_ns % interval_ns_ + interval_ns_;
}

bool AgentPipeline::config_file_changed() {
  if (options_.config_file.empty()) return false;
  struct stat file {};
  // A file that is being replaced may be away for a moment.
  if (::stat(options_.config_file.c_str(), &file) != 0) return false;
  const std::int64_t stamp = file.st_mtim.tv_sec * kSecond + file.st_mtim.tv_nsec;
  const std::int64_t before = std::exchange(config_stamp_, stamp);
  return before != 0 && before != stamp;
}

bool AgentPipeline::take_new_settings() {
  Result<config::Settings> read = options_.reload();
  Status status = read.ok() ? config::validate_for_agent(read.value()) : Status(read.error());
  if (!status.ok()) {
    note("configuration not taken over: " + status.error().message);
    return false;
  }
  config::Settings next = std::move(read).value();
  bound_by_memory(next);
  config::Settings& current = options_.settings;
  std::string taken, left;
  for (const config::OptionRow* row : config::changed_options(current, next)) {
    const bool reloads = row->reload == config::Reload::kReload;
    if (reloads) std::visit([&](auto member) { current.*member = next.*member; }, row->member);
    std::string& list = reloads ? taken : left;
    list.append(list.empty() ? "" : ", ").append(row->key);
  }
  if (!left.empty()) note("configuration: a restart is needed for " + left);
  note("configuration: " + (taken.empty() ? "nothing to take over" : "took over " + taken));
  interval_ns_ = current.flush_interval.count();
  drain_ns_ = current.drain_interval.count();
  logs_->set_limits(current);
  feed_->reconfigure(current);
  return !taken.empty();
}

void AgentPipeline::adjust(double window_s) {
  bool anew = false;
  if (config_file_changed()) reload_wanted_ = true;
  if (reload_wanted_.exchange(false) && options_.reload) anew = take_new_settings();
  if (budget_.on_window(report_.cpu_seconds(), window_s, options_.settings.cpu_limit_percent)) {
    note("CPU budget: step " + std::to_string(budget_.step()) + " of " + std::to_string(CpuBudget::kMaxStep) +
         (budget_.step() == 0 ? ", aggregation as configured" : ", aggregation is wider than configured"));
    anew = true;
  }
  if (!anew) return;
  const Status status = node_->reconfigure(budget_.applied_to(options_.settings));
  if (!status.ok()) note("configuration: " + status.error().message);
}

}  // namespace weir::app
