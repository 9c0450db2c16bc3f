#!/usr/bin/env bash
# The main job, from nothing to a restored database: `demo.sh up`; `demo.sh down` takes all of it away;
# `demo.sh install` stops when the operator runs.
# HOLDFAST_KUBECONFIG=FILE uses that cluster instead of the embedded one; its nodes must be able to pull
# $IMAGE_PREFIX/{holdfast-dp,datasafed}:VERSION and $IMAGE_PREFIX/postgres:15.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/cluster/common.sh"
. "$WORKSPACE/e2e/images/names.sh"
here=$WORKSPACE/e2e
NS=${HOLDFAST_DEMO_NAMESPACE:-holdfast-demo}
ROWS=${HOLDFAST_DEMO_ROWS:-100000}
KUBECONFIG=${HOLDFAST_KUBECONFIG:-$DIR/admin.conf}
export KUBECONFIG
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
  printf '  operator: kubectl --kubeconfig %s -n holdfast-dp logs deploy/holdfast-dp\n' "$KUBECONFIG"
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
restore_is() {
  local all='{range .status.conditions[?(@.type=="Restore")]}{.status} {.reason}: {.message}{end}' found
  found=$(kd get pvc data-pg-0 -o "jsonpath=$all") || return 1
  [[ $found = True* ]] || { echo "claim data-pg-0: Restore=${found:-no condition yet}"; return 1; }
}
sql() { kd exec pg-0 -- psql -v ON_ERROR_STOP=1 -U postgres -qAt -c "$1"; }
apply() { sed "s#IMAGE_PREFIX#$IMAGE_PREFIX#g" "$here/$1" | kd apply -f - >/dev/null; }
checksum='SELECT count(*) || chr(32) || md5(string_agg(id || note, chr(44) ORDER BY id)) FROM orders'

# Cluster and images; with HOLDFAST_KUBECONFIG only the tools.
prepare() {
  if [[ -n ${HOLDFAST_KUBECONFIG:-} ]]; then
    [[ $IMAGE_PREFIX != docker.io/local ]] ||
      die "with HOLDFAST_KUBECONFIG set IMAGE_PREFIX to a registry from which its nodes can pull holdfast-dp:$(workspace_version), datasafed:$(workspace_version) and postgres:15"
    "$CLUSTER_SRC/build.sh"
  else
    step 'one-node Kubernetes'
    "$CLUSTER_SRC/up.sh" >"$HOLDFAST_STATE/up.log" 2>&1 || fail 'the cluster did not start' "$HOLDFAST_STATE/up.log" "$DIR/log"
    ok "kubeconfig $KUBECONFIG"
    step 'images (built here, nothing is pulled)'
    make -s -C "$WORKSPACE" images >"$HOLDFAST_STATE/images.log" 2>&1 || fail 'an image could not be built' "$HOLDFAST_STATE/images.log"
    ok
  fi
}

up() {
  local begin rows_before rows_after
  prepare
  down_namespace
  begin=$(now)
  install
  step 'repository on a claim, checked by a Job'
  kubectl create namespace "$NS" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  kubectl apply -f "$here/demo/repository.yaml" -f "$here/addons/postgresql/actionset.yaml" >/dev/null
  try 60 'kubectl describe backuprepo demo' -- is backuprepo demo '{.status.phase}' Ready
  ok
  step 'PostgreSQL, a plain StatefulSet'
  apply demo/database.yaml
  try 90 "kubectl -n $NS describe pod pg-0" -- is pod pg-0 '{.status.conditions[?(@.type=="Ready")].status}' True
  ok
  step "$ROWS rows"
  sql "CREATE TABLE orders (id int PRIMARY KEY, note text)" || fail 'no table' "kubectl -n $NS logs pg-0"
  sql "INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, $ROWS) i" || fail 'no rows' "kubectl -n $NS logs pg-0"
  rows_before=$(sql "$checksum")
  ok "$rows_before"
  step 'Backup: pg_basebackup through the mover'
  apply demo/protection.yaml
  try 120 "kubectl -n $NS describe backup first" -- is backup first '{.status.phase}' Completed
  ok "$(kd get backup first -o 'jsonpath={.status.totalSize} bytes in {.status.duration}')"
  step 'disaster: StatefulSet and claim deleted'
  kd delete statefulset pg --wait >/dev/null
  try 60 "kubectl -n $NS get pods" -- gone pod pg-0
  kd delete pvc data-pg-0 --wait >/dev/null
  ok
  step 'restore: the claim again, naming the backup'
  apply demo/claim.yaml
  try 120 "kubectl -n $NS describe pvc data-pg-0" -- restore_is
  ok "Restore=True, bound to $(kd get pvc data-pg-0 -o 'jsonpath={.spec.volumeName}')"
  step 'StatefulSet back on the restored claim'
  apply demo/database.yaml
  try 90 "kubectl -n $NS logs pg-0" -- is pod pg-0 '{.status.conditions[?(@.type=="Ready")].status}' True
  ok
  step 'compare'
  rows_after=$(sql "$checksum")
  [[ $rows_before = "$rows_after" ]] || fail "before: $rows_before, after: $rows_after" "kubectl -n $NS exec -it pg-0 -- psql -U postgres"
  ok "$rows_after"
  echo
  kd get backup first
  kd get pvc,restore
  echo
  echo "demo: PASS rows=$ROWS checksum=equal a_seconds=$(since "$begin")"
}

gone() { ! kd get "$1" "$2" >/dev/null 2>&1 || { echo "$1 $2 is still there"; return 1; }; }

install() {
  local helm=$BIN/helm
  step 'install holdfast-dp (two charts)'
  "$helm" upgrade --install holdfast-crds-dp "$WORKSPACE/deploy/charts/holdfast-crds-dp" -n holdfast-dp --create-namespace >/dev/null ||
    fail 'the CRD chart did not install' "$helm -n holdfast-dp history holdfast-crds-dp"
  "$helm" upgrade --install holdfast-dp "$WORKSPACE/deploy/charts/holdfast-dp" -n holdfast-dp --set "imagePrefix=$IMAGE_PREFIX" >/dev/null ||
    fail 'the chart did not install' "$helm -n holdfast-dp history holdfast-dp"
  # A new image under the same tag starts only with a new pod.
  kubectl -n holdfast-dp rollout restart deploy/holdfast-dp >/dev/null
  kubectl -n holdfast-dp rollout status deploy/holdfast-dp --timeout=60s --request-timeout=70s >/dev/null ||
    fail 'the operator is not ready' 'kubectl -n holdfast-dp describe pod'
  ok "$(kubectl -n holdfast-dp get deploy holdfast-dp -o 'jsonpath={.status.readyReplicas}') replica ready"
}

down_namespace() {
  kubectl get namespace "$NS" >/dev/null 2>&1 || return 0
  kubectl delete namespace "$NS" --wait --timeout=90s --request-timeout=100s >/dev/null ||
    die "namespace $NS does not go away: kubectl get all,pvc,backup,restore -n $NS"
}

down() {
  if [[ -z ${HOLDFAST_KUBECONFIG:-} ]]; then
    "$CLUSTER_SRC/down.sh"
    return
  fi
  down_namespace
  kubectl delete backuprepo demo actionset postgresql-basebackup --ignore-not-found --wait --timeout=60s 2>/dev/null || true
  "$BIN/helm" uninstall holdfast-dp -n holdfast-dp --ignore-not-found
  echo 'left in place: the CRDs (helm.sh/resource-policy: keep); delete chart holdfast-crds-dp and its CRDs by hand'
}

case ${1:-up} in
  up) up ;;
  install) prepare && install ;;
  down) down ;;
  *) die "usage: demo.sh up|install|down" ;;
esac
