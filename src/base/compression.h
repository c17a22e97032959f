#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

/// Whole texts in memory, compressed for the wire.
namespace weir {

/// One zstd frame (RFC 8878). Level 3: some 300 MB/s.
std::string zstd_compress(std::string_view text, int level = 3);

/// All frames or members of `compressed`. Errors: kDataLoss, it is damaged or cut; kResourceExhausted, it would be more
/// than `max_bytes`, which bounds the memory too.
Result<std::string> zstd_decompress(std::string_view compressed, std::size_t max_bytes);
/// RFC 1952.
Result<std::string> gzip_decompress(std::string_view compressed, std::size_t max_bytes);

}  // namespace weir
