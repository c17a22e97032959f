#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "model/endpoint.h"
#include "model/network_policy.h"
#include "model/policy_trace.h"
#include "policy/trace_store.h"

namespace weir::policy {

/// How a trace entry names its policy.
enum class TraceNames : std::uint8_t {
  kDocumented,  ///< "0|default|shop/knp.default.web|allow|0", "0|__PROFILE__|__PROFILE__.kns.shop|allow|0"
  kKind,        ///< "0|default|knp:shop/web|allow|0", "0|__PROFILE__|pro:kns.shop|allow|0"
};

struct EngineOptions {
  TraceNames trace_names = TraceNames::kDocumented;
  /// An ipBlock matches addresses of pods as well as others: what Kubernetes' own tests and Calico do. Off: ipBlocks
  /// match only addresses that belong to no managed pod, as Cilium does.
  bool ip_block_matches_pods = true;
  /// Verdicts remembered, 32 bytes each; rounded up to a power of two. 0: none.
  std::uint32_t cache_entries = 65'536;
  /// Where traces live; it outlives the engine, which then need not outlive its traces. Null: in the engine.
  TraceStore* trace_store = nullptr;
};

/// The objects that decide. Only read by Engine::create(), but for the pods, which must outlive the engine.
struct EngineInputs {
  /// A pod's namespace that is missing here has no labels but kubernetes.io/metadata.name.
  std::vector<model::NamespaceInfo> namespaces;
  /// Type kWorkload with distinct pod_index >= 0. Host-networked pods may be among them; they are ignored.
  std::vector<const model::Endpoint*> pods;
  std::vector<model::NetworkPolicy> network_policies;
};

/// A connection as policy sees it: in the direction in which it was opened, after DNAT.
struct Query {
  /// Null, of another type than kWorkload, host-networked, or not among the engine's pods: that end is a plain address.
  const model::Endpoint* source = nullptr;
  const model::Endpoint* dest = nullptr;
  IpAddress source_ip, dest_ip;
  std::uint8_t protocol = 6;
  std::uint16_t source_port = 0;
  /// ICMP: type << 8 | code.
  std::uint16_t dest_port = 0;
};

/// What the policies of one end say.
struct SideVerdict {
  /// False: no policy can apply to that end (not a pod, host-networked, or a pod that talks to itself): it allows, and
  /// has no traces.
  bool managed = false;
  model::Action action = model::Action::kAllow;
  /// Owned by the engine or its trace store; equal traces have equal pointers. Null if not managed.
  const model::PolicyTrace* enforced = nullptr;
  /// What staged policies would make of it; the same as `enforced` while there are none.
  const model::PolicyTrace* pending = nullptr;
};

struct Verdict {
  SideVerdict egress, ingress;

  bool allowed() const { return egress.action == model::Action::kAllow && ingress.action == model::Action::kAllow; }
};

struct EngineStats {
  std::size_t identities = 0, programs = 0, ip_classes = 0, port_classes = 0, traces = 0;
  std::uint64_t cache_hits = 0, cache_misses = 0;
};

/// Decides connections by the policies of a cluster: egress at the source pod, ingress at the destination pod, each end
/// on its own, and says which policies and rules decided.
///
/// Every policy API is lowered to tiers of ordered policies of ordered rules, compiled once: an end that matches no
/// applicable policy falls through to its namespace's profile, which allows. So far the tier `default` with Kubernetes
/// NetworkPolicies (in the order of the text "name/namespace") is the only one.
///
/// Immutable but for its caches: new policies or pods need a new engine. A verdict costs a walk of the rules of the
/// policies that select its two pods, or a cache probe where pods of the same identities and addresses in the same
/// blocks met on a port of the same class before. Memory: identities x rule selectors bits, plus the cache.
/// Threads: one, not synchronised.       Source: networking.k8s.io/v1; tiers and traces as Calico has them.
class Engine {
 public:
  /// Fails on a pod without a pod_index of its own.
  static Result<std::unique_ptr<Engine>> create(const EngineOptions& options, const EngineInputs& inputs);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Traces stay valid as long as the engine, or its trace store.
  Verdict evaluate(const Query& query);

  EngineStats stats() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::policy
