// Any bytes as a DNS message: every name and datum of the result stays within its bounds.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "packet/dns.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::packet::DnsMessage message;
  const auto parsed = weir::packet::parse_dns({data, size}, message);
  const std::size_t max_name = 4 * 255;
  for (const auto& question : message.questions) {
    if (question.name.size() > max_name) std::abort();
  }
  for (const auto& answer : message.answers) {
    if (answer.name.size() > max_name || answer.data.size() > 4 * size + 3 * max_name + 80) std::abort();
  }
  if (size < 12 && parsed != weir::packet::DnsParse::kNotDns) std::abort();
  return 0;
}
