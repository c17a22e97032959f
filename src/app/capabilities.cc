#include "app/capabilities.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"

namespace weir::app {
namespace {

constexpr Capabilities bit(unsigned capability) { return Capabilities{1} << capability; }

constexpr struct {
  unsigned number;
  const char* name;
} kNames[] = {
    {CAP_CHOWN, "CHOWN"},
    {CAP_DAC_OVERRIDE, "DAC_OVERRIDE"},
    {CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH"},
    {CAP_KILL, "KILL"},
    {CAP_NET_ADMIN, "NET_ADMIN"},
    {CAP_NET_RAW, "NET_RAW"},
    {CAP_SYS_PTRACE, "SYS_PTRACE"},
    {CAP_SYS_ADMIN, "SYS_ADMIN"},
    {CAP_SYS_RESOURCE, "SYS_RESOURCE"},
    {CAP_PERFMON, "PERFMON"},
    {CAP_BPF, "BPF"},
};

struct Sets {
  Capabilities effective = 0, permitted = 0, inheritable = 0;
};

Result<Sets> read_sets() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return errno_error("capget");
  const auto joined = [](std::uint32_t low, std::uint32_t high) { return low | Capabilities{high} << 32; };
  return Sets{joined(data[0].effective, data[1].effective), joined(data[0].permitted, data[1].permitted),
              joined(data[0].inheritable, data[1].inheritable)};
}

Status write_sets(const Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int i = 0; i < 2; ++i) {
    data[i].effective = static_cast<std::uint32_t>(sets.effective >> (32 * i));
    data[i].permitted = static_cast<std::uint32_t>(sets.permitted >> (32 * i));
    data[i].inheritable = static_cast<std::uint32_t>(sets.inheritable >> (32 * i));
  }
  if (::syscall(SYS_capset, &header, data) != 0) return errno_error("capset");
  return {};
}

}  // namespace

Capabilities agent_capabilities() { return bit(CAP_BPF) | bit(CAP_PERFMON) | bit(CAP_NET_ADMIN) | bit(CAP_NET_RAW); }

Capabilities running_capabilities(const std::vector<std::string_view>& sources) {
  Capabilities set = 0;
  for (const std::string_view source : sources) {
    if (source == "ebpf") {
      set |= bit(CAP_BPF) | bit(CAP_NET_ADMIN);
    } else if (source == "afpacket") {
      set |= bit(CAP_NET_RAW);
    } else {  // by netlink, which asks with each request
      set |= bit(CAP_NET_ADMIN);
    }
  }
  return set;
}

Capabilities file_capability() { return bit(CAP_DAC_OVERRIDE); }

Capabilities held_capabilities() {
  const Result<Sets> sets = read_sets();
  return sets.ok() ? sets.value().effective : 0;
}

Status keep_capabilities(Capabilities keep) {
  TRY_ASSIGN(const Sets held, read_sets());
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error("no_new_privs");
  if ((held.effective & bit(CAP_SETPCAP)) != 0) {
    for (unsigned capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
      if ((keep & bit(capability)) == 0) ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return write_sets({held.permitted & keep, held.permitted & keep, 0});
}

bool can_use(const std::string& path, bool write, Capabilities with) {
  std::filesystem::path place(path);
  std::error_code error;
  while (write && !place.empty() && place != place.parent_path() && !std::filesystem::exists(place, error)) {
    place = place.parent_path();
  }
  if (place.empty()) place = ".";
  const Result<Sets> held = read_sets();
  if (!held.ok()) return false;
  if (!write_sets({held.value().permitted & with, held.value().permitted, held.value().inheritable}).ok()) return false;
  const bool can = ::faccessat(AT_FDCWD, place.c_str(), write ? W_OK | R_OK : R_OK, AT_EACCESS) == 0;
  return write_sets(held.value()).ok() && can;
}

std::vector<std::string> capability_names(Capabilities set) {
  std::vector<std::string> names;
  for (unsigned capability = 0; capability < 64; ++capability) {
    if ((set & bit(capability)) == 0) continue;
    std::string name = std::to_string(capability);
    for (const auto& known : kNames) {
      if (known.number == capability) name = known.name;
    }
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace weir::app
