#include "capture/internal/pcap_reader.h"

#include <algorithm>
#include <string>
#include <utility>

namespace weir::capture {
namespace {

constexpr std::uint32_t kMicroseconds = 0xA1B2C3D4, kNanoseconds = 0xA1B23C4D, kModified = 0xA1B2CD34;
constexpr std::size_t kFileHeader = 24, kRecordHeader = 16, kModifiedRecordHeader = 24;

bool is_magic(std::uint32_t word) { return word == kMicroseconds || word == kNanoseconds || word == kModified; }

}  // namespace

bool PcapReader::recognises(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 4 && (is_magic(load32(bytes.data(), false)) || is_magic(load32(bytes.data(), true)));
}

Result<PcapReader> PcapReader::open(ByteWindow window) {
  const std::span<const std::uint8_t> bytes = window.bytes();
  if (bytes.size() < kFileHeader) return data_loss("the file ends inside the pcap file header");
  PcapReader reader;
  reader.at_ = kFileHeader;
  reader.swapped_ = !is_magic(load32(bytes.data(), false));
  const std::uint32_t magic = load32(bytes.data(), reader.swapped_);
  if (magic == kNanoseconds) reader.fraction_ns_ = 1;
  if (magic == kModified) reader.record_header_ = kModifiedRecordHeader;

  const unsigned major = load16(bytes.data() + 4, reader.swapped_), minor = load16(bytes.data() + 6, reader.swapped_);
  if (major != 2) {
    const std::string version = std::to_string(major) + "." + std::to_string(minor);
    return Error{ErrorCode::kUnsupported, "pcap version " + version + "; only 2.x is known"};
  }
  if (minor < 3) reader.lengths_ = Lengths::kWireFirst;
  if (minor == 3) reader.lengths_ = Lengths::kEither;
  // The upper half says how long the frame check sequence is, if there is one.
  reader.link_type_ = static_cast<std::uint16_t>(load32(bytes.data() + 20, reader.swapped_) & 0xFFFF);
  // What read() brought is in the cache already.
  if (!window.complete()) reader.prefetched_ = SIZE_MAX;
  reader.window_ = std::move(window);
  return reader;
}

bool PcapReader::read_on(std::size_t need) {
  if (window_.complete() || need > ByteWindow::kMaxNeed) return false;
  const Status status = window_.refill(at_, need);
  at_ = 0;
  if (!status.ok()) damage_ = {window_.offset() + window_.bytes().size(), status.error().message};
  return status.ok() && window_.bytes().size() >= need;
}

/// Where record `header_bytes` + `captured` at at_ does not fit in the file.
void PcapReader::note_damage(std::size_t header_bytes, std::uint32_t captured) {
  const std::size_t left = window_.bytes().size() - at_, offset = window_.offset() + at_;
  if (left == 0 || damage_) return;
  if (left < header_bytes) {
    damage_ = {offset, "the file ends inside the record header"};
  } else if (captured > kMaxPacketBytes) {
    damage_ = {offset, "a packet of " + std::to_string(captured) + " bytes is larger than the limit of " +
                           std::to_string(kMaxPacketBytes)};
  } else {
    damage_ = {offset, "the file ends inside the packet: " + std::to_string(left - header_bytes) + " of " +
                           std::to_string(captured) + " bytes are there"};
  }
  at_ = window_.bytes().size();
}

/// kPlain: our byte order, the captured length first, headers of 16 bytes. The loop that must be fast.
template <bool kPlain>
std::size_t PcapReader::read_records(std::span<packet::PacketView> out) {
  const bool swapped = !kPlain && swapped_;
  const std::size_t header = kPlain ? kRecordHeader : record_header_;
  const std::span<const std::uint8_t> bytes = window_.bytes();
  const std::uint8_t* at = bytes.data() + at_;
  const std::uint8_t* const end = bytes.data() + bytes.size();
  std::size_t count = 0;
  // Of the record that is not in the window as a whole; 0 if all are.
  std::size_t need = 0;
  std::uint32_t captured = 0;
  for (; count < out.size(); ++count) {
    prefetched_ = prefetch(bytes, static_cast<std::size_t>(at - bytes.data()), prefetched_);
    const auto left = static_cast<std::size_t>(end - at);
    if (left < header) {
      need = header;
      break;
    }
    captured = load32(at + 8, swapped);
    std::uint32_t wire = load32(at + 12, swapped);
    if (!kPlain) {
      const bool exchanged = lengths_ == Lengths::kWireFirst || (lengths_ == Lengths::kEither && captured > wire);
      if (exchanged) std::swap(captured, wire);
    }
    if (captured > kMaxPacketBytes || captured > left - header) {
      need = header + captured;
      break;
    }
    packet::PacketView& view = out[count];
    view.data = at + header;
    view.captured_bytes = std::min(captured, wire);
    view.wire_bytes = std::min(wire, kMaxWireBytes);
    view.time_ns =
        std::int64_t{load32(at, swapped)} * 1'000'000'000 + std::int64_t{load32(at + 4, swapped)} * fraction_ns_;
    view.link_type = link_type_;
    at += header + captured;
  }
  at_ = static_cast<std::size_t>(at - bytes.data());
  // What was found lies in the window: it is given out before the window moves.
  if (need == 0 || count > 0) return count;
  if (read_on(need)) return read_records<kPlain>(out);
  note_damage(header, captured);
  return 0;
}

std::size_t PcapReader::next_batch(std::span<packet::PacketView> out) {
  const bool plain = !swapped_ && lengths_ == Lengths::kCapturedFirst && record_header_ == kRecordHeader;
  return plain ? read_records<true>(out) : read_records<false>(out);
}

}  // namespace weir::capture
