#!/usr/bin/env bash
# load.sh NAME...: imports built images into the running cluster; one that is there with the same digest is skipped.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/common.sh"
. "$WORKSPACE/e2e/images/names.sh"
[[ $# -gt 0 ]] || die "usage: load.sh NAME... (pause busybox postgres redis mariadb etcd csi versitygw datasafed holdfast-dp holdfast-apps)"
[[ -S $SOCKET ]] || die "no container runtime at $DIR: start the cluster first (make cluster-up)"
for name in "$@"; do
  ref=$(image_ref "$name") || die "unknown image $name"
  tar=$IMAGES/$name.tar
  [[ -f $tar ]] || die "$name is not built: e2e/images/build.sh $name"
  digest=$(sed -n 's/.*"digest":"\([^"]*\)".*/\1/p' "$tar.json")
  # The name may be that of another prefix or version than the archive was made for.
  grep -qF "\"image\":\"$ref\"" "$tar.json" || die "$tar is not $ref: build it again"
  if [[ $(ctd images ls "name==$ref" | awk 'NR == 2 {print $3}') = "$digest" ]]; then continue; fi
  ctd images import "$tar" >/dev/null
  [[ $(ctd images ls "name==$ref" | awk 'NR == 2 {print $3}') = "$digest" ]] || die "$ref was imported with another digest than $digest"
  say "loaded $ref"
done
