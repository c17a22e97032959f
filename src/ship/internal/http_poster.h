#pragma once

#include <curl/curl.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ship/destination.h"

namespace weir::ship {

/// What came back. `status` 0: no whole answer came; `body` then says why.
struct Posted {
  int status = 0;
  /// The first 16 MiB.
  std::string body;
  std::chrono::milliseconds retry_after{0};
};

/// POSTs to a spec's server over one connection that stays. Threads: one.
class HttpPoster {
 public:
  static Result<std::unique_ptr<HttpPoster>> create(const DestinationSpec& spec);
  HttpPoster(const HttpPoster&) = delete;
  HttpPoster& operator=(const HttpPoster&) = delete;
  ~HttpPoster();

  /// `headers`: "Name: value". Waits for the answer: until `stop`, or until nothing moved for a minute.
  Posted post(const std::string& url, const std::vector<std::string>& headers, std::string_view body,
              const std::atomic<bool>& stop);

 private:
  HttpPoster() = default;
  Status set_up(const DestinationSpec& spec);

  CURL* easy_ = nullptr;
  std::string token_file_;
  char error_[CURL_ERROR_SIZE] = {};
};

/// What a plain answer means for the batch: 2xx delivered; 408, 425, 429, 401, 403, 404, 5xx and none: again later,
/// since none of these is about its lines; others: refused.
Delivery delivery_of(const Posted& posted);

}  // namespace weir::ship
