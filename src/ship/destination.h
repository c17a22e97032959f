#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/log_type.h"

/// What a destination is, for those who add one: a file in this folder, and a row in kKinds of destination_spec.cc.
namespace weir::ship {

/// One destination as an option tells it; docs/shipping.md has the words.
struct DestinationSpec {
  /// Of its files and metrics: letters, digits, '-' and '_'. Default: the kind.
  std::string name;
  /// "weir", "http", "stdout".
  std::string kind;
  std::string url;
  std::vector<model::LogType> logs{model::LogType::kFlows, model::LogType::kDns, model::LogType::kL7,
                                   model::LogType::kAgent};
  /// In the filter language, of each log; only lines that match are sent. Empty: all.
  std::string filter;
  /// Files: a bearer token; CA, client certificate and key in PEM.
  std::string token_file, ca_file, certificate_file, key_file;
};

/// "weir url=https://flows.example types=flows,dns filter='action = deny' token_file=/etc/weir/token".
/// Errors: kInvalidArgument, with the word that is wrong.
Result<DestinationSpec> parse_destination(std::string_view text);
/// Of several: names must differ.
Result<std::vector<DestinationSpec>> parse_destinations(const std::vector<std::string>& texts);

/// Whole lines of one file generation of one node.
struct LineBatch {
  model::LogType log = model::LogType::kFlows;
  std::string_view node, stream;
  /// Bytes [begin, end) of the generation, and these bytes.
  std::uint64_t begin = 0, end = 0;
  std::string_view bytes;
  /// The lines of it that are to be sent, without newline.
  std::vector<std::string_view> lines;
};

/// What became of a batch.
struct Delivery {
  enum class Outcome : std::uint8_t {
    kDelivered,  ///< all of it, but the lines in `refused`
    kRetry,      ///< nothing for certain: the same again later
    kRefused,    ///< the destination does not want it as it is; not again as a whole
    kContinue,   ///< it has what lies before `from` already
  };
  Outcome outcome = Outcome::kDelivered;
  /// For a person: why not.
  std::string reason;
  /// kRetry: what the destination asked for; 0: nothing.
  std::chrono::milliseconds retry_after{0};
  std::uint64_t from = 0;
  struct Refused {
    /// Index in LineBatch::lines.
    std::size_t line = 0;
    std::string reason;
  };
  std::vector<Refused> refused{};
  /// Lines the destination refused but did not name.
  std::uint64_t refused_unnamed = 0;
};

/// Somewhere to send lines to. Threads: one, the destination's own; it may block, but looks at `stop` while it does.
class Destination {
 public:
  virtual ~Destination() = default;
  virtual Delivery deliver(const LineBatch& batch, const std::atomic<bool>& stop) = 0;
};

/// Errors: kInvalidArgument, a file that cannot be read.
Result<std::unique_ptr<Destination>> make_destination(const DestinationSpec& spec);

/// Appends a line of a node's log as it leaves the node: with `host`, and of flows `@timestamp` (the end of the window
/// in milliseconds), unless the line has them. A line that is no JSON object stays as it is.
void append_shipped_line(std::string& out, std::string_view line, std::string_view host, model::LogType log);

}  // namespace weir::ship
