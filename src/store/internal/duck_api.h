#pragma once

#include "base/result.h"

#include <duckdb.h>

/// The functions of libduckdb.so that we call, without their prefix duckdb_.
// clang-format off
#define WEIR_DUCK_FUNCTIONS(X) \
  X(append_data_chunk) X(appender_close) X(appender_create) X(appender_destroy) X(appender_error) X(close) \
  X(connect) X(create_config) X(create_data_chunk) X(create_logical_type) X(create_scalar_function) \
  X(data_chunk_get_size) X(data_chunk_get_vector) X(data_chunk_set_size) X(destroy_config) X(destroy_data_chunk) \
  X(destroy_logical_type) X(destroy_result) X(destroy_scalar_function) X(disconnect) X(fetch_chunk) X(free) \
  X(interrupt) X(library_version) X(open_ext) X(query) X(register_scalar_function) X(result_error) \
  X(result_error_type) X(scalar_function_add_parameter) X(scalar_function_set_error) \
  X(scalar_function_set_function) X(scalar_function_set_name) X(scalar_function_set_return_type) \
  X(scalar_function_set_special_handling) X(set_config) X(string_t_data) X(string_t_length) \
  X(validity_row_is_valid) X(validity_set_row_invalid) X(vector_assign_string_element_len) \
  X(vector_ensure_validity_writable) X(vector_get_data) X(vector_get_validity) X(vector_size)
// clang-format on

namespace weir::store {

/// They are looked up when the first store opens: the library takes 11 MB and 20 ms of every process that is linked
/// with it, and agents and most commands never open a store.
struct DuckApi {
#define X(name) decltype(&::duckdb_##name) name = nullptr;
  WEIR_DUCK_FUNCTIONS(X)
#undef X
};

/// Null before load_duck() has succeeded.
extern DuckApi duck;

/// Loads the library, once. Errors: it is not found, or is of another release than the one we are tested with.
/// Threads: any.
Status load_duck();

}  // namespace weir::store
