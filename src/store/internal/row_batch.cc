#include "store/internal/row_batch.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>

#include "flowlog/field_json.h"
#include "model/protocol.h"
#include "store/internal/list_text.h"

namespace weir::store {

class RowBatch::Writer {
 public:
  Writer(std::vector<Cells>& columns, std::string_view host) : columns_(columns), host_(host) {}

  template <model::FieldKind kKind, typename Value>
  void put(std::string_view name, const Value& value) {
    if constexpr (kKind == model::FieldKind::kProtocol) {
      text(model::protocol_name(value));
    } else if constexpr (std::is_same_v<Value, double>) {
      Cells& cells = next();
      cells.reals.push_back(value);
      cells.nulls.push_back(0);
    } else if constexpr (std::is_integral_v<Value>) {
      number(clamp(value));
    } else if constexpr (std::is_convertible_v<Value, std::string_view>) {
      text(name == "host" && value == "-" && !host_.empty() ? host_ : std::string_view(value));
    } else if constexpr (std::is_same_v<Value, std::optional<IpAddress>>) {
      if (!value) return null();
      address(*value);
    } else if constexpr (std::is_same_v<Value, std::optional<std::uint16_t>>) {
      if (!value) return null();
      number(*value);
    } else if constexpr (std::is_same_v<Value, const model::LabelSet*>) {
      list(value == nullptr ? nullptr : &value->pairs);
    } else if constexpr (std::is_same_v<Value, model::PolicyTraces>) {
      list(value.enforced == nullptr ? nullptr : &value.enforced->entries);
      list(value.pending == nullptr ? nullptr : &value.pending->entries);
    } else {
      objects_or_list(value);
    }
  }
  void text(std::string_view value) {
    Cells& cells = next();
    cells.bytes.append(value);
    cells.ends.push_back(cells.bytes.size());
    cells.nulls.push_back(0);
  }
  void null() {
    Cells& cells = next();
    cells.nulls.push_back(1);
    if (cells.type == ColumnType::kText) {
      cells.ends.push_back(cells.bytes.size());
    } else {
      cells.numbers.push_back(0);
    }
  }

 private:
  Cells& next() { return columns_[at_++]; }
  template <typename Number>
  static std::int64_t clamp(Number value) {
    if constexpr (std::is_signed_v<Number>) return value;
    return static_cast<std::int64_t>(std::min<std::uint64_t>(value, kMaxStoredNumber));
  }
  void number(std::int64_t value) {
    Cells& cells = next();
    cells.numbers.push_back(value);
    cells.nulls.push_back(0);
  }
  void address(const IpAddress& ip) {
    char buffer[kMaxIpText];
    text({buffer, static_cast<std::size_t>(ip.format(buffer) - buffer)});
  }
  void list(const std::vector<std::string>* elements) {
    if (elements == nullptr) return null();
    scratch_ = "\n";
    for (const std::string& element : *elements) append_list_element(scratch_, element);
    text(scratch_);
  }
  void element(std::string_view value) { append_list_element(scratch_, value); }
  void element(std::uint16_t value) { append_list_element(scratch_, std::to_string(value)); }
  void element(const IpAddress& value) { append_list_element(scratch_, value.to_string()); }
  void element(const model::DnsRrset& value) {
    for (const std::string& data : value.rdata) append_list_element(scratch_, data);
  }
  void element(const model::DnsServer& value) { element(value.ip); }

  template <typename List>
  void objects_or_list(const List& values) {
    constexpr bool kObjects = requires(std::string & out) { flowlog::append_field(out, values); };
    if constexpr (kObjects) {
      scratch_.clear();
      flowlog::append_field(scratch_, values);
      text(scratch_);
    }
    constexpr bool kElements = requires { this->element(*values.begin()); };
    if constexpr (kElements) {
      if (values.empty()) return null();
      scratch_.clear();
      for (const auto& value : values) element(value);
      text(scratch_.empty() ? std::string_view("\n") : std::string_view(scratch_));
    }
  }

  std::vector<Cells>& columns_;
  std::string_view host_;
  std::size_t at_ = 0;
  std::string scratch_;
};

RowBatch::RowBatch(LogType log) : log_(log) {
  // The last column, row_id, is made when the rows are appended.
  const std::vector<StoreColumn>& columns = columns_of(log);
  for (std::size_t at = 0; at + 1 < columns.size(); ++at) columns_.push_back({columns[at].type, {}, {}, {}, {}, {}});
}

namespace {
template <typename Record>
constexpr LogType log_of() {
  if constexpr (std::is_same_v<Record, model::FlowRecord>) return LogType::kFlows;
  if constexpr (std::is_same_v<Record, model::DnsRecord>) return LogType::kDns;
  if constexpr (std::is_same_v<Record, model::L7Record>) return LogType::kL7;
  if constexpr (std::is_same_v<Record, model::AgentWindow>) return LogType::kAgent;
  if constexpr (std::is_same_v<Record, model::AuditRecord>) return LogType::kAudit;
}
}  // namespace

template <typename Record>
void RowBatch::append(const Record& record, std::string_view unknown, std::string_view host) {
  constexpr LogType kLog = log_of<Record>();
  Writer writer(columns_, host);
  const auto put = [&]<std::size_t kRow>(std::integral_constant<std::size_t, kRow>) {
    constexpr const auto& kField = std::get<kRow>(model::kStoredFields<kLog>);
    using FieldType = std::remove_cvref_t<decltype(kField)>;
    constexpr model::FieldKind kKind = model::kind_of_field<FieldType, Record>(kField);
    if constexpr (kLog == LogType::kFlows && kField.name == "dest_service_port") return;
    writer.put<kKind>(kField.name, FieldType::get(record));
  };
  constexpr std::size_t kFields = std::tuple_size_v<std::remove_cvref_t<decltype(model::kStoredFields<kLog>)>>;
  [&]<std::size_t... kRow>(std::index_sequence<kRow...>) { (put(std::integral_constant<std::size_t, kRow>{}), ...); }
  (std::make_index_sequence<kFields>{});
  if (unknown.empty()) {
    writer.null();
  } else {
    writer.text(unknown);
  }
  ++rows_;
  min_start_ = std::min(min_start_, record.start_time);
  max_start_ = std::max(max_start_, record.start_time);
}

template void RowBatch::append(const model::FlowRecord&, std::string_view, std::string_view);
template void RowBatch::append(const model::DnsRecord&, std::string_view, std::string_view);
template void RowBatch::append(const model::L7Record&, std::string_view, std::string_view);
template void RowBatch::append(const model::AgentWindow&, std::string_view, std::string_view);
template void RowBatch::append(const model::AuditRecord&, std::string_view, std::string_view);

void RowBatch::fill(duckdb_data_chunk chunk, std::size_t first, std::size_t count, std::uint64_t first_id) const {
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    const Cells& cells = columns_[column];
    duckdb_vector vector = duck.data_chunk_get_vector(chunk, column);
    void* data = duck.vector_get_data(vector);
    const auto nulls = std::span(cells.nulls).subspan(first, count);
    if (std::find(nulls.begin(), nulls.end(), 1) != nulls.end()) {
      duck.vector_ensure_validity_writable(vector);
      std::uint64_t* validity = duck.vector_get_validity(vector);
      for (std::size_t i = 0; i < count; ++i) {
        if (nulls[i] != 0) duck.validity_set_row_invalid(validity, i);
      }
    }
    switch (cells.type) {
      case ColumnType::kBigint:
        std::copy_n(cells.numbers.begin() + static_cast<std::ptrdiff_t>(first), count,
                    static_cast<std::int64_t*>(data));
        break;
      case ColumnType::kInteger:
        std::transform(cells.numbers.begin() + static_cast<std::ptrdiff_t>(first),
                       cells.numbers.begin() + static_cast<std::ptrdiff_t>(first + count),
                       static_cast<std::int32_t*>(data),
                       [](std::int64_t number) { return static_cast<std::int32_t>(number); });
        break;
      case ColumnType::kDouble:
        std::copy_n(cells.reals.begin() + static_cast<std::ptrdiff_t>(first), count, static_cast<double*>(data));
        break;
      case ColumnType::kText:
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t begin = first + i == 0 ? 0 : cells.ends[first + i - 1];
          if (nulls[i] == 0) {
            duck.vector_assign_string_element_len(vector, i, cells.bytes.data() + begin, cells.ends[first + i] - begin);
          }
        }
        break;
    }
  }
  auto* ids = static_cast<std::int64_t*>(duck.vector_get_data(duck.data_chunk_get_vector(chunk, columns_.size())));
  for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<std::int64_t>(first_id + first + i);
}

Status RowBatch::append_to(DuckConnection& connection, const std::string& table, std::uint64_t first_id) const {
  if (rows_ == 0) return {};
  std::vector<duckdb_logical_type> types;
  for (const StoreColumn& column : columns_of(log_)) {
    constexpr duckdb_type kTypes[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_INTEGER, DUCKDB_TYPE_DOUBLE, DUCKDB_TYPE_VARCHAR};
    types.push_back(duck.create_logical_type(kTypes[static_cast<std::size_t>(column.type)]));
  }
  duckdb_appender appender = nullptr;
  bool fine = duck.appender_create(connection.handle(), nullptr, table.c_str(), &appender) == DuckDBSuccess;
  for (std::size_t first = 0; fine && first < rows_; first += duck.vector_size()) {
    const std::size_t count = std::min<std::size_t>(duck.vector_size(), rows_ - first);
    duckdb_data_chunk chunk = duck.create_data_chunk(types.data(), types.size());
    fill(chunk, first, count, first_id);
    duck.data_chunk_set_size(chunk, count);
    fine = duck.append_data_chunk(appender, chunk) == DuckDBSuccess;
    duck.destroy_data_chunk(&chunk);
  }
  fine = fine && duck.appender_close(appender) == DuckDBSuccess;
  Status status;
  if (!fine) {
    const char* reason = appender != nullptr ? duck.appender_error(appender) : nullptr;
    status = Error{ErrorCode::kResourceExhausted,
                   std::string("engine: append: ") + (reason != nullptr ? reason : "no reason given")};
  }
  if (appender != nullptr) duck.appender_destroy(&appender);
  for (duckdb_logical_type& type : types) duck.destroy_logical_type(&type);
  return status;
}

}  // namespace weir::store
