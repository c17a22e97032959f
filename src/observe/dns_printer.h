#pragma once

#include <string>
#include <string_view>

#include "base/text_table.h"
#include "model/dns_record.h"
#include "observe/flow_printer.h"
#include "observe/json_columns.h"

namespace weir::observe {

/// Prints records of dns.log. kJsonpb is not for it.
class DnsPrinter {
 public:
  explicit DnsPrinter(PrintOptions options);

  void begin(std::string& out);
  /// As FlowPrinter::print().
  void print(const model::DnsRecord& record, std::string_view line, std::string_view node, std::string& out);
  void end(std::string& out);

 private:
  std::vector<std::pair<std::string, std::string>> cells_of(const model::DnsRecord& record,
                                                            std::string_view node) const;
  void print_compact(const model::DnsRecord& record, std::string_view node, std::string& out) const;

  PrintOptions options_;
  JsonColumns columns_;
  TextTable table_;
  bool first_ = true;
};

}  // namespace weir::observe
