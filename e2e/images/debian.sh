#!/usr/bin/env bash
# debian.sh LAYER USER PACKAGES [HOOK]: writes the files of Debian packages, separated by commas, and of what they depend on, as the
# root file system of an image; nothing is installed, no script of a package runs. USER gets the uid and gid 999. HOOK is a
# command that gets the root directory as $1.
set -euo pipefail
layer=$1 user=$2 packages=$3 hook=${4:-:}
# shellcheck disable=SC2016 # run later
rest='cd "$1" && rm -rf usr/share/{doc,man,info,locale,lintian,bash-completion,common-licenses,perl*,zoneinfo/right,i18n,debconf} \
  usr/lib/*/{gconv,perl*} usr/lib/{systemd,init,udev} usr/bin/{dpkg*,apt*,perl*,deb-systemd*} etc/{init.d,logrotate.d}'
# A system without what only Debian itself needs: packages' scripts, documentation, locales, other character sets, /etc's helpers.
# shellcheck disable=SC2016 # $1 is mmdebstrap's
SOURCE_DATE_EPOCH=0 mmdebstrap --quiet --mode=root --variant=extract --format=tar \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --include="bash,coreutils,grep,sed,mawk,tar,findutils,gzip,base-files,$packages" \
  --extract-hook='cd "$1" && mkdir -p tmp root run etc && chmod 1777 tmp && ln -sf mawk usr/bin/awk && ln -sf bash usr/bin/sh' \
  --extract-hook="printf 'root:x:0:0:root:/root:/bin/bash\\n%s:x:999:999::/:/bin/bash\\n' $user >\"\$1/etc/passwd\"; printf 'root:x:0:\\n%s:x:999:\\n' $user >\"\$1/etc/group\"" \
  --extract-hook="$hook" \
  --extract-hook="bash -c '$rest' bash \"\$1\"" \
  bookworm "$layer"
