#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "base/result.h"
#include "bpf/shared.h"
#include "model/flow_delta.h"

struct sock_programs;

namespace weir::capture {

/// What TCP knows of pods' sockets, counted in the kernel (bpf/sock.bpf.c) and joined to the connections that the pods'
/// interfaces saw.
///
/// A socket is known by its addresses and its network namespace; an interface only by the addresses of its connections.
/// Where several namespaces have sockets with the same addresses, the interface's is the one that most of its
/// connections so far were found in.
/// Threads: one. Links go with the object.
class EbpfSockets {
 public:
  struct Options {
    std::uint32_t max_sockets = 65'536;
    /// Root of the cgroup2 hierarchy; empty: the first one in /proc/mounts.
    std::string cgroup;
    /// Sockets of this thread's network namespace are left out: they are the node's own.
    bool skip_own_namespace = true;
  };
  struct Stats {
    std::uint64_t samples = 0, lost_full = 0;
    /// Drained entries; connections that got one.
    std::uint64_t drained = 0, joined = 0;
  };
  /// What an interface's connections tell of its pod's network namespace.
  struct Namespace {
    std::uint64_t cookie = 0;
    std::uint32_t votes = 0;
  };

  static Result<std::unique_ptr<EbpfSockets>> create(Options options);
  ~EbpfSockets();
  EbpfSockets(const EbpfSockets&) = delete;
  EbpfSockets& operator=(const EbpfSockets&) = delete;

  /// Turns the switch. Then wait_for_programs(), then drain().
  Status turn();
  /// Takes what was counted before the switch; it is there for join() until the next call.
  Status drain();
  /// Fills the figures and the process of a TCP connection.
  void join(const weir_flow_key& key, Namespace& pods, model::FlowDelta& delta);
  Stats stats() const;

 private:
  struct Ends {
    std::uint8_t bytes[36];
    friend bool operator==(const Ends&, const Ends&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Ends& e) {  // NOLINT(readability-identifier-naming): absl's name
      return H::combine_contiguous(std::move(h), e.bytes, sizeof(e.bytes));
    }
  };
  struct Socket {
    std::uint64_t cookie;
    weir_socket figures;
    /// The next one with the same ends, as index + 1; 0: none.
    std::uint32_t next;
  };

  EbpfSockets() = default;
  Status open(const Options& options);
  const Socket* choose(std::uint32_t first, Namespace& pods) const;

  sock_programs* programs_ = nullptr;
  std::uint32_t half_ = 0;
  std::vector<weir_socket_key> keys_;
  std::vector<weir_socket> values_;
  std::vector<Socket> sockets_;
  absl::flat_hash_map<Ends, std::uint32_t> by_ends_;
  Stats stats_;
};

}  // namespace weir::capture
