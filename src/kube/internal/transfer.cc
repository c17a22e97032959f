#include "kube/internal/transfer.h"

#include <time.h>

#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

namespace weir::kube {
namespace {

/// Seconds within which a connection must stand, and after which a silent one is probed.
constexpr long kConnectSeconds = 10;
constexpr long kKeepAliveSeconds = 15;

/// A header with a control character in it would be two.
bool is_token(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c > '~') return false;
  }
  return !text.empty();
}

Result<std::string> token_of(const ApiServer& server) {
  std::string token = server.token;
  if (!server.token_file.empty()) {
    TRY_ASSIGN(const FileBytes file, FileBytes::open(server.token_file));
    token = std::string(trim(file.text()));
    if (token.empty()) return invalid_argument(server.token_file + ": is empty");
  }
  if (!token.empty() && !is_token(token)) {
    return invalid_argument((server.token_file.empty() ? "token" : server.token_file) + ": is no bearer token");
  }
  return token;
}

struct UrlParts {
  std::string scheme, host, port;
};

UrlParts split(const std::string& url) {
  UrlParts parts;
  const std::size_t scheme = url.find("://");
  parts.scheme = url.substr(0, scheme);
  std::string authority = url.substr(scheme + 3);
  authority = authority.substr(0, authority.find('/'));
  const std::size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string::npos && authority.find(']', colon) == std::string::npos;
  parts.host = authority.substr(0, has_port ? colon : std::string::npos);
  parts.port = has_port ? authority.substr(colon + 1) : parts.scheme == "https" ? "443" : "80";
  return parts;
}

bool is_loopback(const std::string& host) { return host == "localhost" || host.starts_with("127.") || host == "[::1]"; }

curl_blob blob_of(const std::string& text) { return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY}; }

}  // namespace

Result<std::unique_ptr<Transfer>> Transfer::begin(CURLM* multi, const ApiServer& server,
                                                  const Reflector::Request& request, Reflector& reflector) {
  std::unique_ptr<Transfer> transfer(new Transfer(multi, reflector));
  TRY(transfer->set_up(server, request));
  if (curl_multi_add_handle(multi, transfer->easy_) != CURLM_OK) {
    return Error{ErrorCode::kInternal, "libcurl: cannot begin a request"};
  }
  return transfer;
}

Transfer::~Transfer() {
  if (easy_ != nullptr) {
    curl_multi_remove_handle(multi_, easy_);
    curl_easy_cleanup(easy_);
  }
  curl_slist_free_all(headers_);
  curl_slist_free_all(connect_to_);
}

Status Transfer::set_up(const ApiServer& server, const Reflector::Request& request) {
  easy_ = curl_easy_init();
  if (easy_ == nullptr) return {Error{ErrorCode::kResourceExhausted, "libcurl: out of memory"}};
  TRY_ASSIGN(const std::string token, token_of(server));
  last_data_ns_ = clock_ns(CLOCK_MONOTONIC);

  std::string base = server.url;
  const UrlParts parts = split(server.url);
  if (!server.tls_server_name.empty()) {
    // The name is what the certificate is held against; the connection goes where the URL says.
    base = parts.scheme + "://" + server.tls_server_name + ":" + parts.port +
           server.url.substr(std::min(server.url.find('/', parts.scheme.size() + 3), server.url.size()));
    const std::string way = server.tls_server_name + ":" + parts.port + ":" + parts.host + ":" + parts.port;
    connect_to_ = curl_slist_append(nullptr, way.c_str());
    curl_easy_setopt(easy_, CURLOPT_CONNECT_TO, connect_to_);
  }
  curl_easy_setopt(easy_, CURLOPT_URL, (base + request.target).c_str());
  headers_ = curl_slist_append(headers_, ("Accept: " + request.accept).c_str());
  if (!token.empty()) headers_ = curl_slist_append(headers_, ("Authorization: Bearer " + token).c_str());
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_);
  curl_easy_setopt(easy_, CURLOPT_USERAGENT, "weir");
  // Lists shrink to a fifth; a watch's events are not compressed, as each is to arrive at once.
  if (!request.watch) curl_easy_setopt(easy_, CURLOPT_ACCEPT_ENCODING, "gzip");

  // A connection a watch: one that hangs holds up no other, and libcurl 7.88 is not at ease with long HTTP/2 streams.
  curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPIDLE, kKeepAliveSeconds);
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPINTVL, kKeepAliveSeconds);
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, error_);
  if (!server.proxy_url.empty()) {
    curl_easy_setopt(easy_, CURLOPT_PROXY, server.proxy_url.c_str());
  } else if (is_loopback(parts.host)) {
    curl_easy_setopt(easy_, CURLOPT_PROXY, "");
  }
  set_up_tls(server);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  return {};
}

void Transfer::set_up_tls(const ApiServer& server) {
  const auto set = [this](const Pem& pem, CURLoption as_text, CURLoption as_file) {
    if (!pem.text.empty()) {
      curl_blob blob = blob_of(pem.text);
      curl_easy_setopt(easy_, as_text, &blob);
    } else if (!pem.file.empty()) {
      curl_easy_setopt(easy_, as_file, pem.file.c_str());
    }
  };
  set(server.ca, CURLOPT_CAINFO_BLOB, CURLOPT_CAINFO);
  set(server.client_certificate, CURLOPT_SSLCERT_BLOB, CURLOPT_SSLCERT);
  set(server.client_key, CURLOPT_SSLKEY_BLOB, CURLOPT_SSLKEY);
  curl_easy_setopt(easy_, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  if (server.insecure_skip_tls_verify) {
    curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

int Transfer::http_code() const {
  long code = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &code);
  return static_cast<int>(code);
}

std::int64_t Transfer::retry_after_s() const {
  curl_off_t seconds = 0;
  curl_easy_getinfo(easy_, CURLINFO_RETRY_AFTER, &seconds);
  return seconds;
}

std::string Transfer::error(CURLcode result) const {
  if (result == CURLE_OK) return {};
  return error_[0] != '\0' ? std::string(error_) : std::string(curl_easy_strerror(result));
}

std::size_t Transfer::on_body(char* bytes, std::size_t one, std::size_t size, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.last_data_ns_ = clock_ns(CLOCK_MONOTONIC);
  const bool go_on = transfer.reflector_.on_data(transfer.http_code(), {bytes, one * size}, transfer.last_data_ns_,
                                                 clock_ns(CLOCK_REALTIME));
  return go_on ? one * size : CURL_WRITEFUNC_ERROR;
}

std::size_t Transfer::on_header(char* bytes, std::size_t one, std::size_t size, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.last_data_ns_ = clock_ns(CLOCK_MONOTONIC);
  if (std::string_view(bytes, one * size) == "\r\n") transfer.reflector_.on_answer(transfer.last_data_ns_);
  return one * size;
}

}  // namespace weir::kube
