# shellcheck shell=bash disable=SC2154 # here, NS, KUBECONFIG and the names of e2e/cluster/common.sh are the caller's
# What the parts of the demo are told with: each step with its time; the first failure ends all, with its reason and where
# to look. Sourced by e2e/demo.sh.

kubectl() { "$BIN/kubectl" --request-timeout=30s "$@"; }
kd() { kubectl -n "$NS" "$@"; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN {printf "%.1f", b - a}'; }

step_text='' step_start=0
step() { step_text=$1 step_start=$(now); printf '%-58s' "$1 ..."; }
ok() { printf '%6ss  %s\n' "$(since "$step_start")" "${1:-}"; }
# Ends the demo at the first failure: what, why, and where to look.
fail() {
  printf 'FAILED after %ss\n\ndemo: FAIL: %s: %s\n' "$(since "$step_start")" "$step_text" "$1"
  shift
  for where in "$@"; do printf '  look at: %s\n' "$where"; done
  for name in holdfast-dp holdfast-apps; do
    printf '  operator: kubectl --kubeconfig %s -n %s logs deploy/%s\n' "$KUBECONFIG" "$name" "$name"
  done
  exit 1
}
try() { # try SECONDS WHERE -- COMMAND: repeats until it succeeds
  local limit=$1 where=$2 end out
  shift 3
  end=$((SECONDS + limit))
  until out=$("$@" 2>&1); do
    ((SECONDS < end)) || fail "not within ${limit}s: ${out:-$*}" "$where"
    sleep 0.2
  done
}

is() { # is KIND NAME JSONPATH VALUE
  local found
  found=$(kd get "$1" "$2" -o "jsonpath=$3") || return 1
  [[ $found = "$4" ]] || { echo "$1 $2 is '${found:-empty}', not '$4'"; return 1; }
}
ready() { is pod "$1" '{.status.conditions[?(@.type=="Ready")].status}' True; }
restored() { # restored KIND NAME: its condition Restore is True; prints reason and message
  local all='{range .status.conditions[?(@.type=="Restore")]}{.status} {.reason}: {.message}{end}' found
  found=$(kd get "$1" "$2" -o "jsonpath=$all") || return 1
  [[ $found = "True "* ]] || { echo "$1 $2: Restore=${found:-no condition yet}"; return 1; }
  echo "${found#True }"
}
gone() { ! kd get "$1" "$2" >/dev/null 2>&1 || { echo "$1 $2 is still there"; return 1; }; }
# Images in our manifests have the prefix of the embedded cluster, or the word that stands for it.
apply() { sed "s#IMAGE_PREFIX#$IMAGE_PREFIX#g; s#docker\.io/local/#$IMAGE_PREFIX/#g" "$here/$1" | kd apply -f - >/dev/null; }

checksum='SELECT count(*) || chr(32) || md5(string_agg(id || note, chr(44) ORDER BY id)) FROM orders'
sql() { kd exec "$1" -c "$2" -- psql -v ON_ERROR_STOP=1 -U postgres -qAt -c "$3"; } # sql POD CONTAINER STATEMENT
fill() { # fill POD CONTAINER: the rows that are to come back
  sql "$1" "$2" "CREATE TABLE orders (id int PRIMARY KEY, note text)" || fail 'no table' "kubectl -n $NS logs $1"
  sql "$1" "$2" "INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, $ROWS) i" || fail 'no rows' "kubectl -n $NS logs $1"
}
has_rows() { # has_rows POD CONTAINER EXPECTED
  local found
  found=$(sql "$1" "$2" "$checksum") || { echo "$found"; return 1; }
  [[ $found = "$3" ]] || { echo "before: $3, now: $found"; return 1; }
}
compare() { # compare POD CONTAINER EXPECTED
  local why
  why=$(has_rows "$@") || fail "$why" "kubectl -n $NS exec -it $1 -- psql -U postgres"
}
