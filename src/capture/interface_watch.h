#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::capture {

/// The node's side of a pod's interface (a veth whose peer is in another network namespace).
struct PodInterface {
  /// Dense number from 1, of this run; given to another interface only after the numbers have run out.
  std::uint16_t zone = 0;
  int index = 0;
  std::string name;
  /// When it appeared, nanoseconds since the Unix epoch. 0: it was there before us, nobody knows since when.
  std::int64_t since_ns = 0;
};

/// Watches the interfaces of this network namespace for those of pods that come and go (rtnetlink).
///
/// An interface counts if its name matches one of Options::names and it is a veth pair's half, or whatever matches with
/// Options::any_kind. A lost notification (ENOBUFS) leads to a new dump, so nothing is missed for good (counted).
/// Threads: one.      Source: rtnetlink(7).
class InterfaceWatch {
 public:
  struct Options {
    /// Shell wildcards (fnmatch). The defaults are those of Calico, Cilium, Azure, AWS, GKE and plain veth plugins.
    std::vector<std::string> names{"cali*", "lxc*", "azv*", "eni*", "gke*", "veth*"};
    bool any_kind = false;
  };
  struct Changes {
    std::vector<PodInterface> added, removed;
  };
  static Result<std::unique_ptr<InterfaceWatch>> create(Options options);
  ~InterfaceWatch();
  InterfaceWatch(const InterfaceWatch&) = delete;
  InterfaceWatch& operator=(const InterfaceWatch&) = delete;

  /// Readable when poll() has something to say.
  int fd() const;
  /// What changed since the last call; the first call gives the interfaces that are there. Never blocks.
  Result<Changes> poll();
  /// Notifications that the kernel dropped, each followed by a new dump.
  std::uint64_t overruns() const;

 private:
  struct State;
  explicit InterfaceWatch(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::capture
