#include <simdjson.h>

#include "base/compression.h"
#include "base/text.h"
#include "ship/internal/http_poster.h"
#include "ship/internal/kinds.h"

// POST /api/v1/ingest/LOG with the bytes of the range as they are in the file (the server adds host and @timestamp), or
// with the lines that passed the filter. 409 says from where on the server wants the stream.

namespace weir::ship {
namespace {

std::uint64_t number_at(simdjson::dom::element object, std::string_view key) {
  std::uint64_t number = 0;
  return object[key].get(number) == simdjson::SUCCESS ? number : 0;
}

class WeirServer : public Destination {
 public:
  WeirServer(std::string url, std::unique_ptr<HttpPoster> poster) : url_(std::move(url)), poster_(std::move(poster)) {
    while (url_.ends_with('/')) url_.pop_back();
  }

  Delivery deliver(const LineBatch& batch, const std::atomic<bool>& stop) override {
    std::string_view body = batch.bytes;
    bool whole = true;
    std::size_t sent = 0;
    for (const std::string_view line : batch.lines) sent += line.size() + 1;
    if (sent != batch.bytes.size()) {
      whole = false;
      text_.clear();
      for (const std::string_view line : batch.lines) text_.append(line).append("\n");
      body = text_;
    }
    const std::string compressed = zstd_compress(body);
    const Posted posted =
        poster_->post(url_ + "/api/v1/ingest/" + std::string(to_string(batch.log)),
                      {"Content-Type: application/x-ndjson", "Content-Encoding: zstd",
                       "Expect:", "Weir-Agent: " + std::string(batch.node), "Weir-Stream: " + std::string(batch.stream),
                       "Weir-Range: " + std::to_string(batch.begin) + "-" + std::to_string(batch.end)},
                      compressed, stop);
    Delivery delivery = delivery_of(posted);
    if (posted.status == 409) read_conflict(posted.body, batch, delivery);
    if (posted.status == 200) read_refused(posted.body, batch, whole, delivery);
    return delivery;
  }

 private:
  void read_conflict(const std::string& body, const LineBatch& batch, Delivery& delivery) {
    simdjson::dom::element answer;
    delivery.outcome = Delivery::Outcome::kRetry;
    if (parser_.parse(body).get(answer) != simdjson::SUCCESS) return;
    delivery.from = number_at(answer, "stored_until");
    if (delivery.from > batch.begin) delivery.outcome = Delivery::Outcome::kContinue;
  }

  void read_refused(const std::string& body, const LineBatch& batch, bool whole, Delivery& delivery) {
    simdjson::dom::element answer;
    if (parser_.parse(body).get(answer) != simdjson::SUCCESS) {
      delivery.outcome = Delivery::Outcome::kRetry;
      delivery.reason = "the answer is not that of a Weir server";
      return;
    }
    const std::uint64_t refused = number_at(answer, "refused_lines");
    simdjson::dom::array list;
    if (answer["refused"].get(list) == simdjson::SUCCESS) {
      for (const simdjson::dom::element entry : list) {
        std::string_view reason;
        const std::uint64_t line = number_at(entry, "line");
        if (line == 0 || entry["reason"].get(reason) != simdjson::SUCCESS) continue;
        // Lines of the body are counted, empty ones too, which `lines` leaves out.
        const std::size_t index = whole ? index_of(batch, line) : static_cast<std::size_t>(line - 1);
        if (index < batch.lines.size()) delivery.refused.push_back({index, std::string(reason)});
      }
    }
    delivery.refused_unnamed = refused - std::min<std::uint64_t>(refused, delivery.refused.size());
  }

  static std::size_t index_of(const LineBatch& batch, std::uint64_t line) {
    std::size_t at = 0;
    for (std::uint64_t i = 1; i < line && at != std::string_view::npos; ++i) at = batch.bytes.find('\n', at) + 1;
    const char* begin = batch.bytes.data() + at;
    for (std::size_t i = 0; i < batch.lines.size(); ++i) {
      if (batch.lines[i].data() == begin) return i;
    }
    return batch.lines.size();
  }

  std::string url_, text_;
  std::unique_ptr<HttpPoster> poster_;
  simdjson::dom::parser parser_;
};

}  // namespace

Result<std::unique_ptr<Destination>> make_weir_server(const DestinationSpec& spec) {
  TRY_ASSIGN(std::unique_ptr<HttpPoster> poster, HttpPoster::create(spec));
  return std::unique_ptr<Destination>(std::make_unique<WeirServer>(spec.url, std::move(poster)));
}

}  // namespace weir::ship
