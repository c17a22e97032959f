#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/agent_budget.h"
#include "app/agent_endpoint.h"
#include "app/agent_logs.h"
#include "app/agent_report.h"
#include "app/cluster_feed.h"
#include "app/connection_feed.h"
#include "app/hit_feed.h"
#include "app/nat_feed.h"
#include "app/node_pipeline.h"
#include "app/source_choice.h"
#include "capture/interface_watch.h"
#include "config/settings.h"
#include "ship/shipper.h"

namespace weir::app {

/// The agent on a node: live sources → NodePipeline → log files, on one thread that alone owns all of it.
///
/// Windows are those of the wall clock, [k × interval, (k+1) × interval); the first begins with the agent. A clock that
/// is set back closes the window at once, so that a record's time is never ahead of its line.
class AgentPipeline {
 public:
  struct Options {
    config::Settings settings;
    /// The node whose pods are local.
    std::string node;
    /// Notes for a person: one line each.
    std::function<void(std::string_view)> note;
    /// Reads the settings anew, for reload().
    std::function<Result<config::Settings>()> reload;
    /// Where settings come from: a change of this file is a reload(). Empty: no file.
    std::string config_file;
    /// What the shipper beside the pipeline does, for its figures.
    std::function<std::vector<ship::DestinationStats>()> destinations;
  };

  /// Opens logs, cluster and sources. Nothing is read before run().
  static Result<std::unique_ptr<AgentPipeline>> create(Options options);
  ~AgentPipeline();
  AgentPipeline(const AgentPipeline&) = delete;
  AgentPipeline& operator=(const AgentPipeline&) = delete;

  /// Runs until stop(), then reports what is open and closes the logs.
  Status run();
  /// Ends run() soon. From any thread or signal handler.
  void stop();
  /// The configuration changed: those options that can be taken over while running are, at the next window. From any
  /// thread or signal handler.
  void reload();

 private:
  AgentPipeline() = default;
  Status open_sources(std::int64_t counted_until_ns);
  Status watch(int fd);
  void wait();
  void poll_interfaces();
  bool read_sources();
  void drain(std::int64_t now_ns);
  /// Takes over what changed in the cluster.
  void follow_cluster(std::int64_t now_ns);
  void close_window(std::int64_t now_ns);
  /// Between two windows: takes over new settings, and what the CPU budget asks for.
  void adjust(double window_s);
  bool config_file_changed();
  /// True if aggregation must be set up anew.
  bool take_new_settings();
  AgentTotals totals();
  /// Gives up the capabilities that only the start needs.
  void reduce_privileges();
  /// Starts to serve how the agent does.
  void open_endpoint();
  /// `drained`: sources and cluster were read since the start.
  void publish_state(bool drained);
  void note(std::string_view text) const { options_.note(text); }

  Options options_;
  std::unique_ptr<AgentLogs> logs_;
  std::unique_ptr<ClusterFeed> cluster_;
  std::unique_ptr<NodePipeline> node_;
  std::unique_ptr<capture::InterfaceWatch> interfaces_;
  std::unique_ptr<ConnectionFeed> feed_;
  /// Null: the feed has the packets for the DNS and L7 logs itself, or nobody has.
  std::unique_ptr<ConnectionFeed> payloads_;
  /// Data plane verdicts and address translations; null: not available or not wanted.
  std::unique_ptr<HitFeed> hits_;
  std::unique_ptr<NatFeed> nat_;
  AgentReport report_;
  CpuBudget budget_;
  /// Null: off.
  std::unique_ptr<AgentEndpoint> endpoint_;
  std::vector<SourceChoice> choices_;
  std::string kernel_;
  Capabilities capabilities_ = 0;
  std::int64_t started_ns_ = 0;
  std::size_t watched_ = 0;
  std::int64_t config_stamp_ = 0;
  /// The policies that hits_ knows.
  std::uint64_t hit_rules_version_ = ~std::uint64_t{0};
  int epoll_ = -1, wake_ = -1;
  bool stopping_ = false;
  std::atomic<bool> reload_wanted_{false};
  std::int64_t interval_ns_ = 0, drain_ns_ = 0;
  std::int64_t window_start_ns_ = 0, window_end_ns_ = 0;
  std::int64_t next_drain_ns_ = 0, next_cluster_ns_ = 0, next_report_ns_ = 0;
};

}  // namespace weir::app
