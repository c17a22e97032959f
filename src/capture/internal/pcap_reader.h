#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "capture/internal/byte_window.h"
#include "capture/internal/record.h"
#include "packet/packet.h"

namespace weir::capture {

/// Classic pcap (draft-ietf-opsawg-pcap): a header of 24 bytes, then records of a header and the packet.
class PcapReader {
 public:
  static bool recognises(std::span<const std::uint8_t> bytes);
  /// The message does not name the file.
  static Result<PcapReader> open(ByteWindow window);

  std::size_t next_batch(std::span<packet::PacketView> out);
  const std::optional<Damage>& damage() const { return damage_; }

 private:
  template <bool kPlain>
  std::size_t read_records(std::span<packet::PacketView> out);
  /// The next record, of `need` bytes, is not in the window as a whole: gets more. False at the end, or at damage.
  bool read_on(std::size_t need);
  void note_damage(std::size_t header_bytes, std::uint32_t captured);

  ByteWindow window_;
  /// Of the next record, in the window.
  std::size_t at_ = 0;
  /// The bytes of the window before this are in the cache, or on their way.
  std::size_t prefetched_ = 0;
  std::optional<Damage> damage_;
  std::uint16_t link_type_ = 0;
  /// Nanoseconds in a unit of the fraction of a second.
  std::uint32_t fraction_ns_ = 1000;
  std::uint32_t record_header_ = 16;
  bool swapped_ = false;
  /// Files of version 2.0 to 2.2 have the two lengths the other way round, those of 2.3 either way.
  enum class Lengths : std::uint8_t { kCapturedFirst, kWireFirst, kEither } lengths_ = Lengths::kCapturedFirst;
};

}  // namespace weir::capture
