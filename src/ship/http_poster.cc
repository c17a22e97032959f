#include "ship/internal/http_poster.h"

#include "base/file.h"
#include "base/text.h"

namespace weir::ship {
namespace {

constexpr long kConnectSeconds = 10;
/// Slower than a byte a second for so long is dead.
constexpr long kStallSeconds = 60;
constexpr std::size_t kMaxAnswer = 16 * 1024 * 1024;

std::size_t on_body(char* bytes, std::size_t one, std::size_t size, void* out) {
  auto& body = *static_cast<std::string*>(out);
  body.append(bytes, std::min(one * size, kMaxAnswer - std::min(kMaxAnswer, body.size())));
  return one * size;
}

int on_progress(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::atomic<bool>*>(stop)->load() ? 1 : 0;
}

/// Read for each request: tokens are renewed.
Result<std::string> read_token(const std::string& path) {
  TRY_ASSIGN(const FileBytes file, FileBytes::open(path));
  const std::string token(trim(file.text()));
  const bool printable = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (token.empty() || !printable) return invalid_argument(path + ": is no bearer token");
  return token;
}

bool is_loopback(std::string_view url) {
  const std::string_view host = url.substr(std::min(url.find("://") + 3, url.size()));
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

}  // namespace

Result<std::unique_ptr<HttpPoster>> HttpPoster::create(const DestinationSpec& spec) {
  std::unique_ptr<HttpPoster> poster(new HttpPoster());
  TRY(poster->set_up(spec));
  return poster;
}

HttpPoster::~HttpPoster() {
  if (easy_ != nullptr) curl_easy_cleanup(easy_);
}

Status HttpPoster::set_up(const DestinationSpec& spec) {
  // Once a process, and before there are threads: who creates destinations does so then.
  static const CURLcode kInitialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  easy_ = kInitialised == CURLE_OK ? curl_easy_init() : nullptr;
  if (easy_ == nullptr) return Error{ErrorCode::kResourceExhausted, "libcurl: out of memory"};
  token_file_ = spec.token_file;
  if (!token_file_.empty()) {
    const Result<std::string> token = read_token(token_file_);
    if (!token.ok()) return invalid_argument("token_file: " + token.error().message);
  }
  for (const std::string& path : {spec.ca_file, spec.certificate_file, spec.key_file}) {
    if (!path.empty()) TRY(FileBytes::open(path));
  }
  curl_easy_setopt(easy_, CURLOPT_USERAGENT, "weir");
  curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(easy_, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy_, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, error_);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy_, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(easy_, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy_, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  if (is_loopback(spec.url)) curl_easy_setopt(easy_, CURLOPT_PROXY, "");
  if (!spec.ca_file.empty()) curl_easy_setopt(easy_, CURLOPT_CAINFO, spec.ca_file.c_str());
  if (!spec.certificate_file.empty()) curl_easy_setopt(easy_, CURLOPT_SSLCERT, spec.certificate_file.c_str());
  if (!spec.key_file.empty()) curl_easy_setopt(easy_, CURLOPT_SSLKEY, spec.key_file.c_str());
  return {};
}

Posted HttpPoster::post(const std::string& url, const std::vector<std::string>& headers, std::string_view body,
                        const std::atomic<bool>& stop) {
  Posted posted;
  curl_slist* list = nullptr;
  for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
  if (!token_file_.empty()) {
    const Result<std::string> token = read_token(token_file_);
    if (!token.ok()) {
      curl_slist_free_all(list);
      posted.body = token.error().message;
      return posted;
    }
    list = curl_slist_append(list, ("Authorization: Bearer " + token.value()).c_str());
  }
  error_[0] = '\0';
  curl_easy_setopt(easy_, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, &posted.body);
  curl_easy_setopt(easy_, CURLOPT_XFERINFODATA, &stop);
  const CURLcode result = curl_easy_perform(easy_);
  curl_slist_free_all(list);
  if (result != CURLE_OK) {
    posted.body = error_[0] != '\0' ? error_ : curl_easy_strerror(result);
    return posted;
  }
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  posted.status = static_cast<int>(status);
  curl_off_t seconds = 0;
  curl_easy_getinfo(easy_, CURLINFO_RETRY_AFTER, &seconds);
  posted.retry_after = std::chrono::seconds(seconds);
  return posted;
}

Delivery delivery_of(const Posted& posted) {
  Delivery delivery;
  const int status = posted.status;
  if (status >= 200 && status < 300) return delivery;
  delivery.reason = status == 0 ? posted.body : "HTTP " + std::to_string(status);
  if (status != 0 && !posted.body.empty()) {
    delivery.reason += ": " + std::string(trim(std::string_view(posted.body).substr(0, 300)));
  }
  const bool about_lines = status >= 400 && status < 500 && status != 401 && status != 403 && status != 404 &&
                           status != 405 && status != 407 && status != 408 && status != 425 && status != 429;
  delivery.outcome = about_lines ? Delivery::Outcome::kRefused : Delivery::Outcome::kRetry;
  delivery.retry_after = posted.retry_after;
  return delivery;
}

}  // namespace weir::ship
