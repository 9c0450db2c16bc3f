#!/usr/bin/env bash
# Builds the programs of the volume snapshots into $HOLDFAST_STATE/bin, each only when its sources or Go changed: the CSI driver
# here, and external-provisioner and external-snapshotter from the Go module proxy. Nothing is downloaded prebuilt.
set -euo pipefail
CSI=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$CSI/../cluster/common.sh"
. "$CSI/programs.sh"
cd "$CSI"

command -v go >/dev/null || die "go is missing: install Go 1.26 or newer (Debian's own package is too old)"
mkdir -p "$BIN"
exec 7>"$BIN/.csi.lock"
flock -w 1800 7 || die "another build has been running for 30 minutes"

for name in "${CSI_PROGRAMS[@]}"; do
  package=$(csi_package "$name")
  sources=(go.mod go.sum)
  if [[ $name = csi-driver ]]; then sources+=(driver/*.go); fi
  stamp=$({ go version; echo "$package"; sha256sum "${sources[@]}"; } | sha256sum)
  if [[ -x $BIN/$name && -f $BIN/.$name.stamp && $(<"$BIN/.$name.stamp") = "$stamp" ]]; then continue; fi
  say "building $name (minutes when Go's cache is cold)"
  start=$SECONDS
  CGO_ENABLED=0 GOFLAGS=-mod=readonly nice go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$BIN/.$name.new" "$package" 7>&-
  mv "$BIN/.$name.new" "$BIN/$name"
  echo "$stamp" >"$BIN/.$name.stamp"
  say "built $name in $((SECONDS - start)) s"
done
