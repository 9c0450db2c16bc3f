#!/bin/bash
# Starts PostgreSQL on $PGDATA, making a new database there only when the directory is empty. A directory that was
# restored is taken as it is; one that has files but no database is refused, never initialised over.
set -euo pipefail
export PGDATA=${PGDATA:-/var/lib/postgresql/data}
if [[ ${1:-postgres} = -* ]]; then set -- postgres "$@"; fi
if [[ ${1:-postgres} != postgres ]]; then exec "$@"; fi
[[ $# -gt 0 ]] && shift

as_postgres=()
mkdir -p "$PGDATA" /var/run/postgresql
if [[ $(id -u) = 0 ]]; then
  as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
  chown postgres:postgres /var/run/postgresql
  # A restore writes as root; a whole walk only where something is not postgres's yet.
  if [[ -n $(find "$PGDATA" ! -user postgres -print -quit) ]]; then chown -R postgres:postgres "$PGDATA"; fi
fi
if [[ $(stat -c %a "$PGDATA") != 700 ]]; then chmod 700 "$PGDATA"; fi

# The new database is made aside and moved in with PG_VERSION last, so that a kill at any moment is either "not yet"
# (the work directory is there: start over) or "done".
work=$PGDATA/.initdb
if [[ -d $work && -s $PGDATA/PG_VERSION ]]; then
  rm -rf "$work"
elif [[ -d $work ]]; then
  echo "entrypoint: an earlier initialisation was interrupted, starting it over"
  find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found ! -name .initdb -exec rm -rf {} +
  rm -rf "$work"
fi
if [[ ! -s $PGDATA/PG_VERSION ]]; then
  if [[ -n $(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit) ]]; then
    echo "entrypoint: $PGDATA has files but no PG_VERSION: not a database, and not empty. Refusing to start." >&2
    ls -la "$PGDATA" >&2
    exit 1
  fi
  if [[ -z ${POSTGRES_PASSWORD:-} ]]; then
    echo "entrypoint: $PGDATA is empty and POSTGRES_PASSWORD is not set" >&2
    exit 1
  fi
  # A file and not a pipe: initdb opens it again as postgres, which may not open root's pipe.
  password=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
  if ((${#as_postgres[@]})); then chown postgres "$password"; fi
  # shellcheck disable=SC2086 # POSTGRES_INITDB_ARGS is a list of words
  "${as_postgres[@]}" initdb -D "$work" --username="${POSTGRES_USER:-postgres}" --pwfile="$password" \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 ${POSTGRES_INITDB_ARGS:-}
  rm -f "$password"
  printf 'host all all all scram-sha-256\nhost replication all all scram-sha-256\n' >>"$work/pg_hba.conf"
  find "$work" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
  mv "$work/PG_VERSION" "$PGDATA/"
  rmdir "$work"
fi
# A postmaster.pid that came with a copy names a process of another container.
rm -f "$PGDATA/postmaster.pid"
exec "${as_postgres[@]}" postgres -c listen_addresses='*' "$@"
