#include <re2/re2.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "filter/expression.h"
#include "store/internal/duck.h"
#include "store/internal/list_text.h"

// What SQL lacks of the filter language: wildcards by byte, CIDR blocks, tests of the elements of a list. Each function
// is f(value, what) or f(list, key, what), false for NULL, so that it means exactly what filter::Filter does.

namespace weir::store {
namespace {

enum class Match : std::uint8_t { kLike, kRegex, kPrefix };

/// What is compared with: the constant argument, compiled. Kept by thread, as chunks come with the same one.
struct Matcher {
  Match kind = Match::kLike;
  std::string source;
  filter::TextPattern like;
  std::unique_ptr<re2::RE2> regex;
  IpPrefix prefix;

  bool passes(std::string_view value) const {
    switch (kind) {
      case Match::kLike:
        return like.matches(value);
      case Match::kRegex:
        return re2::RE2::PartialMatch(re2::StringPiece(value.data(), value.size()), *regex);
      case Match::kPrefix: {
        const Result<IpAddress> address = IpAddress::parse(value);
        return address.ok() && prefix.contains(address.value());
      }
    }
    return false;
  }
};

const Matcher* matcher_of(Match kind, std::string_view source) {
  thread_local std::array<std::unique_ptr<Matcher>, 8> cache;
  thread_local std::size_t next = 0;
  for (const auto& known : cache) {
    if (known != nullptr && known->kind == kind && known->source == source) return known.get();
  }
  auto made = std::make_unique<Matcher>();
  made->kind = kind;
  made->source = source;
  if (kind == Match::kLike) made->like = {std::string(source), true};
  if (kind == Match::kRegex) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    made->regex = std::make_unique<re2::RE2>(made->source, options);
    if (!made->regex->ok()) return nullptr;
  }
  if (kind == Match::kPrefix) {
    const Result<IpPrefix> prefix = IpPrefix::parse(source);
    if (!prefix.ok()) return nullptr;
    made->prefix = prefix.value();
  }
  auto& slot = cache[next++ % cache.size()];
  slot = std::move(made);
  return slot.get();
}

struct Texts {
  duckdb_string_t* data;
  std::uint64_t* validity;
  Texts(duckdb_data_chunk chunk, idx_t column)
      : data(static_cast<duckdb_string_t*>(duck.vector_get_data(duck.data_chunk_get_vector(chunk, column)))),
        validity(duck.vector_get_validity(duck.data_chunk_get_vector(chunk, column))) {}
  bool is_null(idx_t row) const { return validity != nullptr && !duck.validity_row_is_valid(validity, row); }
  std::string_view operator[](idx_t row) const {
    return {duck.string_t_data(&data[row]), duck.string_t_length(data[row])};
  }
};

enum class Shape : std::uint8_t { kValue, kList, kLabel };

bool passes(Shape shape, const Matcher& matcher, std::string_view value, std::string_view key, std::string& scratch) {
  if (shape == Shape::kValue) return matcher.passes(value);
  return any_list_element(value, scratch, [&](std::string_view element) {
    if (shape == Shape::kList) return matcher.passes(element);
    return element.size() > key.size() && element.starts_with(key) && element[key.size()] == '=' &&
           matcher.passes(element.substr(key.size() + 1));
  });
}

template <Shape kShape, Match kMatch>
void run(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
  constexpr bool kHasKey = kShape == Shape::kLabel;
  const idx_t rows = duck.data_chunk_get_size(input);
  const Texts values(input, 0), keys(input, kHasKey ? 1 : 0), sources(input, kHasKey ? 2 : 1);
  auto* out = static_cast<bool*>(duck.vector_get_data(output));
  std::string scratch;
  const Matcher* matcher = nullptr;
  for (idx_t row = 0; row < rows; ++row) {
    if (values.is_null(row) || sources.is_null(row)) {
      out[row] = false;
      continue;
    }
    const std::string_view source = sources[row];
    if (matcher == nullptr || matcher->source != source) matcher = matcher_of(kMatch, source);
    if (matcher == nullptr) return duck.scalar_function_set_error(info, "weir: bad pattern");
    out[row] = passes(kShape, *matcher, values[row], keys[row], scratch);
  }
}

Status add(DuckConnection& connection, const char* name, int arguments, duckdb_scalar_function_t function) {
  duckdb_scalar_function made = duck.create_scalar_function();
  duckdb_logical_type text = duck.create_logical_type(DUCKDB_TYPE_VARCHAR);
  duckdb_logical_type truth = duck.create_logical_type(DUCKDB_TYPE_BOOLEAN);
  duck.scalar_function_set_name(made, name);
  for (int at = 0; at < arguments; ++at) duck.scalar_function_add_parameter(made, text);
  duck.scalar_function_set_return_type(made, truth);
  duck.scalar_function_set_special_handling(made);
  duck.scalar_function_set_function(made, function);
  const bool done = duck.register_scalar_function(connection.handle(), made) == DuckDBSuccess;
  duck.destroy_logical_type(&text);
  duck.destroy_logical_type(&truth);
  duck.destroy_scalar_function(&made);
  if (!done) return Error{ErrorCode::kInternal, std::string("engine: cannot register ") + name};
  return {};
}

}  // namespace

Status register_filter_functions(DuckConnection& connection) {
  TRY(add(connection, "weir_like", 2, run<Shape::kValue, Match::kLike>));
  TRY(add(connection, "weir_regex", 2, run<Shape::kValue, Match::kRegex>));
  TRY(add(connection, "weir_in_prefix", 2, run<Shape::kValue, Match::kPrefix>));
  TRY(add(connection, "weir_list_like", 2, run<Shape::kList, Match::kLike>));
  TRY(add(connection, "weir_list_regex", 2, run<Shape::kList, Match::kRegex>));
  TRY(add(connection, "weir_list_in_prefix", 2, run<Shape::kList, Match::kPrefix>));
  TRY(add(connection, "weir_label_like", 3, run<Shape::kLabel, Match::kLike>));
  TRY(add(connection, "weir_label_regex", 3, run<Shape::kLabel, Match::kRegex>));
  return {};
}

}  // namespace weir::store
