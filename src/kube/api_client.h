#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bounded_queue.h"
#include "base/result.h"
#include "cluster/object_change.h"
#include "kube/api_server.h"

namespace weir::kube {

/// How it goes with one kind.
struct KindStatus {
  enum class State : std::uint8_t {
    kStarting,   ///< nothing asked yet
    kListing,    ///< a list is running
    kWatching,   ///< up to date
    kRetrying,   ///< failed; tried again soon
    kForbidden,  ///< we may not; tried again now and then
    kAbsent,     ///< the server has no such kind; tried again now and then
  };
  /// "pods".
  std::string name;
  State state = State::kStarting;
  /// All objects were known once; they may be out of date in other states than kWatching.
  bool synced = false;
  std::uint64_t objects = 0;
  std::uint64_t events = 0;
  /// Lists begun, the first one included.
  std::uint64_t lists = 0;
  std::uint64_t watches = 0;
  std::uint64_t failures = 0;
  /// Objects that could not be read, and were left out.
  std::uint64_t refused = 0;
  /// Empty if there was none; with the Unix time in nanoseconds.
  std::string last_error;
  std::int64_t last_error_ns = 0;
};

/// "watching", "forbidden", …
const char* to_string(KindStatus::State state);

struct ApiClientStatus {
  std::string url;
  /// The last request got an answer.
  bool reachable = false;
  std::string last_error;
  /// Each kind was listed once, or cannot be had: the objects are those of the cluster, as far as we are let see it.
  bool synced = false;
  std::vector<KindStatus> kinds;
};

struct ApiClientOptions {
  /// The node that we run on: its pods are followed by a watch of their own. Empty: one watch for all pods.
  std::string node;
  /// Whether pods of other nodes are followed too; they name the far ends of connections.
  bool other_nodes_pods = true;
  /// Objects of one page of a list.
  std::uint32_t page_size = 200;
  /// First and last delay after failures; for what is refused (no permission, no such kind) the last is
  /// `refused_retry`, and ten times that for policy APIs that few clusters have.
  std::chrono::milliseconds first_retry{100};
  std::chrono::milliseconds last_retry{30'000};
  std::chrono::milliseconds refused_retry{60'000};
  /// How long a watch is asked to last, at least (up to twice that): then it is renewed from where it ended.
  std::chrono::seconds watch_time{300};
  /// A request that brings nothing for so long is given up. A server sends each watch a bookmark about once a minute.
  std::chrono::seconds stall{180};
};

/// Follows the objects of a cluster at its API server: namespaces, nodes, ReplicaSets and Jobs (their metadata), pods,
/// services, endpoint slices, network policies and service accounts, and where they are installed Calico's network
/// sets, tiers, policies and host endpoints, admin and cluster network policies, and Cilium's policies.
///
/// Out:     a change for each object, in order for each object, through the queue; pushing waits for room. An initial
///          list is changes that are not `live`.
/// Errors:  are never the end: what is known stays, a server that is away is asked again after 0.1 to 30 s, a kind that
///          we may not see is told once, in status() and to `log`, and left out.
/// Bounds:  one connection a kind; a page or an event each at a time, and the names of the objects.
/// Threads: one of its own from start() to stop(). status() is for any thread.
class ApiClient {
 public:
  /// `queue` outlives the client. `log` takes one line for the user; it is called in the client's thread; may be empty.
  static Result<std::unique_ptr<ApiClient>> create(ApiServer server, ApiClientOptions options,
                                                   BoundedQueue<cluster::ObjectChange>& queue,
                                                   std::function<void(const std::string&)> log);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  void start();
  /// Ends the thread, also where it waits for room in the queue. Idempotent.
  void stop();
  /// Once it says `synced`, what was known then is in the queue or has been taken from it.
  ApiClientStatus status() const;

 private:
  struct Impl;
  explicit ApiClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::kube
