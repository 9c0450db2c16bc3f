#!/bin/bash
# Starts Redis on /data, with $REDIS_PASSWORD where one is set. It loads the dump.rdb that is there.
set -euo pipefail
if [[ ${1:-redis-server} = -* || $# = 0 ]]; then set -- redis-server "$@"; fi
if [[ $1 != redis-server ]]; then exec "$@"; fi
shift
options=(--dir "${DATA_DIR:-/data}" --bind '*' -::* --protected-mode no --daemonize no)
if [[ -n ${REDIS_PASSWORD:-} ]]; then
  # Not on the command line, which others can read.
  printf 'requirepass "%s"\nmasterauth "%s"\n' "$REDIS_PASSWORD" "$REDIS_PASSWORD" >/tmp/password.conf
  set -- /tmp/password.conf "${options[@]}" "$@"
else
  set -- "${options[@]}" "$@"
fi
exec redis-server "$@"
