# The imported target `duckdb`: the store's engine, from the folder that scripts/fetch_duckdb.sh fills.

set(WEIR_DUCKDB_VERSION 1.5.6)
if(DEFINED ENV{WEIR_DUCKDB_ROOT})
  set(weir_duckdb_default $ENV{WEIR_DUCKDB_ROOT})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(weir_duckdb_default $ENV{XDG_CACHE_HOME}/weir/duckdb/${WEIR_DUCKDB_VERSION})
else()
  set(weir_duckdb_default $ENV{HOME}/.cache/weir/duckdb/${WEIR_DUCKDB_VERSION})
endif()
set(WEIR_DUCKDB_ROOT ${weir_duckdb_default} CACHE PATH "Folder with lib/libduckdb.so and include/duckdb.h")
if(NOT EXISTS ${WEIR_DUCKDB_ROOT}/lib/libduckdb.so OR NOT EXISTS ${WEIR_DUCKDB_ROOT}/include/duckdb.h)
  message(FATAL_ERROR "libduckdb.so ${WEIR_DUCKDB_VERSION}, the store's engine, is not in ${WEIR_DUCKDB_ROOT}: run scripts/fetch_duckdb.sh (or ./dev setup), or set WEIR_DUCKDB_ROOT")
endif()

# In the build tree too: whoever may run a program there may not be let into our home folder.
set(weir_duckdb_library ${CMAKE_BINARY_DIR}/lib/libduckdb.so)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
if(${WEIR_DUCKDB_ROOT}/lib/libduckdb.so IS_NEWER_THAN ${weir_duckdb_library})
  file(COPY_FILE ${WEIR_DUCKDB_ROOT}/lib/libduckdb.so ${weir_duckdb_library})
endif()

add_library(duckdb_headers INTERFACE IMPORTED GLOBAL)
set_target_properties(duckdb_headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${WEIR_DUCKDB_ROOT}/include)
# Programs load it when they open a store (src/store/internal/duck_api.cc), from ../lib or, once installed, ../lib/weir.
install(FILES ${WEIR_DUCKDB_ROOT}/lib/libduckdb.so DESTINATION lib/weir)
# For what calls it by its own name: the benchmark's floor.
add_library(duckdb SHARED IMPORTED GLOBAL)
set_target_properties(duckdb PROPERTIES IMPORTED_LOCATION ${weir_duckdb_library})
target_link_libraries(duckdb INTERFACE duckdb_headers)
