#!/usr/bin/env bash
# side-by-side.sh COMMAND COMMAND: runs two shell commands at once. The output of the second comes after that of the first.
# Fails when one of them does; both run to their end.
set -euo pipefail
[[ $# -eq 2 ]] || { echo "usage: side-by-side.sh COMMAND COMMAND" >&2; exit 2; }
log=$(mktemp)
second=
# shellcheck disable=SC2317 # called by the trap
end() {
  local code=$?
  trap - EXIT INT TERM
  [[ -z $second ]] || kill "$second" 2>/dev/null || true
  rm -f "$log"
  exit "$code"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
bash -c "exec $2" >"$log" 2>&1 </dev/null &
second=$!
failed=
bash -c "exec $1" || failed=yes
wait "$second" || failed=yes
second=
cat "$log"
[[ -z $failed ]]
