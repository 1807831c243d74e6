#!/bin/sh
# Generates gen/ and gateway/openapi.yaml from the contracts in proto/, and checks the contracts' style.
#
#   sh proto/generate.sh          generate
#   sh proto/generate.sh check    fail if what is committed is not what would be generated
#
# The tools are pinned here and kept out of go.mod. The first run installs them into a cache folder; later runs need
# no network. buf comes from its npm package where npm exists, else it is built from source (a few minutes, once).
set -eu

BUF=1.75.0
PROTOC_GEN_GO=1.36.12

cd "$(dirname "$0")/.."
tools=${KOBAN_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/koban/tools}/buf-$BUF-go-$PROTOC_GEN_GO
mkdir -p "$tools"
export PATH="$tools/node_modules/.bin:$tools:$PATH"

if [ ! -x "$tools/protoc-gen-go" ]; then
	GOBIN="$tools" GOFLAGS=-mod=mod go install "google.golang.org/protobuf/cmd/protoc-gen-go@v$PROTOC_GEN_GO"
fi
if [ "$(buf --version 2>/dev/null || true)" != "$BUF" ]; then
	if command -v npm >/dev/null; then
		npm install --silent --no-audit --no-fund --prefix "$tools" "@bufbuild/buf@$BUF"
	else
		GOBIN="$tools" go install "github.com/bufbuild/buf/cmd/buf@v$BUF"
	fi
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
buf lint
buf generate --output "$out"
buf build --path proto/koban --as-file-descriptor-set -o "$out/koban.binpb"

if [ "${1:-}" = check ]; then
	diff -r "$out/gen" gen
	go run ./proto/openapi "$out/koban.binpb" | diff - gateway/openapi.yaml
	exit
fi
# Only what changed is written, so that builds under way are not disturbed.
sync() { cmp -s "$1" "$2" || { mkdir -p "$(dirname "$2")" && cp "$1" "$2"; }; }
(cd "$out" && find gen -type f) | while read -r f; do sync "$out/$f" "$f"; done
find gen -type f | while read -r f; do [ -e "$out/$f" ] || rm "$f"; done
if [ -d proto/openapi ]; then
	go run ./proto/openapi "$out/koban.binpb" >"$out/openapi.yaml"
	sync "$out/openapi.yaml" gateway/openapi.yaml
fi
