#!/usr/bin/env bash
# with.sh COMMAND...: brings the node up, loads all images, runs COMMAND and takes the node down again; a node that was up
# before stays. Nothing is printed after COMMAND's own output but errors.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[[ $# -gt 0 ]] || die "usage: with.sh COMMAND..."
ours=yes
if "$CLUSTER_SRC/status.sh" >/dev/null 2>&1; then ours=; fi
# shellcheck disable=SC2317 # called by the trap
end() {
  local code=$? log
  trap - EXIT INT TERM
  log=$(mktemp)
  if [[ $ours ]] && ! "$CLUSTER_SRC/down.sh" >"$log" 2>&1; then cat "$log" >&2; code=1; fi
  rm -f "$log"
  exit "$code"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$CLUSTER_SRC/up.sh"
make --no-print-directory -C "$WORKSPACE" images >&2
"$@"
