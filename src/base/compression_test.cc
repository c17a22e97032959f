#include "base/compression.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

namespace weir {
namespace {

std::string gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string text_of(std::size_t size) {
  std::mt19937 random(static_cast<unsigned>(size));
  std::string text;
  while (text.size() < size) text += std::to_string(random() % 1000) + ",";
  text.resize(size);
  return text;
}

struct Format {
  const char* name;
  std::string (*compress)(std::string_view);
  Result<std::string> (*decompress)(std::string_view, std::size_t);
};
const Format kFormats[] = {
    {"zstd", [](std::string_view text) { return zstd_compress(text); }, zstd_decompress},
    {"gzip", gzip, gzip_decompress},
};

TEST(Compression, GivesTheTextBackUpToTheBoundAndNotAByteMore) {
  for (const Format& format : kFormats) {
    for (const std::size_t size : {0u, 1u, 100u, 65'535u, 65'536u, 65'537u, 1'000'000u}) {
      SCOPED_TRACE(std::string(format.name) + " " + std::to_string(size));
      const std::string text = text_of(size);
      const std::string compressed = format.compress(text);
      const auto back = format.decompress(compressed, size);
      ASSERT_TRUE(back.ok()) << back.error().message;
      EXPECT_EQ(back.value(), text);
      if (size == 0) continue;
      const auto bounded = format.decompress(compressed, size - 1);
      ASSERT_FALSE(bounded.ok());
      EXPECT_EQ(bounded.error().code, ErrorCode::kResourceExhausted);
    }
  }
}

TEST(Compression, SeveralFramesAreOneText) {
  for (const Format& format : kFormats) {
    SCOPED_TRACE(format.name);
    const auto back = format.decompress(format.compress("one,") + format.compress("two"), 100);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back.value(), "one,two");
  }
}

TEST(Compression, CutAndDamagedTextsAreFound) {
  for (const Format& format : kFormats) {
    SCOPED_TRACE(format.name);
    const std::string compressed = format.compress(text_of(5'000));
    for (std::size_t cut = 0; cut < compressed.size(); ++cut) {
      const auto back = format.decompress(compressed.substr(0, cut), 10'000);
      ASSERT_FALSE(back.ok()) << "cut at " << cut;
      EXPECT_EQ(back.error().code, ErrorCode::kDataLoss);
    }
    EXPECT_FALSE(format.decompress("no such format", 10'000).ok());
    EXPECT_FALSE(format.decompress(compressed + "rest", 10'000).ok());
  }
}

}  // namespace
}  // namespace weir
