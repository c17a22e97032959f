#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "flowlog/flow_log.h"
#include "flowlog/flow_log_reader.h"

/// Any bytes: the reader refuses them, or what it read is written and read back to the same line.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::flowlog::FlowLogReader reader;
  const auto first = reader.read({reinterpret_cast<const char*>(data), size});
  if (!first.ok()) return 0;
  weir::flowlog::FlowLogWriter writer;
  std::string line;
  writer.append(*first.value(), line);
  const auto second = reader.read(line);
  CHECK(second.ok());
  std::string again;
  writer.forget();
  writer.append(*second.value(), again);
  CHECK(again == line);
  return 0;
}
