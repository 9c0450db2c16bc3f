#!/usr/bin/env bash
# cargo.sh PROFILE BINARY...: builds static binaries for images and prints their paths, one a line. musl where its target can
# be had, else glibc linked statically.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/common.sh"
usage='usage: cargo.sh e2e|release|dev holdfast-dp|holdfast-apps|datasafed...'
profile=${1:?$usage}
shift
[[ $# -gt 0 ]] || die "$usage"
arch=$(uname -m)
target=$arch-unknown-linux-musl
cd "$WORKSPACE"
# Inside of `cargo test` these name the test's package, and build scripts that look at them (ring's) would run again.
unset CARGO CARGO_MANIFEST_DIR CARGO_MANIFEST_LINKS CARGO_PRIMARY_PACKAGE CARGO_MANIFEST_PATH CARGO_CRATE_NAME CARGO_BIN_NAME OUT_DIR ${!CARGO_PKG_@} ${!CARGO_BIN_EXE_@}
has_musl() { rustup target list --installed 2>/dev/null | grep -qx "$target"; }
if ! has_musl; then rustup target add "$target" >/dev/null 2>&1 || true; fi
if has_musl; then
  need musl-gcc:musl-tools
else
  # Naming the target keeps the flag away from build scripts and macros, which must stay dynamic.
  target=$arch-unknown-linux-gnu
  export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
fi
# One run for all of them: what they share is compiled once, with one set of features.
selection=()
for binary in "$@"; do
  case $binary in
    holdfast-*) selection+=(-p "${binary#holdfast-}" --bin "$binary") ;;
    datasafed) selection+=(-p mover --bin "$binary") ;;
    *) die "$usage" ;;
  esac
done
cargo build --profile "$profile" --target "$target" "${selection[@]}" >&2
directory=$profile
[[ $profile != dev ]] || directory=debug
for binary in "$@"; do echo "${CARGO_TARGET_DIR:-$WORKSPACE/target}/$target/$directory/$binary"; done
