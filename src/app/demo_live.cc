#include "app/demo_live.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "app/child_process.h"
#include "app/demo_summary.h"
#include "base/file.h"
#include "flowlog/flow_log_reader.h"

namespace weir::app {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kLabPatience{30}, kAgentPatience{20}, kEndPatience{20};
constexpr std::size_t kRowsUnderOneHeader = 40;
/// What the lab starts in its pods (./dev installs it).
constexpr const char* kPrograms[] = {"python3", "ip", "nft", "nginx", "redis-server", "dnsmasq", "curl", "ethtool"};

/// What happens to the cluster while somebody looks on, and starts over after a while.
struct Act {
  seconds at;
  const char *file, *told, *manifest;
};
constexpr seconds kActsPeriod{45};
constexpr Act kActs[] = {
    {seconds(9), "lockdown.yaml", "NetworkPolicy monitoring/lockdown: its pods may only ask DNS, no scraping any more",
     "apiVersion: networking.k8s.io/v1\n"
     "kind: NetworkPolicy\n"
     "metadata: {name: lockdown, namespace: monitoring}\n"
     "spec:\n"
     "  podSelector: {}\n"
     "  policyTypes: [Egress]\n"
     "  egress:\n"
     "  - ports: [{protocol: UDP, port: 53}]\n"},
    {seconds(24), "open.yaml", "NetworkPolicy monitoring/lockdown: its pods may connect anywhere again",
     "apiVersion: networking.k8s.io/v1\n"
     "kind: NetworkPolicy\n"
     "metadata: {name: lockdown, namespace: monitoring}\n"
     "spec:\n"
     "  podSelector: {}\n"
     "  policyTypes: [Egress]\n"
     "  egress:\n"
     "  - {}\n"},
};

/// Lines that are appended to a file, as they come. Not rotated ones: a demonstration is far too short.
class LogTail {
 public:
  explicit LogTail(std::string path) : path_(std::move(path)) {}
  LogTail(LogTail&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), partial_(std::move(other.partial_)) {}
  LogTail(const LogTail&) = delete;
  LogTail& operator=(const LogTail&) = delete;
  ~LogTail() {
    if (fd_ >= 0) ::close(fd_);
  }

  template <typename F>
  void read(F&& on_line) {
    if (fd_ < 0) fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    char chunk[65536];
    for (ssize_t got; fd_ >= 0 && (got = ::read(fd_, chunk, sizeof chunk)) > 0;) {
      partial_.append(chunk, static_cast<std::size_t>(got));
    }
    std::size_t begin = 0;
    for (std::size_t end; (end = partial_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      on_line(std::string_view(partial_).substr(begin, end - begin));
    }
    partial_.erase(0, begin);
  }

 private:
  std::string path_;
  int fd_ = -1;
  std::string partial_;
};

/// The signals that end a program, as a file descriptor instead.
class EndSignals {
 public:
  EndSignals() {
    ::sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set_, signal);
    ::sigprocmask(SIG_BLOCK, &set_, &before_);
    fd_ = ::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;
  ~EndSignals() {
    arrived();
    if (fd_ >= 0) ::close(fd_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

  /// Waits at most so long; true once one came.
  bool wait(milliseconds time) {
    pollfd poll{fd_, POLLIN, 0};
    ::poll(&poll, 1, static_cast<int>(time.count()));
    return arrived();
  }

 private:
  bool arrived() {
    signalfd_siginfo info;
    while (::read(fd_, &info, sizeof info) == sizeof info) came_ = true;
    return came_;
  }
  sigset_t set_{}, before_{};
  int fd_ = -1;
  bool came_ = false;
};

std::string last_line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line, last = "it says nothing";
  while (std::getline(file, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

/// What `weir agent` wrote of its choice of sources; empty: not yet.
std::string note_behind(std::string_view mark, const std::string& path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (const std::size_t at = line.find(mark); at != std::string::npos) return line.substr(at + mark.size());
  }
  return "";
}
std::string source_note(const std::string& path) { return note_behind(" source: ", path); }

bool is_in_path(const std::string& program) {
  std::string path = std::getenv("PATH");
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    if (::access((path.substr(begin, end - begin) + "/" + program).c_str(), X_OK) == 0) return true;
    begin = end + 1;
  }
  return false;
}

/// Why this machine cannot run a lab; empty: as far as can be told without trying, it can.
std::string find_obstacle(const std::string& lab) {
  if (::geteuid() != 0) return "it needs root, for network namespaces";
  if (::access((lab + "/lab.py").c_str(), R_OK) != 0) return "there is no " + lab + "/lab.py (--lab DIR)";
  std::string missing;
  for (const char* program : kPrograms) {
    if (!is_in_path(program)) missing += std::string(missing.empty() ? "" : ", ") + program;
  }
  if (!missing.empty()) return missing + " missing (`./dev setup` installs the packages)";
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(CLONE_NEWNET) == 0 ? 0 : errno);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return "no process can be started";
  if (status != 0) return std::string("no network namespaces: ") + std::strerror(WEXITSTATUS(status));
  return "";
}

struct Row {
  /// Larger ones come last.
  int order;
  std::string text;
};

struct Node {
  std::string name, netns, log_directory, error_file;
  std::optional<ChildProcess> agent, shipper;
  std::vector<LogTail> tails;  // flows, dns, agent
};

class LiveDemo {
 public:
  explicit LiveDemo(const DemoOptions& options) : options_(options) {}
  LiveDemo(const LiveDemo&) = delete;
  LiveDemo& operator=(const LiveDemo&) = delete;
  ~LiveDemo() { take_down(); }

  /// Lab and agents. kCancelled: a signal came.
  Status start();
  Status show();
  void take_down();

 private:
  Status start_lab();
  Status read_state();
  Status start_agents();
  Status start_server();
  Status check_children();
  void introduce();
  void print_news(Node& node);
  void play(Clock::duration since_start);
  void print_rows(std::vector<Row>& rows);
  bool sleep(milliseconds time) { return signals_.wait(time); }

  const DemoOptions& options_;
  EndSignals signals_;
  std::string directory_, self_;
  std::string manifests_;
  std::size_t pods_ = 0;
  std::optional<ChildProcess> lab_;
  std::optional<ChildProcess> change_;
  /// Takes in what `ship` of each node sends it.
  std::optional<ChildProcess> server_;
  std::string server_url_;
  std::vector<Node> nodes_;
  flowlog::FlowLogReader reader_;
  DemoSummary summary_;
  bool header_shown_ = false;
  /// Since the last header.
  std::size_t rows_ = 0;
  std::size_t next_act_ = 0;
};

Status LiveDemo::start() {
  char path[] = "/tmp/weir-demo-XXXXXX";
  if (::mkdtemp(path) == nullptr) return errno_error("mkdtemp", path);
  directory_ = path;
  std::error_code error;
  self_ = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return Error{ErrorCode::kInternal, "/proc/self/exe: " + error.message()};
  TRY(start_lab());
  TRY(read_state());
  TRY(start_agents());
  return start_server();
}

Status LiveDemo::start_lab() {
  const std::string errors = directory_ + "/lab.err";
  TRY_ASSIGN(lab_,
             ChildProcess::start({"python3", options_.lab + "/lab.py", "up", "--name",
                                  "demo" + std::to_string(::getpid()), "--state", directory_ + "/lab", "--rate", "5"},
                                 {errors, true}));
  const auto deadline = Clock::now() + kLabPatience;
  std::string said;
  while (said.find("ready ") == std::string::npos) {
    char chunk[512];
    const ssize_t got = ::read(lab_->output(), chunk, sizeof chunk);
    if (got > 0) said.append(chunk, static_cast<std::size_t>(got));
    if (!lab_->running()) return Error{ErrorCode::kUnavailable, "the lab did not come up: " + last_line_of(errors)};
    if (Clock::now() > deadline) return Error{ErrorCode::kUnavailable, "the lab did not come up in 30 s"};
    if (sleep(milliseconds(20))) return Error{ErrorCode::kCancelled, "interrupted"};
  }
  return {};
}

Status LiveDemo::read_state() {
  namespace dom = simdjson::dom;
  const std::string path = directory_ + "/lab/state.json";
  TRY_ASSIGN(const FileBytes file, FileBytes::open(path));
  const Error unreadable{ErrorCode::kDataLoss, path + ": it tells no nodes or no manifests"};
  dom::parser parser;
  dom::element state;
  if (parser.parse(file.text().data(), file.text().size()).get(state) != simdjson::SUCCESS) return unreadable;
  dom::object nodes, pods;
  std::string_view manifests;
  if (state["nodes"].get(nodes) != simdjson::SUCCESS || state["manifests"].get(manifests) != simdjson::SUCCESS ||
      state["pods"].get(pods) != simdjson::SUCCESS) {
    return unreadable;
  }
  manifests_ = manifests;
  pods_ = pods.size();
  for (const auto& [name, value] : nodes) {
    std::string_view netns;
    if (value["netns"].get(netns) != simdjson::SUCCESS) return unreadable;
    Node node;
    node.name = name;
    node.netns = netns;
    node.log_directory = directory_ + "/" + node.name;
    node.error_file = directory_ + "/" + node.name + ".err";
    for (const char* log : {"/flows.log", "/dns.log", "/agent.log"}) node.tails.emplace_back(node.log_directory + log);
    nodes_.push_back(std::move(node));
  }
  return {};
}

Status LiveDemo::start_agents() {
  // No BPF file system: nothing in the kernel is to outlive the agents.
  const std::string pins = "bpf_pin_directory=" + directory_;
  for (Node& node : nodes_) {
    TRY_ASSIGN(node.agent, ChildProcess::start({"ip", "netns", "exec", node.netns, self_, "agent", "--node", node.name,
                                                "--cluster", manifests_, "--log-dir", node.log_directory, "--source",
                                                options_.source, "--interval", "5s", "--set", pins},
                                               {node.error_file, false}));
  }
  const auto deadline = Clock::now() + kAgentPatience;
  const auto is_up = [](const Node& node) { return !source_note(node.error_file).empty(); };
  while (!std::all_of(nodes_.begin(), nodes_.end(), is_up)) {
    TRY(check_children());
    if (Clock::now() > deadline) return Error{ErrorCode::kUnavailable, "an agent did not start in 20 s"};
    if (sleep(milliseconds(20))) return Error{ErrorCode::kCancelled, "interrupted"};
  }
  return {};
}

/// A server in our own network, and a shipper a node: the nodes' networks have no way to us, their files do.
Status LiveDemo::start_server() {
  const std::string errors = directory_ + "/server.err";
  TRY_ASSIGN(server_,
             ChildProcess::start({self_, "server", "--data", directory_ + "/server", "--listen", "127.0.0.1:0"},
                                 {errors, false}));
  const auto deadline = Clock::now() + kAgentPatience;
  while ((server_url_ = note_behind(" listening at ", errors)).empty()) {
    if (!server_->running()) return Error{ErrorCode::kUnavailable, "the server ended: " + last_line_of(errors)};
    if (Clock::now() > deadline) return Error{ErrorCode::kUnavailable, "the server did not start in 20 s"};
    if (sleep(milliseconds(20))) return Error{ErrorCode::kCancelled, "interrupted"};
  }
  for (Node& node : nodes_) {
    TRY_ASSIGN(node.shipper,
               ChildProcess::start({self_, "ship", "--node", node.name, "--log-dir", node.log_directory, "--state-dir",
                                    directory_ + "/ship-" + node.name, "--to", "weir url=" + server_url_},
                                   {directory_ + "/ship-" + node.name + ".err", false}));
  }
  return {};
}

Status LiveDemo::check_children() {
  if (!lab_->running())
    return Error{ErrorCode::kUnavailable, "the lab ended: " + last_line_of(directory_ + "/lab.err")};
  for (Node& node : nodes_) {
    if (node.agent && !node.agent->running()) {
      return Error{ErrorCode::kUnavailable, "the agent of " + node.name + " ended: " + last_line_of(node.error_file)};
    }
  }
  return {};
}

void LiveDemo::introduce() {
  std::printf("A shop of %zu pods on %zu nodes, each node with an agent; a window is 5 s.\n", pods_, nodes_.size());
  for (const Node& node : nodes_) {
    std::printf("  %s  source: %s\n          logs: %s\n          ask its agent: ip netns exec %s %s status\n",
                node.name.c_str(), source_note(node.error_file).c_str(), node.log_directory.c_str(), node.netns.c_str(),
                self_.c_str());
  }
  std::printf("  server: %s; ask it: %s observe --server %s -f\n", server_url_.c_str(), self_.c_str(),
              server_url_.c_str());
  std::puts(
      "Customers come through the ingress; policy denies the frontend the way to payment, and analytics the way to "
      "redis;\n"
      "a scanner knocks from outside. BY: the end that reports, src (egress) or dst (ingress).\n");
  std::fflush(stdout);
}

void LiveDemo::print_rows(std::vector<Row>& rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.order < b.order; });
  // On a terminal again and again, as the first one scrolls away.
  const bool terminal = options_.style.name_width != 0;
  if (!header_shown_ || (terminal && rows_ >= kRowsUnderOneHeader)) {
    std::puts(flow_header(options_.style).c_str());
    header_shown_ = true;
    rows_ = 0;
  }
  rows_ += rows.size();
  for (const Row& row : rows) std::puts(row.text.c_str());
}

/// What came since the last time, denied flows and failed lookups last: where the eye is.
void LiveDemo::print_news(Node& node) {
  std::vector<Row> rows;
  const std::uint64_t before = summary_.records();
  node.tails[0].read([&](std::string_view line) {
    const Result<const model::FlowRecord*> record = reader_.read(line);
    if (!record.ok()) return;
    summary_.add_flow(*record.value(), line.size() + 1);
    if (!has_news(*record.value())) return;
    rows.push_back({record.value()->action == "deny" ? 1 : 0, flow_line(*record.value(), options_.style)});
  });
  node.tails[1].read([&](std::string_view line) {
    const Result<Lookup> lookup = read_lookup(line);
    if (!lookup.ok()) return;
    summary_.add_lookup(lookup.value());
    rows.push_back({lookup.value().rcode == "NoError" ? 2 : 3, lookup_line(lookup.value(), options_.style)});
  });
  node.tails[2].read([&](std::string_view line) { summary_.add_agent_line(node.name, line); });
  if (rows.empty()) return;
  print_rows(rows);
  std::puts(coloured(options_.style, "2",
                     "-- " + node.name + ": " + std::to_string(summary_.records() - before) + " records of flows")
                .c_str());
  std::fflush(stdout);
}

void LiveDemo::play(Clock::duration since_start) {
  if (change_ && !change_->running()) change_.reset();
  const std::size_t round = next_act_ / std::size(kActs);
  const Act& act = kActs[next_act_ % std::size(kActs)];
  if (change_ || since_start < act.at + kActsPeriod * static_cast<int>(round)) return;
  ++next_act_;
  const std::string path = directory_ + "/" + act.file;
  std::ofstream(path) << act.manifest;
  Result<ChildProcess> change =
      ChildProcess::start({"python3", options_.lab + "/lab.py", "fault", "--state", directory_ + "/lab", "apply", path},
                          {directory_ + "/change.err", false});
  if (!change.ok()) return;
  change_ = std::move(change).value();
  std::printf("%s  %s\n", clock_text(std::time(nullptr)).c_str(),
              coloured(options_.style, "1;35", std::string("CHANGE   ") + act.told).c_str());
  std::fflush(stdout);
}

Status LiveDemo::show() {
  introduce();
  const auto begin = Clock::now();
  bool ended = false;
  while (!ended) {
    ended = sleep(milliseconds(200)) || (options_.duration && Clock::now() - begin >= *options_.duration) ||
            std::ferror(stdout) != 0;
    TRY(check_children());
    if (!ended) play(Clock::now() - begin);
    for (Node& node : nodes_) print_news(node);
  }
  std::puts("\nEnding: the agents report what is open, then the cluster goes.\n");
  std::fflush(stdout);
  for (Node& node : nodes_) node.agent->ask_to_end();
  for (Node& node : nodes_) {
    if (!node.agent->wait(kEndPatience))
      return Error{ErrorCode::kInternal, "the agent of " + node.name + " did not end"};
    print_news(node);
  }
  std::printf("\n%s", summary_.to_string().c_str());
  std::fflush(stdout);
  return {};
}

void LiveDemo::take_down() {
  change_.reset();
  for (Node& node : nodes_) {
    if (node.agent) node.agent->ask_to_end();
  }
  for (Node& node : nodes_) {
    if (node.agent) node.agent->wait(kEndPatience);
    if (node.shipper) node.shipper->ask_to_end();
  }
  for (Node& node : nodes_) {
    if (node.shipper) node.shipper->wait(kEndPatience);
  }
  if (server_) {
    server_->ask_to_end();
    server_->wait(kEndPatience);
    server_.reset();
  }
  nodes_.clear();
  if (lab_) {
    lab_->ask_to_end();
    lab_->wait(kEndPatience);
    lab_.reset();
  }
  if (directory_.empty()) return;
  if (::access((directory_ + "/lab/state.json").c_str(), F_OK) == 0) {
    // It did not clean up: killed, or in trouble.
    Result<ChildProcess> down =
        ChildProcess::start({"python3", options_.lab + "/lab.py", "down", "--state", directory_ + "/lab"}, {});
    if (down.ok()) down.value().wait(kEndPatience);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
  directory_.clear();
}

}  // namespace

Result<DemoEnd> show_live_demo(const DemoOptions& options) {
  // Where an administrator's programs are, also for whom they are not in PATH.
  const char* path = std::getenv("PATH");
  ::setenv("PATH", (std::string(path == nullptr ? "/usr/bin:/bin" : path) + ":/usr/sbin:/sbin").c_str(), 1);
  std::signal(SIGPIPE, SIG_IGN);
  if (std::string obstacle = find_obstacle(options.lab); !obstacle.empty()) return DemoEnd{false, std::move(obstacle)};
  LiveDemo demo(options);
  if (Status started = demo.start(); !started.ok()) {
    if (started.error().code == ErrorCode::kCancelled) return DemoEnd{true, ""};
    return DemoEnd{false, std::move(started.error().message)};
  }
  TRY(demo.show());
  return DemoEnd{true, ""};
}

}  // namespace weir::app
