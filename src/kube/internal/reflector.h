#pragma once

#include <absl/container/flat_hash_map.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/object_change.h"
#include "cluster/watch_event.h"
#include "kube/api_client.h"

namespace weir::kube {

/// Times of one reflector. Tests shorten them.
struct ReflectorTimes {
  std::chrono::milliseconds first_retry{100};
  std::chrono::milliseconds last_retry{30'000};
  /// Where the server says that we may not, or that there is no such kind: the longest delay. The first is
  /// `first_retry` where that may be because the server has just started.
  std::chrono::milliseconds refused_retry{60'000};
  /// How long one watch is asked to last, at least; up to twice that.
  std::chrono::seconds watch{300};
};

struct ReflectorOptions {
  cluster::ObjectKind kind = cluster::ObjectKind::kPod;
  /// For statuses and messages: "pods".
  std::string name;
  /// Where the kind may be served: the next one is tried where the server knows none of the one before.
  std::vector<std::string> paths;
  /// As a query parameter's value, escaped; empty: all objects.
  std::string field_selector;
  /// Many clusters do without: the user is not told that it is absent.
  bool optional = false;
  /// Ask for the objects' metadata alone.
  bool metadata_only = false;
  std::uint32_t page_size = 200;
  ReflectorTimes times;
};

/// Follows the objects of one kind: lists them page by page, then watches from there on, and lists again only where the
/// server has forgotten the place. Holds no connection: it says which request is to be made, and is told what comes of
/// it.
///
/// What it knows outlives every failure: objects are taken back only by an event or a list that says so.
/// Bounds:  one page of a list, or one event, of at most kMaxPageBytes and kMaxEventBytes; a name and a hash an object.
/// Threads: one.       Source: Kubernetes API concepts (efficient detection of changes, chunking, bookmarks).
class Reflector {
 public:
  static constexpr std::size_t kMaxPageBytes = std::size_t{256} << 20;
  static constexpr std::size_t kMaxEventBytes = std::size_t{16} << 20;

  explicit Reflector(ReflectorOptions options, std::uint32_t seed);

  struct Request {
    /// Path and query.
    std::string target;
    std::string accept;
    bool watch = false;
  };
  /// The request to make now; nullopt before wake_ns(). The answer goes to on_data() and on_end().
  /// `now_ns` is that of a steady clock, `wall_ns` since the Unix epoch.
  std::optional<Request> next(std::int64_t now_ns);
  std::int64_t wake_ns() const { return wake_ns_; }

  /// The answer begins.
  void on_answer(std::int64_t now_ns);
  /// Bytes of its body. False: the request is to be ended; on_end() follows.
  bool on_data(int http_code, std::string_view bytes, std::int64_t now_ns, std::int64_t wall_ns);
  /// The answer ended. `transport_error` is empty if it ended as HTTP wants it. `retry_after_s` 0: not said.
  void on_end(int http_code, std::string_view transport_error, std::int64_t retry_after_s, std::int64_t now_ns,
              std::int64_t wall_ns);

  /// The server answers others again: what failed on the way is tried again soon.
  void server_is_back(std::int64_t now_ns);

  /// Appends what changed since the last call.
  void take_changes(std::vector<cluster::ObjectChange>& out);
  /// Lines for the user: what went wrong, once, and that it is over.
  void take_messages(std::vector<std::string>& out);

  const KindStatus& status() const { return status_; }
  /// Listed once, or not to be had, or failing for a while: whoever waits for it may go on.
  bool settled() const;

 private:
  enum class Phase : std::uint8_t { kList, kWatch };

  bool on_watch_data(std::string_view bytes, std::int64_t now_ns, std::int64_t wall_ns);
  bool take_event(std::string_view line, std::int64_t now_ns, std::int64_t wall_ns);
  void take_page(std::int64_t now_ns, std::int64_t wall_ns);
  void end_list(std::int64_t wall_ns);
  void end_watch(std::int64_t now_ns);
  void put(cluster::ClusterObject object, bool live, std::int64_t wall_ns);
  void remove(const std::string& key, bool live, std::int64_t wall_ns);
  void begin_list();
  void refuse(int http_code, const std::string& message, std::int64_t now_ns, std::int64_t wall_ns);
  void fail(const std::string& message, std::int64_t retry_after_s, std::int64_t now_ns, std::int64_t wall_ns);
  /// The user is told of a failure that lasts, unless it is that of all kinds.
  void tell(const std::string& message);
  void succeed();
  void note_error(const std::string& message, std::int64_t wall_ns);
  /// An object or event was left out.
  void leave_out(const std::string& message, std::int64_t wall_ns);
  /// Tells the user, each once.
  void remark(const std::vector<std::string>& remarks);
  std::int64_t jittered(std::chrono::milliseconds delay);

  ReflectorOptions options_;
  std::minstd_rand random_;
  KindStatus status_;
  Phase phase_ = Phase::kList;
  std::size_t path_ = 0;
  std::int64_t wake_ns_ = 0;
  int failures_ = 0;
  /// In a row: an API server that has just started refuses everybody until it knows its roles, and knows fewer kinds.
  int refusals_ = 0;
  bool failed_on_the_way_ = false;
  /// The error that the user was told of; empty: all is well.
  std::string told_;
  bool told_refused_ = false;

  std::string resource_version_;
  std::string continue_token_;
  /// Of the answer: a page, the part of a line, or what an error says.
  std::string body_;
  /// Within a line that is too long.
  bool skipping_ = false;
  /// What ended the watch from within; empty if nothing did.
  std::string broken_;
  bool relist_ = false;
  /// An event was passed over, of we do not know which object: after this watch, the list tells what we missed.
  bool doubtful_ = false;
  std::int64_t request_ns_ = 0;
  /// When we were last in touch; kNever before that.
  std::int64_t contact_ns_;
  /// Events up to then are what we missed: not live.
  std::int64_t catch_up_ns_ = 0;
  /// This watch begins after a time without contact.
  bool missed_ = false;
  bool watch_heard_ = false;

  /// "namespace/name": hash of the uid.
  absl::flat_hash_map<std::string, std::uint64_t> known_;
  /// Those that the running list held so far.
  absl::flat_hash_map<std::string, std::uint64_t> listed_;
  std::vector<cluster::ObjectChange> changes_;
  std::vector<std::string> messages_;
  /// Those told.
  std::set<std::string> remarks_;
};

}  // namespace weir::kube
