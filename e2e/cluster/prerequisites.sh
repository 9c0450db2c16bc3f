#!/usr/bin/env bash
# Checks the compilers and installs the Debian packages that cluster and images need (only missing ones; root).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
at_least() { # NAME WANTED FOUND
  [[ -n $3 && $(printf '%s\n' "$2" "$3" | sort -V | head -1) = "$2" ]] || die "$1 $2 or newer is needed, found: ${3:-none}"
}
cd "$WORKSPACE" # rust-toolchain.toml decides which rustc answers
at_least rustc 1.95 "$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)"
at_least go 1.26 "$(go env GOVERSION 2>/dev/null | sed 's/^go//' || true)"
need cc:build-essential musl-gcc:musl-tools
need_node
need_mover_tests
need_images
