#include "flowlog/l7_log.h"

#include "flowlog/record_json.h"

namespace weir::flowlog {

void append_l7_line(std::string& out, const model::L7Record& record) {
  append_record(out, record, model::kL7Fields, ValueWriter{out});
  out += '\n';
}

}  // namespace weir::flowlog
