#include "store/internal/wal.h"

#include <zstd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "store/internal/crc32c.h"

// A frame, little-endian:
//   0 magic "WWF1"   4 payload bytes   8 CRC-32C of the payload   12 CRC-32C of bytes 0..11 and 16..47
//   16 seq (8)   24 first row id (8)   32 rows   36 payload bytes before compression   40 log   41..47 zero
//   48 payload, zstd: has_range (1), agent and stream (each u32 and its bytes), begin, end, time (8 each), text

namespace weir::store {
namespace {

constexpr char kMagic[] = "WWF1";
constexpr std::size_t kHeader = 48;
constexpr std::size_t kMaxNames = 64 * 1024;
constexpr std::size_t kMaxPayload = kMaxWalText + kMaxNames + 64;
constexpr std::uint64_t kFileBytes = 64 * 1024 * 1024;
constexpr int kZstdLevel = 1;

template <typename Number>
void put(std::string& out, Number number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out.append(bytes, sizeof number);
}
template <typename Number>
void put_at(std::string& out, std::size_t at, Number number) {
  std::memcpy(out.data() + at, &number, sizeof number);
}
template <typename Number>
Number get_at(std::string_view bytes, std::size_t at) {
  Number number;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

std::uint32_t header_crc(std::string_view header) {
  return crc32c(header.substr(16, kHeader - 16), crc32c(header.substr(0, 12)));
}

/// Takes fields off the front of a payload; `ok` turns false when there are too few bytes.
struct Reader {
  std::string_view left;
  bool ok = true;

  template <typename Number>
  Number number() {
    if (left.size() < sizeof(Number)) {
      ok = false;
      return 0;
    }
    const auto value = get_at<Number>(left, 0);
    left.remove_prefix(sizeof(Number));
    return value;
  }
  std::string text() {
    const auto size = number<std::uint32_t>();
    if (!ok || size > left.size() || size > kMaxNames) {
      ok = false;
      return {};
    }
    std::string value(left.substr(0, size));
    left.remove_prefix(size);
    return value;
  }
};

/// Decodes the frame at the start of `bytes`; 0 if there is no whole one, else its size.
std::size_t decode_frame(std::string_view bytes, WalFrame& frame, std::string& payload) {
  if (bytes.size() < kHeader || !bytes.starts_with(kMagic)) return 0;
  const std::string_view header = bytes.substr(0, kHeader);
  const auto size = get_at<std::uint32_t>(header, 4);
  const auto raw_size = get_at<std::uint32_t>(header, 36);
  if (get_at<std::uint32_t>(header, 12) != header_crc(header)) return 0;
  if (size > bytes.size() - kHeader || raw_size > kMaxPayload) return 0;
  const std::string_view compressed = bytes.substr(kHeader, size);
  if (get_at<std::uint32_t>(header, 8) != crc32c(compressed)) return 0;
  payload.resize(raw_size);
  if (ZSTD_decompress(payload.data(), raw_size, compressed.data(), size) != raw_size) return 0;
  const auto log = static_cast<std::uint8_t>(header[40]);
  if (log >= model::kLogTypes) return 0;
  frame.log = static_cast<LogType>(log);
  frame.seq = get_at<std::uint64_t>(header, 16);
  frame.first_row = get_at<std::uint64_t>(header, 24);
  frame.rows = get_at<std::uint32_t>(header, 32);
  Reader reader{payload};
  frame.has_range = reader.number<std::uint8_t>() != 0;
  frame.agent = reader.text();
  frame.stream = reader.text();
  frame.begin = reader.number<std::uint64_t>();
  frame.end = reader.number<std::uint64_t>();
  frame.time = reader.number<std::int64_t>();
  if (!reader.ok) return 0;
  frame.text.assign(reader.left);
  return kHeader + size;
}

std::string file_name(std::uint64_t seq) {
  std::string digits = std::to_string(seq);
  return std::string(digits.size() < 20 ? 20 - digits.size() : 0, '0') + digits + ".wal";
}

}  // namespace

std::string encode_wal_frame(const WalFrame& frame, std::string_view text) {
  std::string payload;
  payload.reserve(text.size() + frame.agent.size() + frame.stream.size() + 64);
  put(payload, static_cast<std::uint8_t>(frame.has_range));
  put(payload, static_cast<std::uint32_t>(frame.agent.size()));
  payload += frame.agent;
  put(payload, static_cast<std::uint32_t>(frame.stream.size()));
  payload += frame.stream;
  put(payload, frame.begin);
  put(payload, frame.end);
  put(payload, frame.time);
  payload += text;
  std::string bytes(kHeader + ZSTD_compressBound(payload.size()), '\0');
  const std::size_t size =
      ZSTD_compress(bytes.data() + kHeader, bytes.size() - kHeader, payload.data(), payload.size(), kZstdLevel);
  CHECK(ZSTD_isError(size) == 0);
  bytes.resize(kHeader + size);
  std::memcpy(bytes.data(), kMagic, 4);
  put_at(bytes, 4, static_cast<std::uint32_t>(size));
  put_at(bytes, 8, crc32c(std::string_view(bytes).substr(kHeader)));
  put_at(bytes, 32, frame.rows);
  put_at(bytes, 36, static_cast<std::uint32_t>(payload.size()));
  bytes[40] = static_cast<char>(frame.log);
  return bytes;
}

void seal_wal_frame(std::string& bytes, std::uint64_t seq, std::uint64_t first_row) {
  put_at(bytes, 16, seq);
  put_at(bytes, 24, first_row);
  put_at(bytes, 12, header_crc(bytes));
}

Result<WalScan> scan_wal(std::string_view bytes, const std::function<Status(const WalFrame&)>& visit) {
  WalScan scan;
  WalFrame frame;
  std::string payload;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t size = decode_frame(bytes.substr(at), frame, payload);
    if (size > 0) {
      TRY(visit(frame));
      ++scan.frames;
      at += size;
      scan.good_end = at;
      continue;
    }
    const std::size_t next = std::min(bytes.find(kMagic, at + 1), bytes.size());
    scan.bad_bytes += next - at;
    at = next;
  }
  return scan;
}

Result<Wal> Wal::open(const std::string& folder, std::uint64_t floor,
                      const std::function<Status(const WalFrame&)>& visit,
                      const std::function<void(std::string_view)>& note) {
  Wal wal;
  wal.folder_ = folder;
  wal.last_seq_ = floor;
  TRY(make_folder(folder));
  for (const std::string& name : files_below(folder)) {
    if (!name.ends_with(".wal")) continue;
    File file{folder + "/" + name, 0, {}};
    TRY_ASSIGN(FileBytes mapped, FileBytes::open(file.path));
    file.bytes = mapped.text().size();
    TRY_ASSIGN(const WalScan scan, scan_wal(mapped.text(), [&](const WalFrame& frame) {
                 wal.last_seq_ = std::max(wal.last_seq_, frame.seq);
                 auto& last = file.last[static_cast<std::size_t>(frame.log)];
                 last = std::max(last, frame.seq);
                 return visit(frame);
               }));
    wal.torn_bytes_ += scan.bad_bytes;
    if (scan.bad_bytes > 0 && note) {
      note(file.path + ": " + std::to_string(scan.bad_bytes) + " bytes are no whole frame and are passed over");
    }
    wal.files_.push_back(std::move(file));
  }
  // A torn end stays where it is: nothing is ever written after it.
  TRY(wal.rotate());
  return wal;
}

Status Wal::rotate() {
  // A name that is taken is that of an empty or torn file of an earlier start.
  std::uint64_t number = last_seq_ + 1;
  const auto is_taken = [&](const std::string& path) {
    return std::any_of(files_.begin(), files_.end(), [&](const File& file) { return file.path == path; });
  };
  std::string path = folder_ + "/" + file_name(number);
  if (is_taken(path) && file_size(path) == 0) {
    files_.erase(std::find_if(files_.begin(), files_.end(), [&](const File& file) { return file.path == path; }));
  }
  while (is_taken(path)) path = folder_ + "/" + file_name(++number);
  TRY_ASSIGN(AppendFile file, AppendFile::open(path));
  TRY(sync_folder(folder_));
  active_ = std::move(file);
  files_.push_back({path, active_.size(), {}});
  return {};
}

Status Wal::append(std::string_view frames, std::uint64_t last, const std::array<bool, model::kLogTypes>& logs) {
  if (active_.broken() || active_.size() >= kFileBytes) TRY(rotate());
  TRY(active_.append_durably(frames));
  File& file = files_.back();
  file.bytes = active_.size();
  last_seq_ = last;
  for (std::size_t log = 0; log < model::kLogTypes; ++log) {
    if (logs[log]) file.last[log] = last;
  }
  return {};
}

void Wal::trim(const Flushed& flushed) {
  const auto is_done = [&](const File& file) {
    for (std::size_t log = 0; log < model::kLogTypes; ++log) {
      if (file.last[log] > flushed[log]) return false;
    }
    return true;
  };
  if (files_.size() > 0 && is_done(files_.back()) && files_.back().bytes > 0 && !rotate().ok()) return;
  while (files_.size() > 1 && is_done(files_.front())) {
    remove_file(files_.front().path);
    files_.pop_front();
  }
}

std::uint64_t Wal::bytes() const {
  std::uint64_t sum = 0;
  for (const File& file : files_) sum += file.bytes;
  return sum;
}

}  // namespace weir::store
