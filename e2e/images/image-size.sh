#!/usr/bin/env bash
# image-size.sh NAME: one JSON line {image, digest, bytes}; bytes is the size of the uncompressed archive.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/common.sh"
[[ -f $IMAGES/${1:-}.tar.json ]] || die "usage: image-size.sh NAME (of an image that is built)"
cat "$IMAGES/$1.tar.json"
