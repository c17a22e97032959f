#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "capture/internal/record.h"
#include "packet/packet.h"

namespace weir::capture {

/// pcapng (draft-ietf-opsawg-pcapng): blocks in sections, each section with its own byte order and interfaces.
class PcapngReader {
 public:
  static bool recognises(std::span<const std::uint8_t> bytes);
  /// The message does not name the file.
  static Result<PcapngReader> open(std::span<const std::uint8_t> bytes);

  std::size_t next_batch(std::span<packet::PacketView> out);
  const std::optional<Damage>& damage() const { return damage_; }

 private:
  struct Interface {
    std::uint16_t link_type = 1;
    std::uint32_t snap_bytes = 0;
    /// if_tsresol: the exponent of ten, or of two.
    std::uint8_t exponent = 6;
    bool binary = false;
    /// if_tsoffset.
    std::int64_t offset_seconds = 0;

    std::int64_t to_ns(std::uint64_t timestamp) const;
  };
  struct Block {
    std::uint32_t type = 0;
    /// Between the two length fields.
    std::span<const std::uint8_t> body;
  };

  bool next_block(Block& out);
  bool read_section(const Block& block);
  bool read_interface(const Block& block);
  void read_interface_options(std::span<const std::uint8_t> options, Interface& out) const;
  /// Of the three packet blocks; true if `out` is a packet.
  bool read_enhanced(const Block& block, packet::PacketView& out);
  bool read_old(const Block& block, packet::PacketView& out);
  bool read_simple(const Block& block, packet::PacketView& out);
  bool fill(std::span<const std::uint8_t> data, std::size_t interface, std::uint64_t timestamp, std::uint32_t captured,
            std::uint32_t wire, packet::PacketView& out);
  /// Always false.
  bool fail(std::string what);

  std::span<const std::uint8_t> bytes_;
  /// Of the block that is being read, and of the next.
  std::size_t block_at_ = 0;
  std::size_t at_ = 0;
  /// The bytes before this are in the cache, or on their way.
  std::size_t prefetched_ = 0;
  bool swapped_ = false;
  std::vector<Interface> interfaces_;
  std::int64_t newest_ns_ = 0;
  std::optional<Damage> damage_;
};

}  // namespace weir::capture
