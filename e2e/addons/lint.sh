#!/usr/bin/env bash
# lint.sh: shellcheck for the scripts within the ActionSets and other manifests here; each is a block after `- bash` or `- sh`, `- -c`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
command -v shellcheck >/dev/null || { echo 'SKIPPED(shellcheck missing): scripts of addons'; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for file in */*.yaml; do
  awk -v out="$work/${file//\//_}" '
    function indent(line) { match(line, /^ */); return RLENGTH }
    inside && (/^ *$/ || indent($0) >= base) { print substr($0, base + 1) >name; next }
    inside { inside = 0; close(name) }
    /^ *- (bash|sh)$/ { shell = $2 }
    /^ *- -c$/ { flagged = 1; next }
    flagged && /^ *- \|$/ {
      n++; name = out "." n "." shell; base = indent($0) + 2; inside = 1
      # What the operator, the pod or a parameter sets is no mistake.
      print "#!/bin/" shell >name
      print "# shellcheck disable=SC2154" >name
    }
    { flagged = 0 }' "$file"
done
shellcheck "$work"/*
echo "$(find "$work" -type f | wc -l) scripts are clean"
