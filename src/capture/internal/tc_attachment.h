#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace weir::capture {

/// A BPF program at one direction of an interface, through TCX (a link: Linux 6.6) or a clsact filter. First in its
/// row, so that it sees packets that programs behind it drop.
///
/// A link goes with this object, the process and the interface. With a pin it outlives the process: the next one finds
/// it by the pin's path and puts its own program in the place of the old one, with no packet missed in between.
/// A filter has no owner: it stays if the process is killed, and the next attach() replaces it.
/// Threads: one.
class TcAttachment {
 public:
  enum class Way : std::uint8_t { kTcx, kClsact };

  TcAttachment() = default;
  ~TcAttachment() { close(); }
  TcAttachment(TcAttachment&& other) noexcept { *this = static_cast<TcAttachment&&>(other); }
  TcAttachment& operator=(TcAttachment&& other) noexcept;

  /// `pin`: path in a BPF file system, empty: none; only for kTcx. kUnsupported: the kernel does not know the way.
  /// kNotFound: the interface is gone.
  static Result<TcAttachment> attach(int program_fd, int interface, bool ingress, Way way, const std::string& pin);

  /// Detaches for good, and removes the pin.
  void detach();

 private:
  static Result<TcAttachment> attach_tcx(int program_fd, int interface, bool ingress, const std::string& pin);
  static Result<TcAttachment> attach_clsact(int program_fd, int interface, bool ingress);
  /// Lets go: a pinned link stays.
  void close();

  int link_fd_ = -1;
  std::string pin_;
  /// Of a filter: where it is; 0: none.
  int interface_ = 0;
  bool ingress_ = false;
};

}  // namespace weir::capture
