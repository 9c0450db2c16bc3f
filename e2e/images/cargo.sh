#!/usr/bin/env bash
# cargo.sh PACKAGE BINARY [PROFILE]: builds a static binary for an image and prints its path. musl where its target can be
# had, else glibc linked statically.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/common.sh"
package=${1:?package} binary=${2:?binary} profile=${3:-e2e}
arch=$(uname -m)
target=$arch-unknown-linux-musl
cd "$WORKSPACE"
has_musl() { rustup target list --installed 2>/dev/null | grep -qx "$target"; }
if ! has_musl; then rustup target add "$target" >/dev/null 2>&1 || true; fi
if has_musl; then
  need musl-gcc:musl-tools
else
  # Naming the target keeps the flag away from build scripts and macros, which must stay dynamic.
  target=$arch-unknown-linux-gnu
  export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
fi
cargo build --profile "$profile" --target "$target" -p "$package" --bin "$binary" >&2
echo "${CARGO_TARGET_DIR:-$WORKSPACE/target}/$target/$profile/$binary"
