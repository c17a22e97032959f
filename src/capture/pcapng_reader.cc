#include "capture/internal/pcapng_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace weir::capture {
namespace {

enum BlockType : std::uint32_t {
  kInterface = 1,
  kOldPacket = 2,
  kSimplePacket = 3,
  kEnhancedPacket = 6,
  kSection = 0x0A0D0D0A,
};
constexpr std::uint32_t kByteOrderMagic = 0x1A2B3C4D;
/// Type and length before the body, the length again after it.
constexpr std::size_t kBlockHead = 8, kBlockTail = 4;

std::int64_t saturate(__int128_t ns) {
  constexpr __int128_t kMin = std::numeric_limits<std::int64_t>::min(), kMax = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp(ns, kMin, kMax));
}

}  // namespace

std::int64_t PcapngReader::Interface::to_ns(std::uint64_t timestamp) const {
  __uint128_t ns = timestamp;
  if (binary) {
    ns = (ns * 1'000'000'000) >> exponent;
  } else {
    for (int i = exponent; i < 9; ++i) ns *= 10;
    for (int i = 9; i < exponent && ns != 0; ++i) ns /= 10;
  }
  return saturate(static_cast<__int128_t>(ns) + __int128_t{offset_seconds} * 1'000'000'000);
}

bool PcapngReader::recognises(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 4 && load32(bytes.data(), false) == kSection;
}

Result<PcapngReader> PcapngReader::open(std::span<const std::uint8_t> bytes) {
  PcapngReader reader;
  reader.bytes_ = bytes;
  Block block;
  if (!reader.next_block(block) || !reader.read_section(block)) return data_loss(reader.damage_->what);
  return reader;
}

bool PcapngReader::fail(std::string what) {
  if (!damage_) damage_ = {block_at_, std::move(what)};
  at_ = bytes_.size();
  return false;
}

/// False at the end of the file, or at damage.
bool PcapngReader::next_block(Block& out) {
  block_at_ = at_;
  prefetched_ = prefetch(bytes_, at_, prefetched_);
  const std::size_t left = bytes_.size() - at_;
  if (left == 0) return false;
  if (left < kBlockHead + kBlockTail) return fail("the file ends inside a block header");
  const std::uint8_t* at = bytes_.data() + at_;
  // A section's byte order is only known from its body; its type reads the same both ways.
  if (load32(at, false) == kSection) {
    const bool ours = load32(at + 8, false) == kByteOrderMagic;
    if (!ours && load32(at + 8, true) != kByteOrderMagic) return fail("a section header without the byte-order magic");
    swapped_ = !ours;
  }
  const std::size_t length = load32(at + 4, swapped_);
  // Some writers leave the padding of the body out of the length.
  const std::size_t padded = (length + 3) & ~std::size_t{3};
  if (length < kBlockHead + kBlockTail) return fail("a block length of " + std::to_string(length) + " bytes");
  if (padded > left) {
    return fail("the file ends inside a block: " + std::to_string(left) + " of " + std::to_string(padded) +
                " bytes are there");
  }
  if (load32(at + padded - kBlockTail, swapped_) != length) return fail("the two lengths of a block differ");
  out.type = load32(at, swapped_);
  out.body = bytes_.subspan(at_ + kBlockHead, padded - kBlockHead - kBlockTail);
  at_ += padded;
  return true;
}

bool PcapngReader::read_section(const Block& block) {
  if (block.body.size() < 16) return fail("a section header that is too short");
  const unsigned major = load16(block.body.data() + 4, swapped_), minor = load16(block.body.data() + 6, swapped_);
  if (major != 1) {
    return fail("pcapng version " + std::to_string(major) + "." + std::to_string(minor) + "; only 1.x is known");
  }
  interfaces_.clear();
  return true;
}

bool PcapngReader::read_interface(const Block& block) {
  if (block.body.size() < 8) return fail("an interface description that is too short");
  Interface interface;
  interface.link_type = load16(block.body.data(), swapped_);
  interface.snap_bytes = load32(block.body.data() + 4, swapped_);
  read_interface_options(block.body.subspan(8), interface);
  interfaces_.push_back(interface);
  return true;
}

void PcapngReader::read_interface_options(std::span<const std::uint8_t> options, Interface& out) const {
  constexpr std::uint16_t kEnd = 0, kResolution = 9, kOffset = 14;
  while (options.size() >= 4) {
    const std::uint16_t code = load16(options.data(), swapped_);
    const std::size_t length = load16(options.data() + 2, swapped_), padded = (length + 3) & ~std::size_t{3};
    options = options.subspan(4);
    if (code == kEnd || padded > options.size()) return;
    if (code == kResolution && length == 1) {
      out.binary = (options[0] & 0x80) != 0;
      out.exponent = options[0] & 0x7F;
    }
    if (code == kOffset && length == 8)
      out.offset_seconds = static_cast<std::int64_t>(load64(options.data(), swapped_));
    options = options.subspan(padded);
  }
}

/// `data` is what follows the fixed fields: the packet, padding, options.
bool PcapngReader::fill(std::span<const std::uint8_t> data, std::size_t interface, std::uint64_t timestamp,
                        std::uint32_t captured, std::uint32_t wire, packet::PacketView& out) {
  if (interface >= interfaces_.size()) {
    return fail("a packet of interface " + std::to_string(interface) + ", which is not described");
  }
  if (captured > kMaxPacketBytes || captured > data.size()) {
    return fail("a packet of " + std::to_string(captured) + " bytes in a block that has " +
                std::to_string(data.size()));
  }
  const Interface& on = interfaces_[interface];
  newest_ns_ = on.to_ns(timestamp);
  out = {data.data(), std::min(captured, wire), std::min(wire, kMaxWireBytes), newest_ns_, on.link_type};
  return true;
}

bool PcapngReader::read_enhanced(const Block& block, packet::PacketView& out) {
  const std::uint8_t* at = block.body.data();
  if (block.body.size() < 20) return fail("an enhanced packet block that is too short");
  const std::uint64_t timestamp = (std::uint64_t{load32(at + 4, swapped_)} << 32) | load32(at + 8, swapped_);
  return fill(block.body.subspan(20), load32(at, swapped_), timestamp, load32(at + 12, swapped_),
              load32(at + 16, swapped_), out);
}

/// The Packet Block that the Enhanced Packet Block replaced: a short interface number and a drop counter.
bool PcapngReader::read_old(const Block& block, packet::PacketView& out) {
  const std::uint8_t* at = block.body.data();
  if (block.body.size() < 20) return fail("a packet block that is too short");
  const std::uint64_t timestamp = (std::uint64_t{load32(at + 4, swapped_)} << 32) | load32(at + 8, swapped_);
  return fill(block.body.subspan(20), load16(at, swapped_), timestamp, load32(at + 12, swapped_),
              load32(at + 16, swapped_), out);
}

/// Has no time: it gets that of the packet before it. Its captured length follows from the snapshot length.
bool PcapngReader::read_simple(const Block& block, packet::PacketView& out) {
  if (block.body.size() < 4) return fail("a simple packet block that is too short");
  if (interfaces_.empty()) return fail("a simple packet block without an interface");
  const std::uint32_t wire = load32(block.body.data(), swapped_);
  const std::span<const std::uint8_t> data = block.body.subspan(4);
  std::uint32_t captured = std::min(wire, static_cast<std::uint32_t>(data.size()));
  if (interfaces_[0].snap_bytes != 0) captured = std::min(captured, interfaces_[0].snap_bytes);
  const std::int64_t before = newest_ns_;
  if (!fill(data, 0, 0, captured, wire, out)) return false;
  out.time_ns = newest_ns_ = before;
  return true;
}

std::size_t PcapngReader::next_batch(std::span<packet::PacketView> out) {
  std::size_t count = 0;
  Block block;
  while (count < out.size() && next_block(block)) {
    switch (block.type) {
      case kEnhancedPacket:
        count += read_enhanced(block, out[count]);
        break;
      case kSimplePacket:
        count += read_simple(block, out[count]);
        break;
      case kOldPacket:
        count += read_old(block, out[count]);
        break;
      case kInterface:
        read_interface(block);
        break;
      case kSection:
        read_section(block);
        break;
      default:  // names, statistics, secrets, custom blocks
        break;
    }
  }
  return count;
}

}  // namespace weir::capture
