#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "cluster/internal/identity.h"
#include "cluster/internal/tenures.h"
#include "cluster/objects.h"
#include "model/endpoint.h"
#include "model/policy_set.h"

namespace weir::cluster {

/// The destinations that clients of services address, and the pods behind them, each in its time: from the creation of
/// the service (or slice) to its deletion, and what changes in between from the change on.
///
/// Each change of an object makes its service's claims anew and compares them with those that stand: what is no longer
/// claimed ends, what is new begins.
class ServiceTable {
 public:
  struct Backend {
    IpAddress ip;
    /// The target port.
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;
    bool ready = true;
    /// In Known::port_names.
    std::uint16_t port_name = 0;
    std::int64_t from_ns = kNoTime;
    std::int64_t to_ns = kForever;
  };

  /// All say whether an answer changed. `time_ns` and `live` as in ObjectChange.
  bool put_service(const Service& service, std::int64_t time_ns, bool live);
  bool remove_service(const Service& service, std::int64_t time_ns);
  bool put_backends(const ServiceBackends& part, std::int64_t time_ns, bool live);
  bool remove_backends(const ServiceBackends& part, std::int64_t time_ns);
  /// Drops what ended before `time_ns`.
  void forget(std::int64_t time_ns);

  /// By address and port: cluster, external and load balancer addresses, endpoints of headless services.
  const model::ServiceRef* by_address(const IpAddress& ip, std::uint16_t port, std::uint8_t protocol,
                                      std::int64_t time_ns) const {
    return find({ip, port, protocol}, time_ns);
  }
  const model::ServiceRef* by_node_port(std::uint16_t port, std::uint8_t protocol, std::int64_t time_ns) const {
    return find({IpAddress(), port, protocol}, time_ns);
  }
  /// Appends the backends that a connection to the destination could be given; the address is none for a node port.
  void backends(const IpAddress& ip, std::uint16_t port, std::uint8_t protocol, std::int64_t time_ns,
                std::vector<Backend>& out) const;
  /// Everything that the service leads to, ready or not; kForever - 1: now. Empty: nothing is known of it.
  std::vector<model::ServiceEndpoints::Subset> endpoints_at(const std::string& namespace_name, const std::string& name,
                                                            std::int64_t time_ns) const;

 private:
  struct Destination {
    /// None for a node port.
    IpAddress ip;
    std::uint16_t port;
    std::uint8_t protocol;
    friend bool operator==(const Destination&, const Destination&) = default;
    friend bool operator<(const Destination& a, const Destination& b) {
      return std::tie(a.ip, a.port, a.protocol) < std::tie(b.ip, b.port, b.protocol);
    }
    template <typename H>
    friend H AbslHashValue(H h, const Destination& d) {  // NOLINT(readability-identifier-naming): absl's name
      return H::combine(std::move(h), d.ip, d.port, d.protocol);
    }
  };
  /// What a service claims now.
  struct Claim {
    Destination destination;
    const model::ServiceRef* ref;
    friend bool operator==(const Claim&, const Claim&) = default;
    friend bool operator<(const Claim& a, const Claim& b) {
      return std::tie(a.destination, a.ref) < std::tie(b.destination, b.ref);
    }
  };
  struct Part {
    std::string key;
    bool from_slice = true;
    /// From when its present content counts.
    std::int64_t since_ns = kNoTime;
    std::vector<ServiceBackends::Subset> subsets;
  };
  struct Known {
    std::string namespace_name, name;
    /// Its object is there; without it, parts may be.
    bool exists = false;
    bool headless = false;
    /// From when its present content counts.
    std::int64_t since_ns = kNoTime;
    std::vector<IpAddress> ips;
    std::vector<ServicePort> ports;
    std::vector<Part> parts;
    std::vector<std::string> port_names;
    /// Sorted.
    std::vector<Claim> claims;
    std::vector<Backend> backends;
  };
  struct Interval {
    std::int64_t from_ns;
    std::int64_t to_ns;
    const Known* service;
    const model::ServiceRef* ref;
  };
  struct Segment {
    std::int64_t from_ns;
    /// Of all that claim the destination from then on; null if nobody does.
    const model::ServiceRef* merged;
  };
  struct Claimed {
    std::vector<Interval> intervals;
    /// Ordered by time.
    std::vector<Segment> segments;
  };

  Known& known(const std::string& namespace_name, const std::string& name);
  /// Holds claims and backends to what the service and its parts say.
  bool refresh(Known& service, std::int64_t time_ns);
  bool refresh_claims(Known& service, std::vector<std::pair<Claim, std::int64_t>> wanted, std::int64_t time_ns);
  static bool refresh_backends(Known& service, std::vector<Backend> wanted, std::int64_t time_ns);
  void merge(Claimed& claimed);
  const model::ServiceRef* find(const Destination& destination, std::int64_t time_ns) const;

  Interner<model::ServiceRef> refs_;
  absl::flat_hash_map<Destination, Claimed> destinations_;
  absl::flat_hash_map<std::string, std::unique_ptr<Known>> services_;
  /// By Part::key.
  absl::flat_hash_map<std::string, Known*> part_owners_;
};

}  // namespace weir::cluster
