#include "app/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "base/file.h"

namespace weir::app {
namespace {

constexpr int kNotStarted = 127;

/// In the child: only calls that are safe after a fork.
[[noreturn]] void become(char* const* words, const char* error_file, int output, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kNotStarted);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int errors =
      error_file[0] != '\0' ? ::open(error_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : nowhere;
  if (nowhere < 0 || errors < 0 || ::dup2(nowhere, 0) < 0 || ::dup2(output >= 0 ? output : nowhere, 1) < 0 ||
      ::dup2(errors, 2) < 0) {
    ::_exit(kNotStarted);
  }
  ::execvp(words[0], words);
  const char* reason = ::strerrordesc_np(errno);
  for (const char* text :
       {static_cast<const char*>(words[0]), ": ", reason == nullptr ? "cannot be started" : reason, "\n"}) {
    if (::write(2, text, std::strlen(text)) < 0) break;
  }
  ::_exit(kNotStarted);
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const std::vector<std::string>& words, const Options& options) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  int ends[2] = {-1, -1};
  if (options.pipe_output && ::pipe2(ends, O_CLOEXEC) != 0) return errno_error("pipe");
  const pid_t parent = ::getpid();
  ChildProcess child;
  child.pid_ = ::fork();
  if (child.pid_ == 0) become(arguments.data(), options.error_file.c_str(), ends[1], parent);
  const int fork_error = errno;
  if (ends[1] >= 0) ::close(ends[1]);
  child.output_ = ends[0];
  if (child.pid_ < 0) {
    child.pid_ = 0;
    errno = fork_error;
    return errno_error("fork");
  }
  if (ends[0] >= 0) ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return child;
}

ChildProcess::~ChildProcess() {
  wait(std::chrono::milliseconds(0));
  if (output_ >= 0) ::close(output_);
}

bool ChildProcess::running() {
  if (pid_ == 0) return false;
  const pid_t ended = ::waitpid(pid_, &wait_status_, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return true;
  pid_ = 0;
  return false;
}

void ChildProcess::ask_to_end() const {
  if (pid_ != 0) ::kill(pid_, SIGTERM);
}

bool ChildProcess::wait(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (running()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      ::kill(pid_, SIGKILL);
      while (::waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) {
      }
      pid_ = 0;
      return false;
    }
    const timespec pause{0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

}  // namespace weir::app
