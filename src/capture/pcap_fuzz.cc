// Any bytes as a capture file, decoded to the end: no read outside the file, whatever it claims.

#include <cstddef>
#include <cstdint>
#include <string>

#include "capture/capture_file.h"
#include "packet/decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir;  // NOLINT(google-build-using-namespace): one function
  auto opened = capture::CaptureFile::open({data, size}, "fuzz");
  if (!opened.ok()) return 0;
  capture::CaptureFile& file = *opened.value();
  packet::Decoder decoder;
  packet::PacketView batch[5];
  std::uint64_t packets = 0;
  while (const std::size_t count = file.next_batch(batch)) {
    packets += count;
    for (const packet::PacketView& view : std::span(batch).first(count)) {
      CHECK(view.data >= data && view.data + view.captured_bytes <= data + size);
      CHECK(view.captured_bytes <= view.wire_bytes);
      packet::DecodedPacket decoded;
      if (decoder.decode(view, decoded) != packet::DecodeStatus::kOk) continue;
      CHECK(decoded.payload_captured == 0 ||
            (decoded.payload >= view.data &&
             decoded.payload + decoded.payload_captured <= view.data + view.captured_bytes));
    }
  }
  CHECK(packets == file.stats().packets);
  return 0;
}
