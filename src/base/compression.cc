#include "base/compression.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace weir {
namespace {

/// Of zstd frames: larger windows take memory that the size of the text does not bound.
constexpr int kMaxWindowLog = 27;
constexpr std::size_t kFirstRoom = 64 * 1024;

Error too_large(std::size_t max_bytes) {
  return {ErrorCode::kResourceExhausted, "more than " + std::to_string(max_bytes) + " bytes when decompressed"};
}

/// Makes room behind the first `used` bytes. False: there may be no more.
bool grow(std::string& text, std::size_t used, std::size_t max_bytes) {
  if (used < text.size()) return true;
  if (text.size() >= max_bytes) return false;
  text.resize(std::min(max_bytes, std::max(kFirstRoom, text.size() * 2)));
  return true;
}

}  // namespace

std::string zstd_compress(std::string_view text, int level) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const std::size_t size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), level);
  CHECK(ZSTD_isError(size) == 0);  // the room is enough: only memory can be missing
  out.resize(size);
  return out;
}

Result<std::string> zstd_decompress(std::string_view compressed, std::size_t max_bytes) {
  const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (context == nullptr) return Error{ErrorCode::kResourceExhausted, "zstd: out of memory"};
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  std::string text;
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  std::size_t used = 0, left = 1;
  // A frame that is whole leaves 0; output that is still inside the context shows as a full buffer.
  while (in.pos < in.size || (left != 0 && used == text.size() && used > 0)) {
    // One byte beyond the bound tells "exactly at it" from "more".
    if (!grow(text, used, max_bytes + 1)) return too_large(max_bytes);
    ZSTD_outBuffer out{text.data(), text.size(), used};
    left = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(left) != 0) return data_loss(std::string("zstd: ") + ZSTD_getErrorName(left));
    used = out.pos;
    if (used > max_bytes) return too_large(max_bytes);
  }
  if (left != 0) return data_loss("zstd: the text ends in the middle of a frame");
  text.resize(used);
  return text;
}

Result<std::string> gzip_decompress(std::string_view compressed, std::size_t max_bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return Error{ErrorCode::kResourceExhausted, "gzip: out of memory"};
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  std::string text;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  std::size_t used = 0;
  int result = Z_OK;
  while (result != Z_STREAM_END || stream.avail_in > 0) {
    // More members may follow, RFC 1952 2.2.
    if (result == Z_STREAM_END && inflateReset(&stream) != Z_OK) return data_loss("gzip: cannot go on");
    if (!grow(text, used, max_bytes + 1)) return too_large(max_bytes);
    stream.next_out = reinterpret_cast<Bytef*>(text.data() + used);
    stream.avail_out = static_cast<uInt>(text.size() - used);
    result = inflate(&stream, Z_NO_FLUSH);
    used = text.size() - stream.avail_out;
    if (used > max_bytes) return too_large(max_bytes);
    if (result == Z_STREAM_END) continue;
    if (result == Z_BUF_ERROR && stream.avail_in > 0 && stream.avail_out == 0) continue;
    if (result == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0)) continue;
    return data_loss(stream.avail_in == 0 ? "gzip: the text ends in the middle"
                                          : std::string("gzip: ") + (stream.msg == nullptr ? "damaged" : stream.msg));
  }
  text.resize(used);
  return text;
}

}  // namespace weir
