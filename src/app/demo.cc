// `weir demo`: a small cluster with an agent on each node, and what they see, live; or else a recording of one.

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/demo_live.h"
#include "app/demo_replay.h"
#include "base/duration.h"

namespace weir::app {
namespace {

/// Of a line of the live table, without its three names and their gaps; the rule may wrap.
constexpr std::size_t kOtherColumns = 100;

LineStyle style_of_output() {
  LineStyle style;
  if (::isatty(STDOUT_FILENO) == 0) return style;
  const char* plain = std::getenv("NO_COLOR");
  style.colour = plain == nullptr || plain[0] == '\0';
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return style;
  const std::size_t left = size.ws_col > kOtherColumns ? size.ws_col - kOtherColumns : 0;
  style.name_width = std::clamp<std::size_t>(left / 3, 22, 38);
  return style;
}

int fail(const Error& error) {
  std::fprintf(stderr, "weir demo: %s\n", error.message.c_str());
  return 1;
}

int show_recording(const std::string& folder) {
  const Status status = show_recorded_demo(folder);
  return status.ok() ? 0 : fail(status.error());
}

}  // namespace

int run_demo(std::span<const char* const> args) {
  DemoOptions options;
  std::string recording = "testdata/shop", duration;
  bool replay = false;
  CLI::App app{
      "Builds a small cluster of network namespaces, runs an agent on each of its nodes and shows what they see, "
      "until\n"
      "Ctrl-C. Needs root; without it, or where the kernel or packages are missing, replays a recorded cluster."};
  app.name("weir demo");
  app.add_option("--lab", options.lab, "folder of the lab (docs/lab.md)")->capture_default_str();
  app.add_option("--duration", duration, "end after this time (default: Ctrl-C on a terminal, else 40s)");
  app.add_option("--source", options.source, "auto, ebpf, conntrack or afpacket")->capture_default_str();
  app.add_flag("--replay", replay, "only replay the recording");
  app.add_option("--data", recording, "folder of the recording: shop.pcap and manifests.yaml")->capture_default_str();
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  if (!duration.empty()) {
    const Result<std::chrono::nanoseconds> parsed = parse_duration(duration);
    if (!parsed.ok() || parsed.value().count() <= 0) {
      std::fprintf(stderr, "weir demo: --duration: '%s' is not a duration (such as 40s)\n", duration.c_str());
      return 2;
    }
    options.duration = std::chrono::duration_cast<std::chrono::milliseconds>(parsed.value());
  } else if (::isatty(STDOUT_FILENO) == 0) {
    options.duration = std::chrono::seconds(40);
  }
  if (replay) return show_recording(recording);
  options.style = style_of_output();
  const Result<DemoEnd> end = show_live_demo(options);
  if (!end.ok()) return fail(end.error());
  if (end.value().shown) return 0;
  std::printf("No live cluster here: %s. This is a recorded one.\n\n", end.value().obstacle.c_str());
  return show_recording(recording);
}

}  // namespace weir::app
