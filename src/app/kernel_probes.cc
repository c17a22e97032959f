#include "app/kernel_probes.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/magic.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/result.h"

// One function per thing, in a table. They call the kernel directly instead of through the sources: so a probe says
// what is missing and not that a source failed, and loads the smallest thing that shows it.

namespace weir::app {
namespace {

struct Outcome {
  bool ok;
  std::string detail;
};

Outcome yes(std::string detail) { return {true, std::move(detail)}; }
Outcome no(std::string detail) { return {false, std::move(detail)}; }

/// The reason of errno, with what helps.
Outcome refused(int error, const char* capability) {
  if (error == EPERM || error == EACCES) return no(std::string("not permitted: run as root or with ") + capability);
  return no(std::strerror(error));
}

/// Closes what a probe opened.
class Descriptor {
 public:
  explicit Descriptor(long fd) : fd_(static_cast<int>(fd)), error_(fd < 0 ? errno : 0) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool ok() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  int error() const { return error_; }

 private:
  int fd_, error_;
};

// -- eBPF ----------------------------------------------------------------------------------------------------------

constexpr char kBpfCapabilities[] = "CAP_BPF and CAP_NET_ADMIN";

long bpf(bpf_cmd command, bpf_attr& attributes) { return ::syscall(SYS_bpf, command, &attributes, sizeof attributes); }

long create_map(bpf_map_type type, std::uint32_t key, std::uint32_t value, std::uint32_t entries) {
  bpf_attr attributes{};
  attributes.map_type = type;
  attributes.key_size = key;
  attributes.value_size = value;
  attributes.max_entries = entries;
  return bpf(BPF_MAP_CREATE, attributes);
}

/// `return 0;`, or `return 1;` where 0 would be refused.
long load_program(bpf_prog_type type, std::int32_t result) {
  const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, result}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  bpf_attr attributes{};
  attributes.prog_type = type;
  attributes.insns = reinterpret_cast<std::uint64_t>(code);
  attributes.insn_cnt = 2;
  attributes.license = reinterpret_cast<std::uint64_t>("GPL");
  return bpf(BPF_PROG_LOAD, attributes);
}

Outcome probe_btf(const config::Settings&) {
  constexpr char kPath[] = "/sys/kernel/btf/vmlinux";
  struct stat info {};
  if (::stat(kPath, &info) != 0)
    return no(std::string(kPath) + ": " + std::strerror(errno) + " (CONFIG_DEBUG_INFO_BTF)");
  return yes(std::to_string(info.st_size >> 10) + " KiB of types");
}

Outcome probe_bpf_map(const config::Settings&) {
  const Descriptor map(create_map(BPF_MAP_TYPE_LRU_HASH, 4, 8, 64));
  return map.ok() ? yes("LRU hash tables") : refused(map.error(), kBpfCapabilities);
}

Outcome probe_bpf_program(const config::Settings&) {
  const Descriptor program(load_program(BPF_PROG_TYPE_SCHED_CLS, 0));
  return program.ok() ? yes("traffic-control programs load") : refused(program.error(), kBpfCapabilities);
}

Outcome probe_ring_buffer(const config::Settings&) {
  const auto page = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
  const Descriptor ring(create_map(BPF_MAP_TYPE_RINGBUF, 0, 0, page));
  return ring.ok() ? yes("since Linux 5.8") : refused(ring.error(), kBpfCapabilities);
}

Outcome probe_tcx(const config::Settings&) {
  constexpr std::uint32_t kTcxIngress = 46;  // BPF_TCX_INGRESS; the headers of Debian 12 are older
  constexpr std::uint32_t kNoInterface = 0x7FFFFFFF;
  const Descriptor program(load_program(BPF_PROG_TYPE_SCHED_CLS, 0));
  if (!program.ok()) return refused(program.error(), kBpfCapabilities);
  bpf_attr attributes{};
  attributes.link_create.prog_fd = static_cast<std::uint32_t>(program.fd());
  attributes.link_create.target_ifindex = kNoInterface;
  attributes.link_create.attach_type = kTcxIngress;
  const Descriptor link(bpf(BPF_LINK_CREATE, attributes));
  // A kernel that knows the hook misses the interface; one that does not, the hook.
  if (link.error() == ENODEV) return yes("since Linux 6.6");
  return no("older than Linux 6.6: the clsact hook is used");
}

Outcome probe_sock_ops(const config::Settings&) {
  const Descriptor program(load_program(BPF_PROG_TYPE_SOCK_OPS, 1));
  return program.ok() ? yes("round-trip times and retransmissions of pods' sockets")
                      : refused(program.error(), kBpfCapabilities);
}

Outcome probe_cgroup2(const config::Settings&) {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device, path, type;
    if (words >> device >> path >> type && type == "cgroup2") return yes("mounted at " + path);
  }
  return no("no cgroup2 is mounted: processes and sockets of pods are not known");
}

// -- Netfilter -----------------------------------------------------------------------------------------------------

/// Asks a subsystem of nfnetlink something small. Returns the error that it answers with, 0 for none.
int ask_netfilter(std::uint16_t type, std::uint16_t resource) {
  const Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket.ok()) return socket.error();
  struct {
    nlmsghdr header;
    nfgenmsg message;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.message.nfgen_family = AF_UNSPEC;
  request.message.version = NFNETLINK_V0;
  request.message.res_id = htons(resource);
  timeval limit{1, 0};
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (::send(socket.fd(), &request, sizeof request, 0) < 0) return errno;
  alignas(nlmsghdr) char answer[8192];
  const ssize_t got = ::recv(socket.fd(), answer, sizeof answer, 0);
  if (got < 0) return errno;
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
  if (static_cast<std::size_t>(got) < NLMSG_LENGTH(sizeof(nlmsgerr)) || header->nlmsg_type != NLMSG_ERROR) return 0;
  return -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
}

std::string read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string netfilter_sysctl(const char* name) { return read_line(std::string("/proc/sys/net/netfilter/") + name); }

Outcome probe_conntrack(const config::Settings&) {
  const int error = ask_netfilter((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_STATS, 0);
  if (error == EINVAL) return no("the kernel has no nf_conntrack_netlink: modprobe nf_conntrack_netlink");
  if (error != 0) return refused(error, "CAP_NET_ADMIN");
  return yes(netfilter_sysctl("nf_conntrack_count") + " of " + netfilter_sysctl("nf_conntrack_max") + " entries used");
}

/// A switch of the connection tracker that is to be on.
Outcome probe_switch(const char* name, const char* otherwise) {
  const std::string value = netfilter_sysctl(name);
  if (value.empty()) return no("nf_conntrack is not loaded");
  if (value == "0") return no(std::string("off, ") + otherwise + ": sysctl -w net.netfilter." + name + "=1");
  return yes(value == "2" ? "on when somebody listens" : "on");
}

Outcome probe_conntrack_acct(const config::Settings&) {
  return probe_switch("nf_conntrack_acct", "packets and bytes are not counted");
}
Outcome probe_conntrack_events(const config::Settings&) {
  return probe_switch("nf_conntrack_events", "short connections are missed");
}
Outcome probe_conntrack_timestamp(const config::Settings&) {
  return probe_switch("nf_conntrack_timestamp", "start times are those of the event");
}

Outcome probe_nflog(const config::Settings&) {
  constexpr std::uint16_t kNoGroup = 65'535;
  const int error = ask_netfilter((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG, kNoGroup);
  // There is no such group, says a kernel that has groups.
  if (error == 0 || error == ENODEV) return yes("the data plane's log rules can be read");
  if (error == EINVAL) return no("the kernel has no nfnetlink_log: modprobe nfnetlink_log");
  return refused(error, "CAP_NET_ADMIN");
}

// -- Packets and interfaces ----------------------------------------------------------------------------------------

Outcome probe_af_packet(const config::Settings&) {
  const Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!socket.ok()) return refused(socket.error(), "CAP_NET_RAW");
  const int version = TPACKET_V3;
  if (::setsockopt(socket.fd(), SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0) {
    return no(std::string("no TPACKET_V3: ") + std::strerror(errno));
  }
  return yes("TPACKET_V3 rings");
}

Outcome probe_interfaces(const config::Settings& settings) {
  const std::vector<std::string> names = matching_interfaces(settings.interfaces);
  std::string text = std::to_string(names.size()) + " found";
  constexpr std::size_t kShown = 5;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i == 0 ? ": " : ", ") + names[i];
  if (names.size() > kShown) text += ", …";
  if (names.empty()) text += ": no pod runs here, or `interfaces` does not name theirs";
  return {!names.empty(), text};
}

// -- The process and its folders -----------------------------------------------------------------------------------

struct Capability {
  const char* name;
  int number;
};
constexpr Capability kCapabilities[] = {
    {"NET_ADMIN", CAP_NET_ADMIN},       {"NET_RAW", CAP_NET_RAW},     {"BPF", CAP_BPF},
    {"PERFMON", CAP_PERFMON},           {"SYS_ADMIN", CAP_SYS_ADMIN}, {"SYS_PTRACE", CAP_SYS_PTRACE},
    {"SYS_RESOURCE", CAP_SYS_RESOURCE},
};

Outcome probe_capabilities(const config::Settings&) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return no(std::strerror(errno));
  const auto has = [&](int number) { return (data[number / 32].effective >> (number % 32) & 1U) != 0; };
  std::string held;
  for (const Capability& capability : kCapabilities) {
    if (has(capability.number)) held.append(held.empty() ? "" : ", ").append(capability.name);
  }
  if (!has(CAP_NET_ADMIN)) return no("NET_ADMIN is missing; held: " + (held.empty() ? "none" : held));
  return yes(held);
}

/// Of a folder that is not there yet, the one in which it would be made.
Outcome probe_directory(const std::string& directory) {
  std::string path = directory;
  struct stat info {};
  while (::stat(path.c_str(), &info) != 0) {
    if (errno != ENOENT || path == "/") return no(path + ": " + std::strerror(errno));
    const std::size_t slash = path.find_last_of('/');
    path = slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
  }
  if (!S_ISDIR(info.st_mode)) return no(path + " is no directory");
  if (::access(path.c_str(), W_OK | X_OK) != 0) return no(path + ": " + std::strerror(errno));
  struct statvfs space {};
  if (::statvfs(path.c_str(), &space) != 0) return no(path + ": " + std::strerror(errno));
  const std::uint64_t free_mb = space.f_bavail * space.f_frsize >> 20;
  const std::string detail =
      directory + (path == directory ? ": " : " (will be made): ") + std::to_string(free_mb) + " MiB free";
  return {free_mb > 0, detail};
}

Outcome probe_log_directory(const config::Settings& settings) { return probe_directory(settings.log_directory); }
Outcome probe_state_directory(const config::Settings& settings) { return probe_directory(settings.state_directory); }

struct ProbeRow {
  std::string_view name;
  Outcome (*probe)(const config::Settings&);
};
constexpr ProbeRow kProbes[] = {
    {"btf", probe_btf},
    {"bpf_map", probe_bpf_map},
    {"bpf_program", probe_bpf_program},
    {"ring_buffer", probe_ring_buffer},
    {"tcx", probe_tcx},
    {"sock_ops", probe_sock_ops},
    {"cgroup2", probe_cgroup2},
    {"conntrack", probe_conntrack},
    {"conntrack_acct", probe_conntrack_acct},
    {"conntrack_events", probe_conntrack_events},
    {"conntrack_timestamp", probe_conntrack_timestamp},
    {"nflog", probe_nflog},
    {"af_packet", probe_af_packet},
    {"pod_interfaces", probe_interfaces},
    {"capabilities", probe_capabilities},
    {"log_directory", probe_log_directory},
    {"state_directory", probe_state_directory},
};

}  // namespace

std::vector<Finding> probe_kernel(const config::Settings& settings) {
  std::vector<Finding> findings;
  for (const ProbeRow& row : kProbes) {
    Outcome outcome = row.probe(settings);
    findings.push_back({row.name, outcome.ok, std::move(outcome.detail)});
  }
  return findings;
}

const Finding& find(const std::vector<Finding>& findings, std::string_view name) {
  const auto found = std::find_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.name == name; });
  CHECK(found != findings.end());
  return *found;
}

std::vector<std::string> matching_interfaces(const std::vector<std::string>& wildcards) {
  std::vector<std::string> names;
  if (struct if_nameindex* all = ::if_nameindex()) {
    for (const struct if_nameindex* one = all; one->if_index != 0; ++one) {
      const bool matches = std::any_of(wildcards.begin(), wildcards.end(), [&](const std::string& wildcard) {
        return ::fnmatch(wildcard.c_str(), one->if_name, 0) == 0;
      });
      if (matches) names.emplace_back(one->if_name);
    }
    ::if_freenameindex(all);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string kernel_release() {
  struct utsname name {};
  ::uname(&name);
  return std::string(name.sysname) + ' ' + name.release + ' ' + name.machine;
}

}  // namespace weir::app
