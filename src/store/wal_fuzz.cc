#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "store/internal/wal.h"

/// Any bytes: each is part of a whole frame or counted as bad, and no frame is more than its bytes can hold.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace store = weir::store;
  std::uint64_t frames = 0;
  const auto scan = store::scan_wal({reinterpret_cast<const char*>(data), size}, [&](const store::WalFrame& frame) {
    ++frames;
    CHECK(frame.text.size() <= store::kMaxWalText + 65536 + 64);
    return weir::Status();
  });
  CHECK(scan.ok());
  CHECK(scan.value().frames == frames);
  CHECK(scan.value().good_end <= size);
  CHECK(scan.value().bad_bytes <= size);
  return 0;
}
