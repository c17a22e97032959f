#include "base/compression.h"
#include "ship/internal/http_poster.h"
#include "ship/internal/kinds.h"

namespace weir::ship {
namespace {

class PlainHttp : public Destination {
 public:
  PlainHttp(std::string url, std::unique_ptr<HttpPoster> poster) : url_(std::move(url)), poster_(std::move(poster)) {}

  Delivery deliver(const LineBatch& batch, const std::atomic<bool>& stop) override {
    if (batch.lines.empty()) return {};
    body_.clear();
    for (const std::string_view line : batch.lines) {
      append_shipped_line(body_, line, batch.node, batch.log);
      body_ += '\n';
    }
    // The range lets a receiver that wants to recognise what comes twice.
    const std::string range = std::to_string(batch.begin) + "-" + std::to_string(batch.end);
    return delivery_of(poster_->post(
        url_,
        {"Content-Type: application/x-ndjson", "Expect:", "Weir-Log: " + std::string(to_string(batch.log)),
         "Weir-Agent: " + std::string(batch.node), "Weir-Stream: " + std::string(batch.stream), "Weir-Range: " + range},
        body_, stop));
  }

 private:
  std::string url_, body_;
  std::unique_ptr<HttpPoster> poster_;
};

}  // namespace

Result<std::unique_ptr<Destination>> make_plain_http(const DestinationSpec& spec) {
  TRY_ASSIGN(std::unique_ptr<HttpPoster> poster, HttpPoster::create(spec));
  return std::unique_ptr<Destination>(std::make_unique<PlainHttp>(spec.url, std::move(poster)));
}

}  // namespace weir::ship
