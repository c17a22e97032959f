#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ship/internal/kinds.h"

namespace weir::ship {
namespace {

class StandardOutput : public Destination {
 public:
  Delivery deliver(const LineBatch& batch, const std::atomic<bool>& stop) override {
    // After a failure it comes again, perhaps with more lines: what was written of it stays written.
    if (batch.stream != stream_ || batch.begin != begin_) written_ = 0;
    stream_ = batch.stream;
    begin_ = batch.begin;
    text_.clear();
    for (const std::string_view line : batch.lines) {
      append_shipped_line(text_, line, batch.node, batch.log);
      text_ += '\n';
    }
    while (written_ < text_.size()) {
      const ssize_t wrote = ::write(STDOUT_FILENO, text_.data() + written_, text_.size() - written_);
      if (wrote > 0) {
        written_ += static_cast<std::size_t>(wrote);
      } else if (wrote < 0 && errno != EINTR) {
        return {.outcome = Delivery::Outcome::kRetry, .reason = std::string("stdout: ") + std::strerror(errno)};
      }
      if (stop.load() && written_ < text_.size()) {
        return {.outcome = Delivery::Outcome::kRetry, .reason = "stopped"};
      }
    }
    stream_.clear();
    return {};
  }

 private:
  /// The batch in hand: a write may take part of it.
  std::string text_, stream_;
  std::uint64_t begin_ = 0;
  std::size_t written_ = 0;
};

}  // namespace

Result<std::unique_ptr<Destination>> make_standard_output(const DestinationSpec&) {
  return std::unique_ptr<Destination>(std::make_unique<StandardOutput>());
}

}  // namespace weir::ship
