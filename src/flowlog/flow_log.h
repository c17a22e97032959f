#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "flowlog/fragment_cache.h"
#include "flowlog/text_buffer.h"
#include "model/flow_record.h"

namespace weir::flowlog {

struct FlowLogOptions {
  /// Remember the rendered text of endpoints, label sets and traces by their addresses.
  bool fragments = true;
  /// Remembered text, for each of the four kinds of fragment. At most 1 GiB.
  std::size_t max_fragment_bytes = 16 * 1024 * 1024;
};

/// Writes flow records as the lines of flows.log: one JSON object with every field of model/fields.h in its order.
///
/// Absent is null for labels, policies, addresses, ports and empty lists, "-" for text and 0 for numbers.
/// Lifetime: fragments are remembered by the addresses of a record's identities, label sets and traces. Call forget()
/// before such an address may mean something else, for instance at the start of each window.
/// Threads: one, not synchronised.
class FlowLogWriter {
 public:
  explicit FlowLogWriter(FlowLogOptions options = {});

  /// Appends one line with its newline.
  void append(const model::FlowRecord& record, std::string& out);
  /// Drops all remembered fragments.
  void forget();

 private:
  template <std::size_t kIndex>
  void put_field(const model::FlowRecord& record);
  template <std::size_t kIndex>
  void put_key_and_value(const model::FlowRecord& record);
  template <std::size_t kFirst>
  void put_group(const model::FlowRecord& record);
  template <std::size_t kIndex, typename Value>
  void put_value(const Value& value);
  void put_labels(const model::LabelSet* labels);
  void put_policies(const model::PolicyTraces& policies);

  FlowLogOptions options_;
  TextBuffer text_;
  FragmentCache source_, dest_, labels_, policies_;
  struct QuotedName {
    std::array<char, 15> text;
    std::uint8_t size;
  };
  std::array<QuotedName, 256> protocols_;
};

}  // namespace weir::flowlog
