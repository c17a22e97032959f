#include "capture/internal/ebpf_objects.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

namespace weir::capture {
namespace {

constexpr std::string_view kFolderPrefix = "layout-";

std::string& messages() {
  thread_local std::string text;
  return text;
}

int keep_message(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  const int size = std::vsnprintf(line, sizeof(line), format, arguments);
  std::string& text = messages();
  // The verifier's log is long; its end says what is wrong.
  constexpr std::size_t kMost = 2000;
  text += line;
  if (text.size() > kMost) text.erase(0, text.size() - kMost);
  return size;
}

}  // namespace

void catch_libbpf_messages() { libbpf_set_print(keep_message); }

std::string take_libbpf_messages() {
  std::string text = std::exchange(messages(), {});
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text) c = c == '\n' ? ' ' : c;
  return text;
}

Result<std::string> open_pin_folder(const std::string& pin_path, std::uint32_t layout, bool& replaced) {
  std::error_code error;
  std::filesystem::create_directories(pin_path, error);
  struct statfs where {};
  if (error || statfs(pin_path.c_str(), &where) != 0) {
    const std::string why = error ? error.message() : std::strerror(errno);
    return Error{ErrorCode::kUnavailable, "make the folder " + pin_path + " for eBPF pins: " + why};
  }
  if (static_cast<std::uint64_t>(where.f_type) != BPF_FS_MAGIC) {
    return Error{ErrorCode::kUnavailable, pin_path + " is in no BPF file system: mount one (mount -t bpf bpf " +
                                              pin_path + "), or do without pins"};
  }
  const std::string name = std::string(kFolderPrefix) + std::to_string(layout);
  for (const auto& entry : std::filesystem::directory_iterator(pin_path, error)) {
    const std::string other = entry.path().filename();
    if (other == name || other.compare(0, kFolderPrefix.size(), kFolderPrefix) != 0) continue;
    remove_pin_folder(entry.path());
    replaced = true;
  }
  const std::string folder = pin_path + "/" + name;
  std::filesystem::create_directories(folder, error);
  if (error) return Error{ErrorCode::kUnavailable, "make the folder " + folder + ": " + error.message()};
  return folder;
}

bool pin_fits(const std::string& path, const MapShape& shape) {
  const int fd = bpf_obj_get(path.c_str());
  if (fd < 0) return errno == ENOENT;
  bpf_map_info info{};
  std::uint32_t size = sizeof(info);
  const bool known = bpf_obj_get_info_by_fd(fd, &info, &size) == 0;
  close(fd);
  return known && info.type == shape.type && info.key_size == shape.key_bytes && info.value_size == shape.value_bytes &&
         info.max_entries == shape.max_entries;
}

void remove_pin_folder(const std::string& path) {
  std::error_code error;
  // One pin after the other: what cannot be removed leaves its folder, which fails the next step with a reason.
  std::filesystem::remove_all(path, error);
}

void wait_for_programs() {
  // Programs at an interface run inside an RCU read section, and this waits for all of those.
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  // Refused on CPUs without a tick (nohz_full). A program runs for microseconds, with its CPU to itself.
  const timespec long_enough{0, 20'000'000};
  nanosleep(&long_enough, nullptr);
}

}  // namespace weir::capture
