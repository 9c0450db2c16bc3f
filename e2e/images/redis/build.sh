#!/usr/bin/env bash
# build.sh LAYER: writes the root file system of the Redis image as a tar, from Debian packages.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2016 # $1 is mmdebstrap's
"$here/../debian.sh" "$1" redis redis-server \
  'install -D -m 755 '"$here"'/entrypoint.sh "$1/usr/local/bin/docker-entrypoint.sh"; install -d -o 999 -g 999 "$1/data"'
