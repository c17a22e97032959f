# Kernel programs: clang compiles bpf/NAME.bpf.c (or one in the caller's folder) to BPF bytecode, bpftool makes NAME.skel.h of it.

find_program(WEIR_BPF_CLANG NAMES clang-14 clang DOC "Compiler for the BPF target")
find_program(WEIR_BPFTOOL bpftool PATHS /usr/sbin /sbin DOC "Makes skeletons of BPF objects")
if(NOT WEIR_BPF_CLANG)
  message(FATAL_ERROR "clang-14 is missing, which compiles the kernel programs in bpf/: apt-get install clang-14 (or ./dev setup)")
endif()
if(NOT WEIR_BPFTOOL)
  message(FATAL_ERROR "bpftool is missing, which embeds the kernel programs of bpf/: apt-get install bpftool (or ./dev setup)")
endif()
find_path(LIBBPF_INCLUDE bpf/libbpf.h)
find_library(LIBBPF bpf)
if(NOT LIBBPF_INCLUDE OR NOT LIBBPF)
  message(FATAL_ERROR "libbpf is missing, which loads the kernel programs: apt-get install libbpf-dev (or ./dev setup)")
endif()

# Debian keeps <asm/types.h> below the machine's own folder, which clang does not search for the target bpf.
set(WEIR_BPF_FLAGS -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter)
if(CMAKE_LIBRARY_ARCHITECTURE)
  list(APPEND WEIR_BPF_FLAGS -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
endif()

# weir_bpf_skeletons(TARGET NAME...): TARGET may include "NAME.skel.h", which has the struct NAME_programs.
function(weir_bpf_skeletons target)
  set(folder ${CMAKE_BINARY_DIR}/bpf)
  file(MAKE_DIRECTORY ${folder})
  foreach(name ${ARGN})
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c)
    if(NOT EXISTS ${source})
      set(source ${CMAKE_SOURCE_DIR}/bpf/${name}.bpf.c)
    endif()
    # The second step drops the debug information that the BTF does not need.
    add_custom_command(
      OUTPUT ${folder}/${name}.skel.h
      COMMAND ${WEIR_BPF_CLANG} ${WEIR_BPF_FLAGS} -MD -MF ${folder}/${name}.d -MT ${folder}/${name}.skel.h
              -I${CMAKE_SOURCE_DIR}/bpf -c ${source} -o ${folder}/${name}.debug.o
      COMMAND ${WEIR_BPFTOOL} gen object ${folder}/${name}.o ${folder}/${name}.debug.o
      COMMAND ${WEIR_BPFTOOL} gen skeleton ${folder}/${name}.o name ${name}_programs > ${folder}/${name}.skel.h
      DEPENDS ${source}
      DEPFILE ${folder}/${name}.d
      COMMENT "Compiling ${name}.bpf.c"
      VERBATIM)
    target_sources(${target} PRIVATE ${folder}/${name}.skel.h)
  endforeach()
  # Not ours to warn about.
  target_include_directories(${target} SYSTEM PRIVATE ${folder})
  target_link_libraries(${target} PUBLIC ${LIBBPF})
endfunction()
