#!/bin/bash
# Fetches the engine of the store, libduckdb.so and its C header, from the npm registry into a folder of the user's
# cache: fetch_duckdb.sh [FOLDER]. Does nothing if it is there. The files are pinned by SHA-256.
set -euo pipefail

version=1.5.6
folder=${1:-${WEIR_DUCKDB_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/weir/duckdb/$version}}
library_sha=3f4962cdd266eab2b479a5b5a4a6d063d279b2954ae814ed00385d553b747633
header_sha=cbe6a827284375c5a646b8f27dbd3a00808ce8738b5bbb49c190cb1e08540281

is_right() { echo "$2  $1" | sha256sum --check --status 2>/dev/null; }

if is_right "$folder/lib/libduckdb.so" $library_sha && is_right "$folder/include/duckdb.h" $header_sha; then exit 0; fi
if [[ $(uname -m) != x86_64 ]]; then
  echo "fetch_duckdb: no pinned library for $(uname -m); put libduckdb.so $version and duckdb.h below WEIR_DUCKDB_ROOT" >&2
  exit 1
fi

registry=${WEIR_NPM_REGISTRY:-}
if [[ -z $registry ]] && command -v npm >/dev/null; then registry=$(npm config get registry); fi
registry=${registry:-https://registry.npmjs.org}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fetch PACKAGE TARBALL MEMBER TARGET SHA256
fetch() {
  echo "fetching $1 from ${registry%/}" >&2
  curl --fail --silent --show-error --location --retry 3 --output "$work/package.tgz" "${registry%/}/$1/-/$2"
  mkdir -p "$(dirname "$folder/$4")"
  tar -xzf "$work/package.tgz" -C "$work" "$3"
  if ! is_right "$work/$3" "$5"; then
    echo "fetch_duckdb: $3 of $1 is not the pinned file (SHA-256 differs)" >&2
    exit 1
  fi
  # A name of its own first: two set-ups at the same time, or one that is killed, leave no half file.
  cp "$work/$3" "$folder/$4.$$" && mv "$folder/$4.$$" "$folder/$4"
}

fetch @duckdb/node-bindings-linux-x64 node-bindings-linux-x64-1.5.6-r.1.tgz package/libduckdb.so lib/libduckdb.so $library_sha
# The header of the last release that carried one: its C functions are all in the library.
fetch duckdb duckdb-1.4.4.tgz package/src/duckdb/src/include/duckdb.h include/duckdb.h $header_sha
