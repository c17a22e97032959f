#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cluster/objects.h"
#include "policy/engine.h"

namespace weir::app {

/// Answers connection queries in JSON by the policies of a cluster: what `weir policy eval` does with each line.
///
/// query    {"src":"ns/pod|ip","dst":"ns/pod|ip","protocol":"TCP|UDP|SCTP|ICMP","port":80}, optional "srcPort",
///          "icmpType", "icmpCode", "dstNames":["example.org"], "httpMethod" and "httpPath"; other members are carried
///          along. An ip is a plain address, whichever pod may own it.
/// verdict
/// {…query…,"allowed":true,"egress":{"action":"allow|deny","enforced_policies":[…],"pending_policies":[…]}|null,
///          "ingress":{…}|null}; null: that end is no managed pod. An end may have
///          "uncertain":["http","layer7","domain", "snat"], and
///          "nearest_miss":{"tier","policy","rule","term","wanted","other_terms"} if it denies and `explain` is set.
///          {…query…,"error":"…"} if there is no verdict.
/// Threads: one.
class PolicyEval {
 public:
  static Result<PolicyEval> create(cluster::ClusterObjects objects, const policy::EngineOptions& options,
                                   bool explain = false);
  PolicyEval(PolicyEval&&) noexcept;
  PolicyEval& operator=(PolicyEval&&) noexcept;
  ~PolicyEval();

  /// Appends the answer to `query`, line `line_number` (from 1) of the input, and a newline. False: it is an error.
  bool answer(std::string_view query, std::uint64_t line_number, std::string& out);

 private:
  struct Impl;
  explicit PolicyEval(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::app
