#include "observe/server_client.h"

#include <curl/curl.h>

// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <algorithm>

#include "base/text.h"
#include "observe/time_text.h"

namespace weir::observe {
namespace {

namespace dom = simdjson::dom;

constexpr std::uint64_t kPageRows = 5'000;
constexpr long kConnectMs = 5'000, kProbeMs = 1'000;
/// A line of a log, and what a server says of an error.
constexpr std::size_t kMaxLineBytes = 16 * 1024 * 1024, kMaxErrorBytes = 64 * 1024;

struct Transfer {
  std::function<bool(std::string_view)> on_data;
  CURL* curl = nullptr;
  ServerReply reply;
  std::string error_body;
  bool stopped = false;
};

std::size_t on_body(char* data, std::size_t, std::size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  long status = 0;
  ::curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) {
    if (transfer.error_body.size() < kMaxErrorBytes) transfer.error_body.append(data, size);
    return size;
  }
  if (transfer.on_data({data, size})) return size;
  transfer.stopped = true;
  return 0;
}

std::size_t on_header(char* data, std::size_t, std::size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view line(data, size);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  const std::string_view value = trim(line.substr(colon + 1));
  if (equal_ignoring_case(line.substr(0, colon), "Weir-Cursor")) transfer.reply.cursor = value;
  if (equal_ignoring_case(line.substr(0, colon), "Weir-Completeness")) transfer.reply.completeness = value;
  return size;
}

/// "detail" of RFC 9457, else the body's begin.
std::string problem_text(const std::string& body) {
  dom::parser parser;
  dom::element root;
  std::string_view detail;
  if (parser.parse(body.data(), body.size()).get(root) == simdjson::SUCCESS &&
      (root["detail"].get(detail) == simdjson::SUCCESS || root["title"].get(detail) == simdjson::SUCCESS)) {
    return std::string(detail);
  }
  return body.substr(0, 200);
}

struct List {
  curl_slist* head = nullptr;
  List() = default;
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() { ::curl_slist_free_all(head); }
  void add(const std::string& text) { head = ::curl_slist_append(head, text.c_str()); }
};

/// Whole lines out of pieces.
class LineBuffer {
 public:
  /// False if `on_line` said so, or a line has no end.
  bool feed(std::string_view piece, const std::function<bool(std::string_view)>& on_line) {
    rest_ += piece;
    std::size_t begin = 0;
    for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', begin)) {
      if (end > begin && !on_line(std::string_view(rest_).substr(begin, end - begin))) return false;
      begin = end + 1;
    }
    rest_.erase(0, begin);
    return rest_.size() <= kMaxLineBytes;
  }

 private:
  std::string rest_;
};

}  // namespace

struct ServerClient::State {
  ServerOptions options;
  CURL* curl = nullptr;

  explicit State(ServerOptions given) : options(std::move(given)), curl(::curl_easy_init()) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { ::curl_easy_cleanup(curl); }

  std::string escaped(const std::string& text) const {
    char* raw = ::curl_easy_escape(curl, text.c_str(), static_cast<int>(text.size()));
    std::string out(raw == nullptr ? "" : raw);
    ::curl_free(raw);
    return out;
  }

  std::string address(const std::string& path, const Parameters& parameters) const {
    std::string text = options.url + path;
    char separator = '?';
    for (const auto& [name, value] : parameters) {
      text.append(1, separator).append(name).append("=").append(escaped(value));
      separator = '&';
    }
    return text;
  }

  void set_identity() {
    if (!options.ca_file.empty()) ::curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca_file.c_str());
    if (!options.certificate_file.empty()) ::curl_easy_setopt(curl, CURLOPT_SSLCERT, options.certificate_file.c_str());
    if (!options.key_file.empty()) ::curl_easy_setopt(curl, CURLOPT_SSLKEY, options.key_file.c_str());
    if (options.insecure) {
      ::curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
      ::curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
  }

  Error status_error(long status, const std::string& body) const {
    const std::string text = options.url + ": " + problem_text(body);
    if (status == 401) return {ErrorCode::kPermissionDenied, text + " (--token-file, or WEIR_TOKEN)"};
    if (status == 403) return {ErrorCode::kPermissionDenied, text};
    if (status == 400 || status == 404 || status == 422) return invalid_argument(text);
    return {ErrorCode::kUnavailable, text + " (HTTP " + std::to_string(status) + ")"};
  }

  Result<ServerReply> get(const std::string& path, const Parameters& parameters,
                          const std::vector<std::string>& headers, long connect_ms,
                          std::function<bool(std::string_view)> on_data) {
    ::curl_easy_reset(curl);
    Transfer transfer{std::move(on_data), curl, {}, {}, false};
    List list;
    for (const std::string& header : headers) list.add(header);
    if (!options.token.empty()) list.add("Authorization: Bearer " + options.token);
    const std::string url = address(path, parameters);
    ::curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list.head);
    ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    ::curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &on_body);
    ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    ::curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &on_header);
    ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    set_identity();
    const CURLcode code = ::curl_easy_perform(curl);
    if (transfer.stopped) return std::move(transfer.reply);
    if (code != CURLE_OK) {
      const bool reached = code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST;
      return Error{
          ErrorCode::kUnavailable,
          (reached ? options.url + ": " : "no server answers at " + options.url + ": ") + ::curl_easy_strerror(code)};
    }
    long status = 0;
    ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) return status_error(status, transfer.error_body);
    return std::move(transfer.reply);
  }
};

ServerClient::ServerClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
ServerClient::ServerClient(ServerClient&&) noexcept = default;
ServerClient& ServerClient::operator=(ServerClient&&) noexcept = default;
ServerClient::~ServerClient() = default;

Result<ServerClient> ServerClient::create(ServerOptions options) {
  if (options.url.find("://") == std::string::npos) options.url.insert(0, "http://");
  while (options.url.ends_with('/')) options.url.pop_back();
  if (!options.url.starts_with("http://") && !options.url.starts_with("https://")) {
    return invalid_argument("--server: '" + options.url + "' is no address of a server: http://HOST:PORT");
  }
  auto state = std::make_unique<State>(std::move(options));
  if (state->curl == nullptr) return Error{ErrorCode::kInternal, "libcurl does not start"};
  return ServerClient(std::move(state));
}

const std::string& ServerClient::url() const { return state_->options.url; }

bool ServerClient::is_there() {
  return state_->get("/healthz", {}, {}, kProbeMs, [](std::string_view) { return true; }).ok();
}

Result<std::string> ServerClient::get_json(const std::string& path, const Parameters& parameters) {
  std::string body;
  TRY_ASSIGN(const ServerReply reply,
             state_->get(path, parameters, {"Accept: application/json"}, kConnectMs, [&](std::string_view piece) {
               body += piece;
               return true;
             }));
  return body;
}

Result<ServerReply> ServerClient::get_rows(const std::string& log, Parameters parameters, std::uint64_t limit,
                                           std::string& cursor, const std::function<bool(std::string_view)>& on_line) {
  ServerReply first;
  const std::size_t fixed = parameters.size();
  for (bool is_first = true; limit > 0; is_first = false) {
    parameters.resize(fixed);
    const std::uint64_t page = std::min(limit, kPageRows);
    parameters.emplace_back("limit", std::to_string(page));
    if (!cursor.empty()) parameters.emplace_back("cursor", cursor);
    LineBuffer lines;
    std::uint64_t rows = 0;
    bool enough = false;
    std::string error;
    const auto take = [&](std::string_view line) {
      if (line.starts_with("{\"error\":")) {
        error = line;
        return false;
      }
      ++rows;
      enough = !on_line(line);
      return !enough;
    };
    TRY_ASSIGN(ServerReply reply,
               state_->get("/api/v1/" + log, parameters, {"Accept: application/x-ndjson"}, kConnectMs,
                           [&](std::string_view piece) { return lines.feed(piece, take); }));
    if (!error.empty()) return Error{ErrorCode::kUnavailable, state_->options.url + ": " + error};
    limit -= std::min(limit, rows);
    cursor = reply.cursor;
    if (is_first) first = std::move(reply);
    if (enough || cursor.empty() || rows == 0) break;
  }
  return first;
}

Status ServerClient::follow(const Parameters& parameters, std::string& last_id,
                            const std::function<void(const Event&)>& on_event, const std::function<bool()>& on_idle) {
  std::vector<std::string> headers{"Accept: text/event-stream"};
  if (!last_id.empty()) headers.push_back("Last-Event-ID: " + last_id);
  EventParser events;
  TRY_ASSIGN(const ServerReply reply,
             state_->get("/api/v1/flows/stream", parameters, headers, kConnectMs, [&](std::string_view piece) {
               events.feed(piece, last_id, on_event);
               return on_idle();
             }));
  return {};
}

void EventParser::feed(std::string_view piece, std::string& last_id,
                       const std::function<void(const ServerClient::Event&)>& on_event) {
  rest_ += piece;
  std::size_t begin = 0;
  for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', begin)) {
    std::string_view text = std::string_view(rest_).substr(begin, end - begin);
    if (text.ends_with('\r')) text.remove_suffix(1);
    line(text, last_id, on_event);
    begin = end + 1;
  }
  rest_.erase(0, begin);
}

void EventParser::line(std::string_view text, std::string& last_id,
                       const std::function<void(const ServerClient::Event&)>& on_event) {
  if (text.empty()) {
    // The end of an event; the id counts even without data.
    if (!id_.empty()) last_id = id_;
    if (!event_.data.empty()) on_event(event_);
    event_ = {};
    return;
  }
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view field = text.substr(0, colon);
  std::string_view value = text.substr(std::min(colon + 1, text.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (!event_.data.empty()) event_.data += '\n';
    event_.data += value;
  } else if (field == "event") {
    event_.name = value;
  } else if (field == "id") {
    id_ = value;
  }
}

std::string completeness_text(std::string_view json, bool begin) {
  dom::parser parser;
  dom::element root;
  std::string text;
  if (json.empty() || parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return text;
  const std::pair<const char*, const char*> counts[] = {{"lost_events", "EVENTS LOST: the nodes' sources lost "},
                                                        {"dropped_flows", "EVENTS LOST: flows dropped: "},
                                                        {"dropped_lines", "EVENTS LOST: lines that no disk took: "}};
  for (const auto& [name, sentence] : counts) {
    std::int64_t count = 0;
    if (root[name].get(count) == simdjson::SUCCESS && count > 0) text += sentence + std::to_string(count) + "\n";
  }
  dom::array silent;
  if (root["silent_nodes"].get(silent) == simdjson::SUCCESS && silent.size() > 0) {
    text += std::to_string(silent.size()) + (silent.size() == 1 ? " node is silent: " : " nodes are silent: ");
    bool first = true;
    for (const dom::element node : silent) {
      std::string_view name;
      std::int64_t seen = 0;
      if (node["node"].get(name) != simdjson::SUCCESS) continue;
      text.append(first ? "" : ", ").append(name);
      if (node["last_seen"].get(seen) == simdjson::SUCCESS && seen > 0) text += " (since " + rfc3339_utc(seen) + ")";
      first = false;
    }
    text += "\n";
  }
  bool beyond = false;
  if (begin && root["beyond_retention"].get(beyond) == simdjson::SUCCESS && beyond) {
    text += "the range begins before the oldest record that is kept\n";
  }
  return text;
}

}  // namespace weir::observe
