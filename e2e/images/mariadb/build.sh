#!/usr/bin/env bash
# build.sh LAYER: writes the root file system of the MariaDB image as a tar, from Debian packages. The package of the client brings
# perl for scripts that nobody needs here, so only its dump program is taken.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2016 # $1 is mmdebstrap's
"$here/../debian.sh" "$1" mysql mariadb-server-core,mariadb-client-core,mariadb-backup \
  'set -e
  mkdir "$1/tmp/client" && cd "$1/tmp/client" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq -o APT::Sandbox::User=root download mariadb-client
  dpkg-deb --fsys-tarfile ./*.deb | tar -xf - -C "$1" ./usr/bin/mariadb-dump && cd / && rm -rf "$1/tmp/client"
  cd "$1/usr/bin" && rm -f innochecksum mariadb-upgrade mysql_upgrade mysqlupgrade mariadb-check mysqlcheck
  find "$1/usr/share/mysql" -mindepth 1 -maxdepth 1 -type d ! -name charsets ! -name english -exec rm -rf {} +
  install -D -m 755 '"$here"'/entrypoint.sh "$1/usr/local/bin/docker-entrypoint.sh"
  install -d -o 999 -g 999 "$1/var/lib/mysql"'
