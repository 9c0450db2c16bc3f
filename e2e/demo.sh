#!/usr/bin/env bash
# The main job, from nothing to a restored database, in three parts (e2e/demo/part-*.sh): `demo.sh up`.
# `demo.sh down` takes all of it away; `demo.sh install dp|apps` stops when that operator runs.
# HOLDFAST_KUBECONFIG=FILE uses that cluster instead of the embedded one; its nodes must be able to pull
# $IMAGE_PREFIX/{holdfast-dp,holdfast-apps,datasafed}:VERSION, $IMAGE_PREFIX/postgres:15 and $IMAGE_PREFIX/busybox:1.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/cluster/common.sh"
. "$WORKSPACE/e2e/images/names.sh"
here=$WORKSPACE/e2e
NS=${HOLDFAST_DEMO_NAMESPACE:-holdfast-demo}
ROWS=${HOLDFAST_DEMO_ROWS:-100000}
KUBECONFIG=${HOLDFAST_KUBECONFIG:-$DIR/admin.conf}
export KUBECONFIG
. "$here/demo/steps.sh"
. "$here/demo/part-a.sh"
. "$here/demo/part-b.sh"
. "$here/demo/part-c.sh"

# Cluster and images; with HOLDFAST_KUBECONFIG only the tools.
prepare() {
  if [[ -n ${HOLDFAST_KUBECONFIG:-} ]]; then
    local version
    version=$(workspace_version)
    [[ $IMAGE_PREFIX != docker.io/local ]] ||
      die "with HOLDFAST_KUBECONFIG set IMAGE_PREFIX to a registry from which its nodes can pull holdfast-dp:$version, holdfast-apps:$version, datasafed:$version, postgres:15 and busybox:1"
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

install() { # install dp|apps
  local helm=$BIN/helm name=holdfast-$1 crds=holdfast-crds-$1
  step "install $name (two charts)"
  "$helm" upgrade --install "$crds" "$WORKSPACE/deploy/charts/$crds" -n "$name" --create-namespace >/dev/null ||
    fail 'the CRD chart did not install' "$helm -n $name history $crds"
  "$helm" upgrade --install "$name" "$WORKSPACE/deploy/charts/$name" -n "$name" --set "imagePrefix=$IMAGE_PREFIX" >/dev/null ||
    fail 'the chart did not install' "$helm -n $name history $name"
  # A new image under the same tag starts only with a new pod.
  kubectl -n "$name" rollout restart "deploy/$name" >/dev/null
  kubectl -n "$name" rollout status "deploy/$name" --timeout=60s --request-timeout=70s >/dev/null ||
    fail 'the operator is not ready' "kubectl -n $name describe pod"
  ok "$(kubectl -n "$name" get deploy "$name" -o 'jsonpath={.status.readyReplicas}') replica ready"
}

up() {
  local a b c
  prepare
  down_namespace
  kubectl create namespace "$NS" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  begin=$(now)
  part_a
  a=$(since "$begin") begin=$(now)
  part_b
  b=$(since "$begin") begin=$(now)
  part_c
  c=$(since "$begin")
  echo "demo: PASS rows=$ROWS checksum=equal a_seconds=$a b_seconds=$b c_seconds=$c"
}

down_namespace() {
  kubectl get namespace "$NS" >/dev/null 2>&1 || return 0
  # A namespace that is being deleted takes no Jobs, and it is Jobs that delete the files of Backups.
  if kubectl get crd backups.dataprotection.kubeblocks.io >/dev/null 2>&1; then
    kd delete backup --all --wait --timeout=60s --request-timeout=70s >/dev/null ||
      die "Backups in $NS do not go away: kubectl get backup -n $NS -o yaml"
  fi
  kubectl delete namespace "$NS" --wait --timeout=90s --request-timeout=100s >/dev/null ||
    die "namespace $NS does not go away: kubectl get all,pvc,backup,restore -n $NS"
}

down() {
  if [[ -z ${HOLDFAST_KUBECONFIG:-} ]]; then
    "$CLUSTER_SRC/down.sh"
    return
  fi
  down_namespace
  kubectl delete componentdefinition postgresql-15 scratch-1 --ignore-not-found 2>/dev/null || true
  kubectl delete backuprepo demo actionset postgresql-basebackup --ignore-not-found --wait --timeout=60s 2>/dev/null || true
  "$BIN/helm" uninstall holdfast-apps -n holdfast-apps --ignore-not-found
  "$BIN/helm" uninstall holdfast-dp -n holdfast-dp --ignore-not-found
  echo 'left in place: the CRDs (helm.sh/resource-policy: keep) with their charts holdfast-crds-dp and, where part C did not'
  echo 'get to it, holdfast-crds-apps; delete them by hand'
}

case ${1:-up}${2:+ $2} in
  up) up ;;
  'install dp' | 'install apps') prepare && install "$2" ;;
  down) down ;;
  *) die "usage: demo.sh up|install dp|install apps|down" ;;
esac
