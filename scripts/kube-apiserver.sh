#!/bin/bash
# Builds a real kube-apiserver for the integration tests, once, and prints its path.
#
# The source comes through the Go module proxy: module k8s.io/kubernetes and its staging modules (k8s.io/api, …), which
# are published there as v0.MINOR.PATCH. Its go.mod points at the staging folders of the Git tree, which a module does
# not carry; a copy of it is pointed at the published ones instead. go.sum grows by their sums, checked by Go's sum
# database as for any module.
#
# usage: scripts/kube-apiserver.sh           the binary goes to ${WEIR_CACHE:-~/.cache/weir}/kube-apiserver-VERSION
#        WEIR_GO_JOBS=N                      packages compiled at a time (default: one per core)
set -euo pipefail

version=1.34.4
cache=${WEIR_CACHE:-$HOME/.cache/weir}
binary=$cache/kube-apiserver-$version
[[ -x $binary ]] && { echo "$binary"; exit 0; }
command -v go >/dev/null || { echo "kube-apiserver.sh: no Go toolchain (apt-get install golang-go, or go.dev)" >&2; exit 1; }

mkdir -p "$cache"
exec 9>"$cache/kube-apiserver.lock"
flock 9
[[ -x $binary ]] && { echo "$binary"; exit 0; }

export GOFLAGS="-mod=mod -buildvcs=false" GOWORK=off GOTOOLCHAIN=${GOTOOLCHAIN:-local} CGO_ENABLED=0
module=$(cd / && GOFLAGS= go mod download -json "k8s.io/kubernetes@v$version" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
source=$(mktemp -d "$cache/kubernetes-$version.XXXXXX")
trap 'rm -rf "$source"' EXIT
cp -r --no-preserve=mode "$module"/{cmd,pkg,plugin,third_party,api,go.mod,go.sum} "$source"
cd "$source"
# The block of staging replacements goes, and each module that it named is required as published.
sed -i -E "/^replace \($/,/^\)$/d; s#^(\s+k8s\.io/[a-z-]+) v0\.0\.0\$#\1 v0.${version#1.}#" go.mod
package=k8s.io/component-base/version
started=$SECONDS
go build ${WEIR_GO_JOBS:+-p "$WEIR_GO_JOBS"} -trimpath -o "$binary.new" \
  -ldflags "-s -w -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<$version)" \
  ./cmd/kube-apiserver >&2
mv "$binary.new" "$binary"
echo "kube-apiserver.sh: built $binary ($(stat -c %s "$binary") bytes) in $((SECONDS - started)) s" >&2
echo "$binary"
