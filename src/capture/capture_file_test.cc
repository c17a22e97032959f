#include "capture/capture_file.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/frame_bytes.h"

namespace weir::capture {
namespace {

using namespace tests;  // NOLINT(google-build-using-namespace): the vocabulary of this file

/// Integers in either byte order: what the two formats are made of.
struct Order {
  bool big = false;

  Bytes u16(std::uint32_t value) const { return reversed(be16(value)); }
  Bytes u32(std::uint64_t value) const { return reversed(be32(value & 0xFFFFFFFF)); }
  Bytes reversed(Bytes bytes) const { return big ? bytes : Bytes(bytes.rbegin(), bytes.rend()); }

  Bytes pcap_header(std::uint32_t magic, std::uint32_t network, std::uint32_t minor = 4,
                    std::uint32_t major = 2) const {
    return join({u32(magic), u16(major), u16(minor), u32(0), u32(0), u32(65535), u32(network)});
  }
  Bytes record(std::uint32_t seconds, std::uint32_t fraction, const Bytes& data, std::uint32_t wire) const {
    return join({u32(seconds), u32(fraction), u32(data.size()), u32(wire), data});
  }

  Bytes block(std::uint32_t type, Bytes body) const {
    while (body.size() % 4 != 0) body.push_back(0);
    return join({u32(type), u32(body.size() + 12), body, u32(body.size() + 12)});
  }
  Bytes section(std::uint32_t major = 1) const {
    return block(0x0A0D0D0A, join({u32(0x1A2B3C4D), u16(major), u16(0), Bytes(8, 0xFF)}));
  }
  Bytes interface(std::uint32_t link_type, const Bytes& options = {}, std::uint32_t snap = 0) const {
    return block(1, join({u16(link_type), u16(0), u32(snap), options}));
  }
  Bytes resolution(std::uint8_t value) const { return join({u16(9), u16(1), {value, 0, 0, 0}}); }
  Bytes enhanced(std::uint32_t on, std::uint64_t time, const Bytes& data, std::uint32_t wire) const {
    return block(6, join({u32(on), u32(time >> 32), u32(time), u32(data.size()), u32(wire), data}));
  }
};
constexpr Order kLittle{false}, kBig{true};
constexpr std::uint32_t kMicro = 0xA1B2C3D4, kNano = 0xA1B23C4D, kModified = 0xA1B2CD34;
const Bytes kPacket = hex("0102030405");

/// "time_ns link_type captured/wire" of each packet, then the message of status() if reading stopped early.
std::vector<std::string> read(const Bytes& file, std::size_t batch_size = 2) {
  auto opened = CaptureFile::open(std::span<const std::uint8_t>(file), "x");
  if (!opened.ok()) return {opened.error().message};
  std::vector<std::string> lines;
  std::vector<packet::PacketView> batch(batch_size);
  while (const std::size_t count = opened.value()->next_batch(batch)) {
    for (std::size_t i = 0; i < count; ++i) {
      const packet::PacketView& p = batch[i];
      lines.push_back(std::to_string(p.time_ns) + " " + std::to_string(p.link_type) + " " +
                      std::to_string(p.captured_bytes) + "/" + std::to_string(p.wire_bytes));
    }
  }
  EXPECT_EQ(opened.value()->next_batch(batch), 0u);
  EXPECT_EQ(opened.value()->stats().packets, lines.size());
  if (!opened.value()->status().ok()) lines.push_back(opened.value()->status().error().message);
  return lines;
}
using Lines = std::vector<std::string>;

TEST(CaptureFile, ReadsPcapInBothByteOrdersAndResolutions) {
  for (const Order order : {kLittle, kBig}) {
    SCOPED_TRACE(order.big ? "big-endian" : "little-endian");
    const Bytes records =
        join({order.record(1, 2, kPacket, 5), order.record(3, 4, kPacket, 1500), order.record(5, 6, {}, 0)});
    EXPECT_EQ(read(join({order.pcap_header(kMicro, 1), records})),
              (Lines{"1000002000 1 5/5", "3000004000 1 5/1500", "5000006000 1 0/0"}));
    EXPECT_EQ(read(join({order.pcap_header(kNano, 113), records})),
              (Lines{"1000000002 113 5/5", "3000000004 113 5/1500", "5000000006 113 0/0"}));
  }
}

TEST(CaptureFile, ReadsTheRecordsOfModifiedPcap) {
  const Bytes record = join({kLittle.u32(1), kLittle.u32(2), kLittle.u32(5), kLittle.u32(5), Bytes(8), kPacket});
  EXPECT_EQ(read(join({kLittle.pcap_header(kModified, 1), record, record})),
            (Lines{"1000002000 1 5/5", "1000002000 1 5/5"}));
}

TEST(CaptureFile, MasksTheFrameCheckSequenceOutOfTheLinkType) {
  EXPECT_EQ(read(join({kLittle.pcap_header(kMicro, 0x24000071), kLittle.record(0, 0, kPacket, 5)})),
            (Lines{"0 113 5/5"}));
}

TEST(CaptureFile, TakesTheLengthsOfOldPcapVersionsInTheirOrder) {
  const Bytes wire_first = join({kLittle.u32(0), kLittle.u32(0), kLittle.u32(9), kLittle.u32(5), kPacket});
  EXPECT_EQ(read(join({kLittle.pcap_header(kMicro, 1, 2), wire_first})), (Lines{"0 1 5/9"}));
  EXPECT_EQ(read(join({kLittle.pcap_header(kMicro, 1, 3), wire_first, kLittle.record(0, 0, kPacket, 9)})),
            (Lines{"0 1 5/9", "0 1 5/9"}));
}

TEST(CaptureFile, NeverShowsMoreThanWasOnTheWire) {
  EXPECT_EQ(read(join({kLittle.pcap_header(kMicro, 1), kLittle.record(0, 0, kPacket, 3), kLittle.record(1, 0, {}, 0)})),
            (Lines{"0 1 3/3", "1000000000 1 0/0"}));
  EXPECT_EQ(read(join({kLittle.pcap_header(kMicro, 1), kLittle.record(0, 0, kPacket, 0xFFFFFFFF)})),
            (Lines{"0 1 5/2147483647"}));
}

TEST(CaptureFile, OpenSaysWhyAFileIsNoCapture) {
  const struct {
    const char* name;
    Bytes file;
    const char* want;
  } cases[] = {
      {"empty", {}, "read capture x: the file is empty"},
      {"text", hex("68656c6c6f"), "read capture x: neither pcap nor pcapng"},
      {"three bytes", hex("d4c3b2"), "read capture x: neither pcap nor pcapng"},
      {"gzip", hex("1f8b08000000"), "read capture x: it is compressed with gzip: decompress it first"},
      {"zstd", hex("28b52ffd0000"), "read capture x: it is compressed with zstd: decompress it first"},
      {"half a header", hex("d4c3b2a1 0200"), "read capture x: the file ends inside the pcap file header"},
      {"version 1.4", kLittle.pcap_header(kMicro, 1, 4, 1), "read capture x: pcap version 1.4; only 2.x is known"},
      {"half a section", hex("0a0d0d0a 1c00"), "read capture x: the file ends inside a block header"},
      {"no byte order", hex("0a0d0d0a 1c000000 00000000 1c000000"),
       "read capture x: a section header without the byte-order magic"},
      {"pcapng 2.0", kBig.section(2), "read capture x: pcapng version 2.0; only 1.x is known"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(read(c.file), Lines{c.want});
  }
  const auto absent = CaptureFile::open("/nonexistent.pcap");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().message, "open /nonexistent.pcap: No such file or directory");
}

TEST(CaptureFile, DeliversWhatComesBeforeTheDamageOfAPcap) {
  const Bytes good =
      join({kLittle.pcap_header(kMicro, 1), kLittle.record(1, 0, kPacket, 5), kLittle.record(2, 0, kPacket, 5)});
  const Bytes huge = join({kLittle.u32(3), kLittle.u32(0), kLittle.u32(300'000), kLittle.u32(300'000)});
  const struct {
    const char* name;
    Bytes file;
    const char* want;
  } cases[] = {
      {"header", join({good, Bytes(7)}), "read capture x: packet 3 at byte 66: the file ends inside the record header"},
      {"packet", join({good, kLittle.u32(3), kLittle.u32(0), kLittle.u32(60), kLittle.u32(60), kPacket}),
       "read capture x: packet 3 at byte 66: the file ends inside the packet: 5 of 60 bytes are there"},
      {"absurd length", join({good, huge, Bytes(100)}),
       "read capture x: packet 3 at byte 66: a packet of 300000 bytes is larger than the limit of 262144"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    for (const std::size_t batch : {1, 2, 3, 100}) {
      EXPECT_EQ(read(c.file, batch), (Lines{"1000000000 1 5/5", "2000000000 1 5/5", c.want}));
    }
  }
}

TEST(CaptureFile, ReadsSectionsInterfacesAndPacketBlocksOfPcapng) {
  const auto file_section = [](const Order& order) {
    const Bytes old = order.block(
        2, join({order.u16(1), order.u16(0), order.u32(0), order.u32(8), order.u32(5), order.u32(6), kPacket}));
    const Bytes simple = order.block(3, join({order.u32(9), kPacket}));
    return join({order.section(), order.interface(1, {}, 4), order.interface(113), order.block(0xBAD, Bytes(8)),
                 order.enhanced(0, 7, kPacket, 5), old, simple});
  };
  const Lines one{"7000 1 5/5", "8000 113 5/6", "8000 1 4/9"};
  EXPECT_EQ(read(file_section(kLittle)), one);
  EXPECT_EQ(read(file_section(kBig)), one);
  Lines two = one;
  two.insert(two.end(), one.begin(), one.end());
  EXPECT_EQ(read(join({file_section(kLittle), file_section(kBig)})), two);
}

TEST(CaptureFile, TakesABlockLengthWithoutThePadding) {
  const Bytes custom = join({kLittle.u32(0xBAD), kLittle.u32(14), hex("6162 0000"), kLittle.u32(14)});
  EXPECT_EQ(read(join({kLittle.section(), kLittle.interface(1), custom, kLittle.enhanced(0, 1, kPacket, 5)})),
            Lines{"1000 1 5/5"});
}

TEST(CaptureFile, ConvertsTheTimestampsOfEachInterface) {
  const Bytes offset = join({kLittle.u16(14), kLittle.u16(8), kLittle.u32(100), kLittle.u32(0)});
  const struct {
    const char* name;
    Bytes options;
    std::uint64_t time;
    std::int64_t want;
  } cases[] = {
      {"default", {}, 1'500'000, 1'500'000'000},
      {"nanoseconds", kLittle.resolution(9), 1'500'000'000, 1'500'000'000},
      {"seconds", kLittle.resolution(0), 2, 2'000'000'000},
      {"picoseconds", kLittle.resolution(12), 1'500'000'000'000, 1'500'000'000},
      {"absurd decimal", kLittle.resolution(127), ~std::uint64_t{0}, 0},
      {"2^-10 s", kLittle.resolution(0x80 | 10), 1536, 1'500'000'000},
      {"2^-63 s", kLittle.resolution(0x80 | 63), std::uint64_t{3} << 62, 1'500'000'000},
      {"2^-127 s", kLittle.resolution(0xFF), ~std::uint64_t{0}, 0},
      {"offset", join({offset, kLittle.resolution(6)}), 1, 100'000'001'000},
      {"too late for 64 bits", kLittle.resolution(0), ~std::uint64_t{0}, std::numeric_limits<std::int64_t>::max()},
      {"options after the end", join({Bytes(4), kLittle.resolution(0)}), 1, 1'000},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(read(join({kLittle.section(), kLittle.interface(1, c.options), kLittle.enhanced(0, c.time, kPacket, 5)})),
              Lines{std::to_string(c.want) + " 1 5/5"});
  }
}

TEST(CaptureFile, DeliversWhatComesBeforeTheDamageOfAPcapng) {
  const Bytes good = join({kLittle.section(), kLittle.interface(1), kLittle.enhanced(0, 0, kPacket, 5)});
  const std::string at = "read capture x: packet 2 at byte " + std::to_string(good.size()) + ": ";
  const Bytes lies = kLittle.block(6, join({kLittle.u32(0), Bytes(8), kLittle.u32(99), kLittle.u32(99), kPacket}));
  Bytes unequal = kLittle.enhanced(0, 0, kPacket, 5);
  unequal.back() ^= 1;
  const struct {
    const char* name;
    Bytes damage;
    const char* want;
  } cases[] = {
      {"header", Bytes(5), "the file ends inside a block header"},
      {"block", join({kLittle.u32(6), kLittle.u32(400), Bytes(20)}),
       "the file ends inside a block: 28 of 400 bytes are there"},
      {"length", join({kLittle.u32(6), kLittle.u32(4), Bytes(20)}), "a block length of 4 bytes"},
      {"unequal lengths", unequal, "the two lengths of a block differ"},
      {"short", kLittle.block(6, Bytes(4)), "an enhanced packet block that is too short"},
      {"interface", kLittle.enhanced(1, 0, kPacket, 5), "a packet of interface 1, which is not described"},
      {"captured length", lies, "a packet of 99 bytes in a block that has 8"},
      {"simple without interface", join({kLittle.section(), kLittle.block(3, Bytes(8))}), nullptr},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const Lines lines = read(join({good, c.damage}));
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0], "0 1 5/5");
    if (c.want != nullptr) {
      EXPECT_EQ(lines[1], at + c.want);
    }
  }
}

TEST(CaptureFile, OpensAFileByItsPath) {
  const std::string path = testing::TempDir() + "weir_capture_file_test.pcap";
  const Bytes file = join({kLittle.pcap_header(kMicro, 1), kLittle.record(1, 2, kPacket, 5)});
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<long>(file.size()));
  auto opened = CaptureFile::open(path);
  ASSERT_TRUE(opened.ok());
  packet::PacketView view;
  ASSERT_EQ(opened.value()->next_batch({&view, 1}), 1u);
  EXPECT_EQ(Bytes(view.data, view.data + view.captured_bytes), kPacket);
  EXPECT_EQ(opened.value()->next_batch({&view, 1}), 0u);
  EXPECT_TRUE(opened.value()->status().ok());
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace weir::capture
