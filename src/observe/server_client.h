#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::observe {

struct ServerOptions {
  /// "http://127.0.0.1:4780"; a host alone gets http://.
  std::string url;
  /// Empty: none.
  std::string token;
  /// Certificates in PEM: who is trusted instead of the system's, and who we are. Empty: none.
  std::string ca_file, certificate_file, key_file;
  bool insecure = false;
};

/// What a server says beside its answer.
struct ServerReply {
  /// Where to go on; empty: there is no more.
  std::string cursor;
  /// JSON of query::Completeness; empty if it was not told.
  std::string completeness;
};

/// Asks a Weir server (docs/server.md).
/// Errors: kUnavailable if nobody answers, kPermissionDenied, kInvalidArgument for what the server refused; each with
/// the server's own words.      Threads: one.
class ServerClient {
 public:
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  static Result<ServerClient> create(ServerOptions options);
  ServerClient(ServerClient&&) noexcept;
  ServerClient& operator=(ServerClient&&) noexcept;
  ~ServerClient();

  const std::string& url() const;
  /// Whether somebody answers, within a second.
  bool is_there();
  /// The body of an answer, as JSON.
  Result<std::string> get_json(const std::string& path, const Parameters& parameters);

  /// The rows of a log as its lines, page by page, in the order of `parameters`; at most `limit`. Goes on at `cursor`,
  /// and leaves there where the last whole page ended (empty at the end). `on_line` false: enough.
  Result<ServerReply> get_rows(const std::string& log, Parameters parameters, std::uint64_t limit, std::string& cursor,
                               const std::function<bool(std::string_view)>& on_line);

  /// What a live stream gives.
  struct Event {
    /// "lost", or empty: a row.
    std::string name, data;
  };
  /// Follows the live stream of flows until it ends; `last_id` is where it goes on and is left. Call it again then.
  /// `on_event` null-named events are rows; `on_idle` after each piece that came.
  Status follow(const Parameters& parameters, std::string& last_id, const std::function<void(const Event&)>& on_event,
                const std::function<bool()>& on_idle);

 private:
  struct State;
  explicit ServerClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Takes text/event-stream apart (WHATWG HTML 9.2).
class EventParser {
 public:
  void feed(std::string_view piece, std::string& last_id,
            const std::function<void(const ServerClient::Event&)>& on_event);

 private:
  void line(std::string_view text, std::string& last_id,
            const std::function<void(const ServerClient::Event&)>& on_event);
  std::string rest_;
  ServerClient::Event event_;
  std::string id_;
};

/// The sentences that a person should read of a query's completeness, one a line; empty: nothing is missing.
/// `begin`: a begin of the range was asked for.
std::string completeness_text(std::string_view json, bool begin);

}  // namespace weir::observe
