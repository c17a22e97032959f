#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "flowlog/agent_log.h"
#include "flowlog/dns_log.h"
#include "flowlog/l7_log.h"
#include "flowlog/log_readers.h"

namespace {

/// A line that is read is written so that it is read again as the same line.
template <typename Record, typename Append>
void read_and_write(std::string_view text, Append&& append) {
  static weir::flowlog::LogReader<Record> reader;
  const auto record = reader.read(text);
  if (!record.ok()) return;
  std::string line, again;
  append(line, *record.value());
  static weir::flowlog::LogReader<Record> second;
  const auto reread = second.read(line);
  CHECK(reread.ok());
  append(again, *reread.value());
  CHECK(again == line);
}

}  // namespace

/// The first byte says which log.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace flowlog = weir::flowlog;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      read_and_write<weir::model::DnsRecord>(text, flowlog::append_dns_line);
      break;
    case 1:
      read_and_write<weir::model::L7Record>(text, flowlog::append_l7_line);
      break;
    case 2:
      read_and_write<weir::model::AgentWindow>(text, flowlog::append_agent_line);
      break;
    default:
      static flowlog::LogReader<weir::model::AuditRecord> audit;
      (void)audit.read(text).ok();
  }
  return 0;
}
