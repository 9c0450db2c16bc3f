#!/usr/bin/env bash
# Builds S3 and WebDAV servers and an emulator of Google's storage, and fetches an FTP server and an emulator of Azure, for the tests of the data mover into $HOLDFAST_STATE/bin, each only when its sources or Go changed.
# Everything comes from the Go module proxy; nothing is downloaded prebuilt.
set -euo pipefail
S3=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$S3/../cluster/common.sh"

command -v go >/dev/null || die "go is missing: install Go 1.26 or newer (Debian's own package is too old)"
mkdir -p "$BIN"
exec 7>"$BIN/.s3.lock"
flock -w 900 7 || die "another build has been running for 15 minutes"

# build NAME PACKAGE
build() {
  local name=$1 dir=$S3/$1 package=$2 stamp start
  stamp=$(cd "$dir" && { go version; echo "$package"; find . -maxdepth 1 -type f \( -name '*.go' -o -name 'go.*' \) | sort | xargs sha256sum; } | sha256sum)
  if [[ -x $BIN/$name && -f $BIN/.$name.stamp && $(<"$BIN/.$name.stamp") = "$stamp" ]]; then return; fi
  say "building $name (minutes when Go's cache is cold)"
  start=$SECONDS
  (cd "$dir" && CGO_ENABLED=0 GOFLAGS=-mod=readonly nice go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$BIN/.$name.new" "$package" 7>&-)
  mv "$BIN/.$name.new" "$BIN/$name"
  echo "$stamp" >"$BIN/.$name.stamp"
  say "built $name in $((SECONDS - start)) s"
}
build versitygw github.com/versity/versitygw/cmd/versitygw
if [[ ${1:-} = versitygw ]]; then exit 0; fi
build rclone .
build gcs .

# The FTP server is a Python package; without it the tests say that they were skipped.
PYTHON=$HOLDFAST_STATE/python
if [[ ! -d $PYTHON/pyftpdlib ]]; then
  rm -rf "$PYTHON.new"
  if python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$PYTHON.new" \
    pyftpdlib==2.1.0 pyopenssl >&2 7>&-; then
    rm -rf "$PYTHON"
    mv "$PYTHON.new" "$PYTHON"
  else
    say "no pyftpdlib: the tests over FTP are skipped"
  fi
fi

# So is the emulator of Azure, a package for node.
AZURITE=$HOLDFAST_STATE/azurite
if [[ ! -d $AZURITE/node_modules/azurite ]]; then
  rm -rf "$AZURITE.new"
  if command -v npm >/dev/null &&
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$AZURITE.new" azurite@3.37.0 >&2 7>&-; then
    rm -rf "$AZURITE"
    mv "$AZURITE.new" "$AZURITE"
  else
    say "no azurite: the tests with Azure are skipped"
  fi
fi
