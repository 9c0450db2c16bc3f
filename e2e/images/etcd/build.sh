#!/usr/bin/env bash
# Builds etcd, etcdctl and etcdutl as one program into $HOLDFAST_STATE/bin, when its sources or Go changed, from the Go module proxy.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../cluster/common.sh"
cd "$here"
command -v go >/dev/null || die "go is missing: install Go 1.26 or newer (Debian's own package is too old)"
mkdir -p "$BIN"
exec 7>"$BIN/.etcd-tools.lock"
flock -w 900 7 || die "another build has been running for 15 minutes"
stamp=$({ go version; sha256sum ./*.go go.mod go.sum; } | sha256sum)
if [[ -x $BIN/etcd-tools && -f $BIN/.etcd-tools.stamp && $(<"$BIN/.etcd-tools.stamp") = "$stamp" ]]; then exit 0; fi
say "building etcd-tools"
start=$SECONDS
CGO_ENABLED=0 GOFLAGS=-mod=readonly nice go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$BIN/.etcd-tools.new" . 7>&-
mv "$BIN/.etcd-tools.new" "$BIN/etcd-tools"
echo "$stamp" >"$BIN/.etcd-tools.stamp"
say "built etcd-tools in $((SECONDS - start)) s"
