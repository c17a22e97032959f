#pragma once

#include <cstdint>
#include <string_view>

#include "base/ip.h"
#include "base/result.h"
#include "cluster/ledger.h"
#include "model/endpoint.h"

namespace weir::app {

/// One end of a question about policies: a pod or an address.
struct PolicyEnd {
  const model::Endpoint* pod = nullptr;
  IpAddress ip;
};

/// "namespace/pod", or an address. kNotFound: no such pod.
Result<PolicyEnd> find_policy_end(const cluster::Ledger& ledger, std::string_view text);
/// The pod that had the name and its address at a time; null if none did.
const model::Endpoint* pod_named_at(const cluster::Ledger& ledger, std::string_view namespace_name,
                                    std::string_view name, std::int64_t time_ns);

/// Sets the addresses that two pods, or a pod and an address, would use with each other: the first of one family.
void choose_addresses(PolicyEnd& source, PolicyEnd& dest);

}  // namespace weir::app
