#!/bin/bash
# Starts MariaDB on $DATA_DIR, making a new database there only when the directory is empty. A directory that was restored is
# taken as it is; one that has files but no system tables is refused, never initialised over.
set -euo pipefail
DATA_DIR=${DATA_DIR:-/var/lib/mysql/data}
if [[ ${1:-mariadbd} = -* || $# = 0 ]]; then set -- mariadbd "$@"; fi
if [[ $1 != mariadbd ]]; then exec "$@"; fi
shift

# Made aside and moved in with the system tables last, so that a kill at any moment is either "not yet" or "done".
mkdir -p "$DATA_DIR"
work=$DATA_DIR/.new
if [[ ! -d $DATA_DIR/mysql ]]; then
  if [[ -d $work ]]; then
    find "$DATA_DIR" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
  elif [[ -n $(find "$DATA_DIR" -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit) ]]; then
    echo "entrypoint: $DATA_DIR has files but no system tables: not a database, and not empty. Refusing to start." >&2
    exit 1
  fi
  : "${MARIADB_ROOT_PASSWORD:?$DATA_DIR is empty and MARIADB_ROOT_PASSWORD is not set}"
  mkdir "$work"
  mariadb-install-db --no-defaults --datadir="$work" --skip-test-db --skip-name-resolve --auth-root-authentication-method=normal \
    --innodb-log-file-size=16M >/tmp/install.log ||
    { cat /tmp/install.log >&2 && exit 1; }
  mariadbd --no-defaults --datadir="$work" --bootstrap --skip-name-resolve <<S
DELETE FROM mysql.global_priv WHERE Host NOT IN ('localhost', '%');
DELETE FROM mysql.proxies_priv WHERE Host NOT IN ('localhost', '%');
FLUSH PRIVILEGES;
CREATE USER root@'%' IDENTIFIED BY '${MARIADB_ROOT_PASSWORD//\'/\'\'}';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
S
  find "$work" -mindepth 1 -maxdepth 1 ! -name mysql -exec mv -t "$DATA_DIR" {} +
  mv "$work/mysql" "$DATA_DIR/"
fi
rm -rf "$work"
exec mariadbd --no-defaults --datadir="$DATA_DIR" --bind-address='*' --skip-name-resolve --innodb-log-file-size=16M \
  --socket=/tmp/mysqld.sock "$@"
