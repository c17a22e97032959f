#!/bin/bash
# Fuzzes one target of build/fuzz, or all of them one after the other. What it finds is left in build/fuzz/findings.
# usage: scripts/fuzz.sh [TARGET] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${2:-60}
targets=(build/fuzz/bin/*_fuzz)
[[ -n ${1:-} && $1 != all ]] && targets=("build/fuzz/bin/${1%_fuzz}_fuzz")
mkdir -p build/fuzz/findings
for target in "${targets[@]}"; do
  name=$(basename "$target" _fuzz)
  mkdir -p "build/fuzz/corpus/$name"
  # Targets that read whole files start from the shared data too, where it is.
  seeds=("fuzz/corpus/$name")
  shared=${WEIR_SHARED:-../shared}/data
  [[ $name == pcap && -d $shared ]] && seeds+=("$shared/captures/captures")
  [[ $name == manifest && -d $shared ]] && seeds+=("$shared/policy/verdict")
  echo "== $name, $seconds s"
  "$target" "build/fuzz/corpus/$name" "${seeds[@]}" -max_total_time="$seconds" -rss_limit_mb=3000 -timeout=20 \
    -artifact_prefix="build/fuzz/findings/$name-" -print_final_stats=1 2>&1 | grep -E '^(stat::|==|SUMMARY|artifact|#[0-9]+.DONE)|ERROR' || true
  if compgen -G "build/fuzz/findings/$name-*" >/dev/null; then echo "FOUND: build/fuzz/findings/$name-*"; exit 1; fi
done
