#include "capture/internal/tc_attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::capture {
namespace {

// Of Linux 6.6; Debian's headers and libbpf are older.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr std::uint32_t kBefore = 1u << 3;

// Ours among the filters of all: no other program is likely to have it.
constexpr std::uint32_t kFilterHandle = 0x77656972, kFilterPriority = 1;

Error failed(const char* what, int interface, int error) {
  const ErrorCode code = error == ENODEV ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
  return {code, std::string(what) + " at interface " + std::to_string(interface) + ": " + std::strerror(error)};
}

/// The interface of a TCX link, 0 once that is gone. -1: not a TCX link.
int interface_of(int link_fd) {
  // bpf_link_info as it is today: the union's TCX part is newer than our header.
  struct {
    std::uint32_t type, id, program, padding, interface, attach_type;
    std::uint8_t rest[64];
  } info{};
  constexpr std::uint32_t kTypeTcx = 11;
  std::uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(link_fd, &info, &size) != 0 || info.type != kTypeTcx) return -1;
  return static_cast<int>(info.interface);
}

}  // namespace

TcAttachment& TcAttachment::operator=(TcAttachment&& other) noexcept {
  close();
  link_fd_ = std::exchange(other.link_fd_, -1);
  pin_ = std::exchange(other.pin_, {});
  interface_ = std::exchange(other.interface_, 0);
  ingress_ = other.ingress_;
  return *this;
}

Result<TcAttachment> TcAttachment::attach(int program_fd, int interface, bool ingress, Way way,
                                          const std::string& pin) {
  return way == Way::kTcx ? attach_tcx(program_fd, interface, ingress, pin)
                          : attach_clsact(program_fd, interface, ingress);
}

Result<TcAttachment> TcAttachment::attach_tcx(int program_fd, int interface, bool ingress, const std::string& pin) {
  TcAttachment attachment;
  attachment.pin_ = pin;
  if (!pin.empty()) {
    attachment.link_fd_ = bpf_obj_get(pin.c_str());
    const bool ours = attachment.link_fd_ >= 0 && interface_of(attachment.link_fd_) == interface;
    if (ours && bpf_link_update(attachment.link_fd_, program_fd, nullptr) == 0) return attachment;
    // Of an interface that is gone, or whatever stands there: void.
    if (attachment.link_fd_ >= 0) ::close(attachment.link_fd_);
    unlink(pin.c_str());
  }
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = kBefore);
  attachment.link_fd_ = bpf_link_create(program_fd, interface, ingress ? kTcxIngress : kTcxEgress, &options);
  if (attachment.link_fd_ < 0) {
    const int error = errno;
    attachment.link_fd_ = -1;
    if (error == EINVAL) return Error{ErrorCode::kUnsupported, "the kernel has no TCX (Linux 6.6)"};
    return failed("attach by TCX", interface, error);
  }
  if (!pin.empty() && bpf_obj_pin(attachment.link_fd_, pin.c_str()) != 0) {
    return failed(("pin the link to " + pin).c_str(), interface, errno);
  }
  return attachment;
}

Result<TcAttachment> TcAttachment::attach_clsact(int program_fd, int interface, bool ingress) {
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface, .attach_point = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
  const int made = bpf_tc_hook_create(&hook);
  if (made != 0 && made != -EEXIST) return failed("make a clsact qdisc", interface, -made);
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE, .handle = kFilterHandle,
              .priority = kFilterPriority);
  const int attached = bpf_tc_attach(&hook, &options);
  if (attached != 0) return failed("attach a tc filter", interface, -attached);
  TcAttachment attachment;
  attachment.interface_ = interface;
  attachment.ingress_ = ingress;
  return attachment;
}

void TcAttachment::detach() {
  if (!pin_.empty()) unlink(pin_.c_str());
  pin_.clear();
  close();
}

void TcAttachment::close() {
  if (link_fd_ >= 0) ::close(std::exchange(link_fd_, -1));
  if (interface_ == 0) return;
  // The qdisc stays: others may have their filters there.
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = std::exchange(interface_, 0),
              .attach_point = ingress_ ? BPF_TC_INGRESS : BPF_TC_EGRESS);
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = kFilterHandle, .priority = kFilterPriority);
  // It fails if the interface is gone, and its filters with it.
  (void)bpf_tc_detach(&hook, &options);
}

}  // namespace weir::capture
