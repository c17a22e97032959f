#include "capture/internal/byte_window.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "capture/capture_file.h"

namespace weir::capture {
namespace {

using Bytes = std::vector<std::uint8_t>;

void append32(Bytes& out, std::uint32_t value) {
  std::uint8_t raw[4];
  std::memcpy(raw, &value, 4);
  out.insert(out.end(), raw, raw + 4);
}

/// A pcap of `packets` packets of random sizes, now and then one of the largest size that is a packet.
Bytes make_pcap(int packets) {
  std::mt19937 random(7);
  Bytes file;
  for (const std::uint32_t word : {0xA1B2C3D4u, 0x00040002u, 0u, 0u, 0u, 1u}) append32(file, word);
  for (int i = 0; i < packets; ++i) {
    const std::uint32_t size = i % 400 == 399 ? 262'144 : static_cast<std::uint32_t>(random() % 3000);
    for (const std::uint32_t word : {static_cast<std::uint32_t>(i), 0u, size, size}) append32(file, word);
    file.resize(file.size() + size, static_cast<std::uint8_t>(i));
  }
  return file;
}

/// Time, size and edge bytes of each packet, then the message of status() behind the file's name.
std::vector<std::string> read_all(CaptureFile& file) {
  std::vector<std::string> lines;
  packet::PacketView batch[7];
  while (const std::size_t count = file.next_batch(batch)) {
    for (const packet::PacketView& view : std::span(batch).first(count)) {
      std::string line = std::to_string(view.time_ns) + " " + std::to_string(view.captured_bytes);
      if (view.captured_bytes > 0) {
        line += " " + std::to_string(view.data[0]) + " " + std::to_string(view.data[view.captured_bytes - 1]);
      }
      lines.push_back(line);
    }
  }
  if (!file.status().ok())
    lines.push_back(file.status().error().message.substr(file.status().error().message.find("packet ")));
  return lines;
}

class ByteWindowTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/weir-window-XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(ByteWindowTest, AFileReadsAsTheSameBytesInMemoryDo) {
  const Bytes whole = make_pcap(1500);
  for (const std::size_t cut :
       {std::size_t{0}, std::size_t{1}, std::size_t{20}, std::size_t{3000}, std::size_t{300'000}}) {
    SCOPED_TRACE(cut);
    const Bytes bytes(whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(cut));
    const std::string path = folder_ + "/x.pcap";
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    auto in_memory = CaptureFile::open(std::span<const std::uint8_t>(bytes), "x").value();
    auto from_file = CaptureFile::open(path).value();
    EXPECT_EQ(read_all(*from_file), read_all(*in_memory));
    EXPECT_EQ(from_file->stats().wire_bytes, in_memory->stats().wire_bytes);
  }
}

TEST(ByteWindow, APipeMayGiveItsBytesInAnyPieces) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::jthread writer([&] {
    for (int i = 0; i < 1000; ++i) {
      const auto byte = static_cast<std::uint8_t>(i);
      ASSERT_EQ(::write(ends[1], &byte, 1), 1);
    }
    ::close(ends[1]);
  });
  ByteWindow window = ByteWindow::of_file(ends[0]).value();
  std::size_t seen = 0;
  while (true) {
    for (const std::uint8_t byte : window.bytes()) ASSERT_EQ(byte, static_cast<std::uint8_t>(seen++));
    EXPECT_EQ(window.offset() + window.bytes().size(), seen);
    if (window.complete()) break;
    ASSERT_TRUE(window.refill(window.bytes().size(), 10).ok());
  }
  EXPECT_EQ(seen, 1000u);
  ::close(ends[0]);
}

}  // namespace
}  // namespace weir::capture
