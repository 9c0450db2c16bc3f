#!/usr/bin/env bash
# build.sh LAYER: writes the root file system of the PostgreSQL image as a tar, from Debian packages.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Documentation, locales, LLVM (just-in-time compiling only) and perl's library are half of the size and unused.
exclude=('/usr/share/doc/*' '/usr/share/man/*' '/usr/share/info/*' '/usr/share/locale/*' '/usr/share/lintian/*'
  '/usr/share/bash-completion/*' '/usr/lib/*/libLLVM*' '/usr/lib/*/libz3*' '/usr/lib/llvm-*/*'
  '/usr/lib/postgresql/15/lib/bitcode/*' '/usr/lib/postgresql/15/lib/llvmjit*')
options=()
for x in "${exclude[@]}"; do options+=(--dpkgopt="path-exclude=$x"); done
# A fixed uid, as in other PostgreSQL images: volumes outlive images.
# shellcheck disable=SC2016 # $1 is mmdebstrap's
SOURCE_DATE_EPOCH=0 mmdebstrap --quiet --mode=root --variant=minbase --format=tar "${options[@]}" \
  --include=postgresql-15,util-linux,libc-bin,gawk,procps,zstd \
  --essential-hook='echo "postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/bash" >>"$1/etc/passwd"; echo "postgres:x:999:" >>"$1/etc/group"' \
  --essential-hook='mkdir -p "$1/etc/postgresql-common"; echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
  --customize-hook='rm -rf "$1"/usr/lib/*/perl/[0-9]* "$1"/usr/share/perl/[0-9]* "$1"/usr/share/perl5 "$1"/var/cache/* "$1"/var/log/*.log "$1"/usr/lib/python3*' \
  --customize-hook='mkdir -p "$1/var/lib/postgresql/data"; chown -R 999:999 "$1/var/lib/postgresql"' \
  --customize-hook="upload $here/entrypoint.sh /usr/local/bin/docker-entrypoint.sh" \
  --customize-hook='chmod 755 "$1/usr/local/bin/docker-entrypoint.sh"' \
  bookworm "$1"
