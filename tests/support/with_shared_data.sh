#!/bin/sh
# with_shared_data.sh FOLDER COMMAND...: runs the command if the shared data is there, else skips (77), or fails in CI.
folder=$1
shift
if [ ! -d "$folder" ]; then
  echo "no shared data: set WEIR_SHARED to a folder that holds data/ (looked at $folder)"
  [ -z "${WEIR_CI:-}" ] || exit 1
  exit 77
fi
exec "$@"
