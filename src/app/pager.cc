#include "app/pager.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/clock.h"
#include "base/text_table.h"

namespace weir::app {

bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

bool wants_colour(const std::string& choice) {
  if (choice != "auto") return choice == "always";
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  return stdout_is_terminal() && (terminal == nullptr || std::string_view(terminal) != "dumb");
}

Pager::Pager(bool wanted) {
  if (!wanted || !stdout_is_terminal()) return;
  const char* command = std::getenv("WEIR_PAGER");
  if (command == nullptr) command = std::getenv("PAGER");
  if (command == nullptr) command = "less";
  if (*command == '\0' || std::string_view(command) == "cat") return;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  std::fflush(stdout);
  child_ = ::fork();
  if (child_ == 0) {
    ::dup2(ends[0], STDIN_FILENO);
    // As git sets it: quit if one screen is enough, keep colours, leave the screen as it is.
    ::setenv("LESS", "FRX", 0);
    ::execl("/bin/sh", "sh", "-c", command, nullptr);
    ::_exit(127);
  }
  if (child_ > 0) {
    // The person ends the pager with q, not with the interrupt that both get.
    ::signal(SIGINT, SIG_IGN);
    ::dup2(ends[1], STDOUT_FILENO);
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

Pager::~Pager() {
  if (child_ <= 0) return;
  std::fflush(stdout);
  ::close(STDOUT_FILENO);
  int status = 0;
  while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
}

namespace {
constexpr std::int64_t kFirstNs = 500'000'000, kEveryNs = 100'000'000;
constexpr int kBarWidth = 24;
}  // namespace

Progress::Progress(std::string what)
    : what_(std::move(what)), wanted_(::isatty(STDERR_FILENO) == 1), next_ns_(clock_ns(CLOCK_MONOTONIC) + kFirstNs) {}

void Progress::show(std::uint64_t done, std::uint64_t total) {
  if (!wanted_) return;
  const std::int64_t now = clock_ns(CLOCK_MONOTONIC);
  if (now < next_ns_) return;
  next_ns_ = now + kEveryNs;
  drawn_ = true;
  if (total == 0) {
    std::fprintf(stderr, "\r%s %s\x1b[K", what_.c_str(), short_count(done).c_str());
    return;
  }
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const int filled = static_cast<int>(share * kBarWidth);
  std::string bar(static_cast<std::size_t>(filled), '#');
  bar.append(static_cast<std::size_t>(kBarWidth - filled), '.');
  std::fprintf(stderr, "\r%s [%s] %3.0f%% of %s\x1b[K", what_.c_str(), bar.c_str(), share * 100,
               short_count(total).c_str());
}

void Progress::clear() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

}  // namespace weir::app
