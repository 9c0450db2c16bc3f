#!/usr/bin/env bash
# images.sh ADDON...: builds the images of addons, and loads them into the running cluster.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../cluster/common.sh"
[[ $# -gt 0 ]] || die "usage: images.sh etcd|mariadb|postgresql|redis..."
for addon in "$@"; do
  image=$addon
  [[ $addon != postgresql ]] || image=postgres
  "$WORKSPACE/e2e/images/build.sh" "$image" >/dev/null
  "$WORKSPACE/e2e/images/load.sh" "$image"
done
