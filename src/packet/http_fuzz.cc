// Any bytes as one direction of a connection, cut into segments and gaps by the input itself. The first byte is the
// rule for cutting.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "packet/forwarded.h"
#include "packet/http.h"

namespace {

using weir::packet::HttpEvents;
using weir::packet::HttpHead;
using weir::packet::HttpReader;

struct Sum final : HttpEvents {
  std::string text;
  Body on_head(const HttpHead& head, std::size_t) override {
    text += head.request ? std::string(head.method) + ' ' + std::string(head.target) : std::to_string(head.status);
    text += ' ' + std::string(head.host) + ' ' + weir::packet::original_client(head, {}).to_string() + '\n';
    return head.user_agent.size() % 3 == 0 ? Body::kNone : Body::kAsHeaders;
  }
  void on_message_end(std::uint64_t bytes, bool whole) override {
    text += std::to_string(bytes) + (whole ? "\n" : " cut\n");
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t rule = data[0];
  const std::span<const std::uint8_t> stream(data + 1, size - 1);
  HttpReader pieces((rule & 1) != 0);
  Sum found;
  const std::size_t step = (rule >> 1 & 0x3Fu) + 1;
  const bool gaps = (rule & 0x80) != 0;
  for (std::size_t at = 0; at < stream.size(); at += step) {
    const auto piece = stream.subspan(at, std::min(step, stream.size() - at));
    if (gaps && piece[0] == '#') {
      pieces.gap(piece.size() * 7, found);
    } else {
      pieces.feed(piece, found);
    }
  }
  pieces.end(found);
  if (!pieces.done()) std::abort();
  return 0;
}
