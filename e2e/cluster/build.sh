#!/usr/bin/env bash
# Builds the cluster's programs into $HOLDFAST_STATE/bin, each only when its sources, its flags or Go changed.
# Everything comes from the Go module proxy; nothing is downloaded prebuilt.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

K8S=v1.36.3
V=k8s.io/component-base/version
NODE_LDFLAGS="-s -w -X $V.gitVersion=$K8S -X $V.gitMajor=1 -X $V.gitMinor=36 -X $V.gitTreeState=clean"

command -v go >/dev/null || die "go is missing: install Go 1.26 or newer (Debian's own package is too old)"
mkdir -p "$BIN"
exec 7>"$BIN/.lock"
flock -w 900 7 || die "another build has been running for 15 minutes"

# build NAME DIRECTORY PACKAGE LDFLAGS
build() {
  local name=$1 dir=$CLUSTER_SRC/$2 package=$3 ldflags=$4 stamp start
  stamp=$(cd "$dir" && { go version; echo "$package $ldflags"; find . -maxdepth 1 -type f \( -name '*.go' -o -name 'go.*' \) | sort | xargs sha256sum; } | sha256sum)
  if [[ -x $BIN/$name && -f $BIN/.$name.stamp && $(<"$BIN/.$name.stamp") = "$stamp" ]]; then return; fi
  say "building $name (minutes when Go's cache is cold)"
  start=$SECONDS
  (cd "$dir" && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -buildvcs=false -trimpath -ldflags "$ldflags" -o "$BIN/.$name.new" "$package" 7>&-)
  # A rename, so that a running cluster keeps the program it started with.
  mv "$BIN/.$name.new" "$BIN/$name"
  echo "$stamp" >"$BIN/.$name.stamp"
  say "built $name in $((SECONDS - start)) s"
}
build node . . "$NODE_LDFLAGS"
for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl hostpath-provisioner; do
  [[ -L $BIN/$name ]] || ln -s node "$BIN/$name"
done
[[ ${1:-all} = api ]] && exit 0
build coredns tools/coredns . "-s -w -X github.com/coredns/coredns/coremain.GitCommit=go-module"
build helm tools/helm helm.sh/helm/v3/cmd/helm "-s -w -X helm.sh/helm/v3/internal/version.version=v3.22.0"
