#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "model/endpoint.h"
#include "model/policy_set.h"
#include "model/policy_trace.h"
#include "policy/explanation.h"
#include "policy/trace_store.h"

namespace weir::policy {

/// How a trace entry names its policy.
enum class TraceNames : std::uint8_t {
  kDocumented,  ///< "0|default|shop/knp.default.web|allow|0", "0|__PROFILE__|__PROFILE__.kns.shop|allow|0"
  kKind,        ///< "0|default|knp:shop/web|allow|0", "0|__PROFILE__|pro:kns.shop|allow|0"
};

/// What policies say to traffic between a node and pods. Network plugins differ.
enum class NodeTraffic : std::uint8_t {
  kEvaluate,    ///< a node's address is an address like any other
  kAllowLocal,  ///< a node and its own pods may always talk (Kubernetes wants that for probes)
  kAllowAll,    ///< any node and any pod may
};

struct EngineOptions {
  TraceNames trace_names = TraceNames::kDocumented;
  /// ipBlock and networks match addresses of pods as well as others: what Kubernetes' own tests and Calico do. Off:
  /// they match only addresses that belong to no managed pod. Calico's `nets` always match pods, Cilium's CIDRs never.
  bool ip_block_matches_pods = true;
  NodeTraffic node_traffic = NodeTraffic::kEvaluate;
  /// Pending traces as Calico makes them: a staged policy is evaluated beside the enforced one of its name, not in its
  /// place, and stagedAction Delete does nothing.
  bool calico_compatible = false;
  /// Host endpoints let through the ports that keep a host reachable (22, 6443, DHCP, DNS, etcd, BGP, Typha), whatever
  /// policies say.
  bool failsafe_ports = true;
  /// Verdicts remembered, 32 bytes each; rounded up to a power of two. 0: none.
  std::uint32_t cache_entries = 65'536;
  /// Where traces live; it outlives the engine, which then need not outlive its traces. Null: in the engine.
  TraceStore* trace_store = nullptr;
};

/// The objects that decide.
struct EngineInputs {
  model::PolicySet policies;
  /// Type kWorkload with distinct pod_index >= 0; they must outlive the engine. Host-networked pods may be among them;
  /// they are ignored.
  std::vector<const model::Endpoint*> pods;
};

struct HttpRequest {
  /// "GET"
  std::string_view method;
  /// As sent: with its query, not decoded.
  std::string_view path;
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
  /// The names that the destination's address was an answer to, for the source. Without a final dot, in any case.
  std::span<const std::string_view> dest_names = {};
  /// Null: not known; then rules that ask for HTTP match, and the verdict is conditional.
  const HttpRequest* http = nullptr;
};

/// Why a verdict might be another than the data plane's: bits.
enum Uncertainty : std::uint8_t {
  kExact = 0,
  kHttp = 1,    ///< a rule that asks for HTTP was taken to match
  kLayer7 = 2,  ///< a rule that allowed has conditions above L4 that are not evaluated
  kDomain = 4,  ///< a rule asks for a name, and no name of the destination is known
  kSnat = 8,    ///< the source is a node's address, which other sources may hide behind
};

/// What the policies of one end say.
struct SideVerdict {
  /// False: no policy can apply to that end (not a pod, host-networked, or a pod that talks to itself): it allows, and
  /// has no traces.
  bool managed = false;
  model::Action action = model::Action::kAllow;
  /// Of both traces: Uncertainty bits.
  std::uint8_t uncertainty = kExact;
  /// Owned by the engine or its trace store; equal traces have equal pointers. Null if not managed; of a host endpoint
  /// either may be null alone.
  const model::PolicyTrace* enforced = nullptr;
  /// What staged policies would make of it; the same as `enforced` where they change nothing.
  const model::PolicyTrace* pending = nullptr;
};

struct Verdict {
  SideVerdict egress, ingress;

  bool allowed() const { return egress.action == model::Action::kAllow && ingress.action == model::Action::kAllow; }
  bool pending_allowed() const {
    const auto allows = [](const SideVerdict& side) {
      return side.pending == nullptr || side.pending->verdict == model::Action::kAllow;
    };
    return allows(egress) && allows(ingress);
  }
};

/// Which of a host endpoint's policies.
enum class HostStage : std::uint8_t {
  kLocal,      ///< traffic that begins or ends at the host
  kForward,    ///< traffic that passes through it: applyOnForward
  kPreDnat,    ///< what comes in, before DNAT: the query has the service's address and port
  kUntracked,  ///< doNotTrack: before connection tracking, each direction for itself
};

/// The rule that came closest to deciding otherwise.
struct NearestMiss {
  /// As in traces.
  std::string tier, policy;
  std::int32_t rule = 0;
  /// The one term that failed, as the policy's text calls it ("ports", "peer", "source.notNets", …), and in words what
  /// it wanted. Where more than one failed, the first, and how many others.
  std::string term, wanted;
  std::size_t others = 0;
};

struct EngineStats {
  std::size_t identities = 0, programs = 0, ip_classes = 0, port_classes = 0, traces = 0;
  std::uint64_t cache_hits = 0, cache_misses = 0;
  /// Of tables and caches, about.
  std::size_t bytes = 0;
  /// How often everything was compiled from nothing.
  std::uint64_t compiled_anew = 0;
};

/// Decides connections by the policies of a cluster: egress at the source pod, ingress at the destination pod, each end
/// on its own, and says which policies and rules decided.
///
/// Every policy API is lowered to tiers of ordered policies of ordered rules, compiled once: a pod that no tier decides
/// falls through to its profiles; its namespace's allows. Staged policies make a second, pending program.
///
/// A verdict costs a walk of the rules of the policies that select its two pods, or a cache probe where pods of the
/// same identities and addresses in the same blocks met on a port of the same class before. Memory: identities x
/// distinct peer conditions bits, plus the cache. Threads: one, not synchronised. Source:  networking.k8s.io/v1,
/// policy.networking.k8s.io/v1alpha1 and v1alpha2, projectcalico.org/v3, cilium.io/v2;
///          tiers and traces as Calico has them.
class Engine {
 public:
  /// Fails on a pod without a pod_index of its own.
  static Result<std::unique_ptr<Engine>> create(const EngineOptions& options, const EngineInputs& inputs);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Other inputs from now on. Objects with equal pointers are taken as unchanged, and only what changed is compiled;
  /// traces given out stay valid. After an error the engine must be given other inputs before it is asked again.
  Status update(const EngineInputs& inputs);

  /// Traces stay valid as long as the engine, or its trace store.
  Verdict evaluate(const Query& query);

  /// What the policies of a host endpoint say to a connection that leaves (`egress`) or enters it. `host`: the name of
  /// a HostEndpoint of the inputs; of none: not managed. Forwarded traffic that no policy is for is not managed either,
  /// nor is what no rule before DNAT or connection tracking decides. Not cached.
  SideVerdict evaluate_host(std::string_view host, HostStage stage, bool egress, const Query& query);

  /// For a denied end: the rule that came closest to allowing it; nothing if no rule could. Slow, for people.
  std::optional<NearestMiss> nearest_miss(const Query& query, bool egress);

  /// How one end came to its verdict; `pending`: with staged policies in force. Slow, for people.
  Explanation explain(const Query& query, bool egress, bool pending);

  EngineStats stats() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::policy
