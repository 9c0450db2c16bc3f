#!/bin/sh
# Starts a single etcd on $DATA_DIR, as $HOSTNAME, reachable by everyone; other commands as they are.
set -eu
if [ "${1:-etcd}" != etcd ]; then exec "$@"; fi
[ $# = 0 ] || shift
exec etcd --name "${ETCD_NAME:-default}" --data-dir "${DATA_DIR:-/var/lib/etcd/data}" \
  --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls "http://$(hostname):2379" "$@"
