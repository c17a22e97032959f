// `weir status`: asks a running agent, or a server, how it does.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "app/agent_status.h"
#include "app/command_line.h"
#include "app/commands.h"
#include "app/server_status.h"
#include "base/file.h"
#include "base/socket_address.h"
#include "base/text.h"
#include "config/settings.h"
#include "observe/server_client.h"

namespace weir::app {
namespace {

constexpr timeval kPatience{5, 0};
constexpr std::size_t kMaxAnswer = 16u << 20;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

Error no_agent(const std::string& address, const std::string& why) {
  return {ErrorCode::kUnavailable,
          "no agent answers at " + address + ": " + why +
              " (is it running, in this network namespace? its option metrics_address is where)"};
}

bool connect_to(int fd, const SocketAddress& address) {
  if (address.ip.is_v4()) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(address.port);
    to.sin_addr.s_addr = htonl(address.ip.v4_host_order());
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(address.port);
  ::inet_pton(AF_INET6, address.ip.to_string().c_str(), &to.sin6_addr);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

/// The body of the answer to one GET.
Result<std::string> get(const SocketAddress& address, const std::string& path) {
  const std::string where = address.to_string();
  const Socket socket(::socket(address.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    ::setsockopt(socket.fd(), SOL_SOCKET, option, &kPatience, sizeof kPatience);
  }
  if (!connect_to(socket.fd(), address)) return no_agent(where, std::strerror(errno));
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + where + "\r\nConnection: close\r\n\r\n";
  if (::send(socket.fd(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return no_agent(where, std::strerror(errno));
  std::string answer;
  char chunk[16384];
  ssize_t got = 0;
  while (answer.size() < kMaxAnswer && (got = ::recv(socket.fd(), chunk, sizeof chunk, 0)) > 0) {
    answer.append(chunk, static_cast<std::size_t>(got));
  }
  if (got < 0) return no_agent(where, errno == EAGAIN ? "nothing came in 5 s" : std::strerror(errno));
  const std::size_t head = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.1 200 ") || head == std::string::npos) {
    return no_agent(where, "something else listens there");
  }
  return answer.substr(head + 4);
}

Status show(const std::string& address_text, bool json) {
  TRY_ASSIGN(const SocketAddress address, SocketAddress::parse(address_text));
  TRY_ASSIGN(const std::string answer, get(address, "/status"));
  const Result<std::string> text = status_text(answer);
  if (!text.ok()) return no_agent(address_text, text.error().message);
  std::fputs(json ? answer.c_str() : text.value().c_str(), stdout);
  return {};
}

Status show_server(observe::ServerOptions options, const std::string& token_file, bool json) {
  if (!token_file.empty()) {
    TRY_ASSIGN(const FileBytes file, FileBytes::open(token_file));
    options.token = trim(file.text());
  }
  TRY_ASSIGN(observe::ServerClient client, observe::ServerClient::create(std::move(options)));
  TRY_ASSIGN(const std::string answer, client.get_json("/api/v1/status", {}));
  TRY_ASSIGN(const std::string text, server_status_text(answer));
  std::fputs(json ? answer.c_str() : text.c_str(), stdout);
  return {};
}

}  // namespace

int run_status(std::span<const char* const> args) {
  std::string address = config::Settings{}.metrics_address, format = "text", token_file;
  observe::ServerOptions server;
  CLI::App app("Asks the agent of this node what runs, what is lost and what it costs; or a server what it holds.",
               "weir status");
  app.add_option("--address", address, "the agent's metrics_address")->capture_default_str();
  app.add_option("--server", server.url, "ask this server instead, such as http://127.0.0.1:4680");
  app.add_option("--token-file", token_file, "a token for the server");
  app.add_option("--ca-file", server.ca_file, "whom to trust (PEM)");
  app.add_option("-o,--output", format, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  app.footer("Exit code: 0 there was an answer, 1 there was none, 2 usage.");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  const Status status = server.url.empty() ? show(address, format == "json")
                                           : show_server(std::move(server), token_file, format == "json");
  if (status.ok()) return 0;
  std::fprintf(stderr, "weir status: %s\n", status.error().message.c_str());
  return status.error().code == ErrorCode::kInvalidArgument ? 2 : 1;
}

}  // namespace weir::app
