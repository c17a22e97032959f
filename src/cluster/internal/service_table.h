#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <vector>

#include "base/ip.h"
#include "cluster/internal/identity.h"
#include "cluster/objects.h"
#include "model/endpoint.h"

namespace weir::cluster {

/// The destinations that clients of services address. A service counts from its creation on.
class ServiceTable {
 public:
  ServiceTable(const std::vector<Service>& services, const std::vector<ServiceBackends>& backends);

  /// By address and port: cluster, external and load balancer addresses, endpoints of headless services.
  const model::ServiceRef* by_address(const IpAddress& ip, std::uint16_t port, std::uint8_t protocol,
                                      std::int64_t time_ns) const {
    return find({ip, port, protocol}, time_ns);
  }
  const model::ServiceRef* by_node_port(std::uint16_t port, std::uint8_t protocol, std::int64_t time_ns) const {
    return find({IpAddress(), port, protocol}, time_ns);
  }

 private:
  struct Destination {
    /// None for a node port.
    IpAddress ip;
    std::uint16_t port;
    std::uint8_t protocol;
    friend bool operator==(const Destination&, const Destination&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Destination& d) {  // NOLINT(readability-identifier-naming): absl's name
      return H::combine(std::move(h), d.ip, d.port, d.protocol);
    }
  };
  struct Candidate {
    std::int64_t from_ns;
    /// Of this candidate and all before it.
    const model::ServiceRef* merged;
  };

  void add_service(const Service& service);
  void add_backends(const Service& service, const ServiceBackends& backends);
  void add(const IpAddress& ip, std::uint16_t port, std::uint8_t protocol, const Service& service,
           const std::string& port_name);
  void merge();
  const model::ServiceRef* find(const Destination& destination, std::int64_t time_ns) const;

  Interner<model::ServiceRef> refs_;
  /// Ordered by time.
  absl::flat_hash_map<Destination, std::vector<Candidate>> destinations_;
};

}  // namespace weir::cluster
