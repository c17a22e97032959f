#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "kube/api_server.h"
#include "kube/internal/reflector.h"

namespace weir::kube {

/// One request of a reflector on its way: feeds it what the server answers. Ends the request when it goes.
class Transfer {
 public:
  /// Fails if the credentials cannot be read. The multi handle and the reflector outlive the transfer.
  static Result<std::unique_ptr<Transfer>> begin(CURLM* multi, const ApiServer& server,
                                                 const Reflector::Request& request, Reflector& reflector);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  CURL* handle() const { return easy_; }
  /// 0 before an answer.
  int http_code() const;
  /// What Retry-After says; 0 if nothing.
  std::int64_t retry_after_s() const;
  /// What went wrong on the way; empty if nothing did.
  std::string error(CURLcode result) const;
  /// Of the steady clock: when bytes came last, or the request began.
  std::int64_t last_data_ns() const { return last_data_ns_; }

 private:
  Transfer(CURLM* multi, Reflector& reflector) : multi_(multi), reflector_(reflector) {}
  Status set_up(const ApiServer& server, const Reflector::Request& request);
  void set_up_tls(const ApiServer& server);
  static std::size_t on_body(char* bytes, std::size_t one, std::size_t size, void* self);
  static std::size_t on_header(char* bytes, std::size_t one, std::size_t size, void* self);

  CURLM* multi_;
  Reflector& reflector_;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  curl_slist* connect_to_ = nullptr;
  std::int64_t last_data_ns_ = 0;
  char error_[CURL_ERROR_SIZE] = {};
};

}  // namespace weir::kube
