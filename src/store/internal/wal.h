#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/log_type.h"
#include "store/internal/disk.h"

/// The write-ahead log: files of frames, each one accepted append. Its bytes are described in docs/storage.md.
namespace weir::store {

using model::LogType;

using PerLogNumbers = std::array<std::uint64_t, model::kLogTypes>;

struct WalFrame {
  LogType log = LogType::kFlows;
  std::uint64_t seq = 0;
  /// Row i of the text has the id first_row + i.
  std::uint64_t first_row = 0;
  std::uint32_t rows = 0;
  bool has_range = false;
  std::string agent, stream;
  std::uint64_t begin = 0, end = 0;
  /// When it was appended, Unix seconds.
  std::int64_t time = 0;
  /// The accepted lines.
  std::string text;
};

inline constexpr std::size_t kMaxWalText = 64 * 1024 * 1024;

/// The frame's bytes but for seq, first_row and their checksum: the costly part (zstd), which needs no lock.
std::string encode_wal_frame(const WalFrame& frame, std::string_view text);
/// Completes what encode_wal_frame() made.
void seal_wal_frame(std::string& bytes, std::uint64_t seq, std::uint64_t first_row);

struct WalScan {
  std::uint64_t frames = 0;
  /// Bytes that belong to no whole frame.
  std::uint64_t bad_bytes = 0;
  /// End of the last whole frame.
  std::uint64_t good_end = 0;
};
/// Visits the whole frames of a file in order. Bytes that are none are passed over up to the next whole frame.
/// Stops at the first error of `visit` and returns it.
Result<WalScan> scan_wal(std::string_view bytes, const std::function<Status(const WalFrame&)>& visit);

/// Threads: one at a time.
class Wal {
 public:
  /// By LogType: the last frame whose rows are in segments.
  using Flushed = PerLogNumbers;

  /// Visits the frames that are there, and goes on in a new file with numbers above theirs and above `floor`.
  /// `note` hears of damage.
  static Result<Wal> open(const std::string& folder, std::uint64_t floor,
                          const std::function<Status(const WalFrame&)>& visit,
                          const std::function<void(std::string_view)>& note);

  /// Writes sealed frames durably. `last`: the seq of the last one; `logs`: whether there are any of each log.
  Status append(std::string_view frames, std::uint64_t last, const std::array<bool, model::kLogTypes>& logs);
  /// Removes the files all of whose frames are in segments.
  void trim(const Flushed& flushed);

  std::uint64_t bytes() const;
  std::uint64_t torn_bytes() const { return torn_bytes_; }
  /// Of the last frame found or written.
  std::uint64_t last_seq() const { return last_seq_; }

 private:
  struct File {
    std::string path;
    std::uint64_t bytes = 0;
    /// By LogType; 0: none.
    Flushed last{};
  };
  Status rotate();

  std::string folder_;
  std::uint64_t last_seq_ = 0, torn_bytes_ = 0;
  /// The last one is the one that is written.
  std::deque<File> files_;
  AppendFile active_;
};

}  // namespace weir::store
