# shellcheck shell=bash disable=SC2154 # here, NS are the caller's
# C, the apps operator goes: backups and restores go on without it. Sourced by e2e/demo.sh.

part_c() {
  local dp crds
  dp=$(dp_pod)
  step 'both Clusters deleted, their Backup stays'
  kd delete cluster shop shop-copy --wait >/dev/null
  try 90 "kubectl -n $NS get component,instanceset,pod,pvc,secret" -- nothing_of_the_clusters
  is backup shop '{.status.phase}' Completed >/dev/null || fail 'Backup shop did not survive' "kubectl -n $NS get backup"
  ok
  step 'uninstall holdfast-apps, and its CRDs'
  # Deleting a CRD deletes all of its objects: never those of somebody else.
  [[ -z $(clusters_of_others) ]] || fail "there are other Clusters: $(clusters_of_others)" 'kubectl get cluster -A'
  "$BIN/helm" uninstall holdfast-apps -n holdfast-apps --wait >/dev/null || fail 'helm refused' "$BIN/helm -n holdfast-apps list"
  "$BIN/helm" uninstall holdfast-crds-apps -n holdfast-apps >/dev/null 2>&1 || fail 'helm refused' "$BIN/helm -n holdfast-apps list"
  read -r -a crds <<<"$(crds_of_apps)"
  kubectl delete crd "${crds[@]}" --wait --timeout=60s --request-timeout=70s >/dev/null || fail 'a CRD stays' 'kubectl get crd'
  kubectl delete namespace holdfast-apps --wait --timeout=60s --request-timeout=70s >/dev/null || fail 'its namespace stays' 'kubectl get namespace'
  ok "${#crds[@]} CRDs deleted"
  step 'a claim restored from the Backup of the Cluster'
  apply demo/rescue.yaml
  try 120 "kubectl -n $NS describe pvc rescue" -- restored pvc rescue
  try 90 "kubectl -n $NS logs rescue" -- ready rescue
  ok "Restore=True, bound to $(kd get pvc rescue -o 'jsonpath={.spec.volumeName}')"
  step 'compare'
  compare rescue postgres "$cluster_rows"
  ok "$cluster_rows"
  step 'holdfast-dp was ready all the time'
  [[ $(dp_pod) = "$dp" ]] || fail "before: $dp, now: $(dp_pod)" 'kubectl -n holdfast-dp describe pod'
  ok "$dp"
  echo
}

nothing_of_the_clusters() {
  local left
  left=$(kd get component,instanceset,pod,pvc,secret,service,configmap,serviceaccount \
    -l 'app.kubernetes.io/managed-by=kubeblocks,app.kubernetes.io/instance in (shop,shop-copy)' -o name)
  [[ -z $left ]] || { echo "still there: $left"; return 1; }
}
clusters_of_others() { kubectl get clusters.apps.kubeblocks.io -A -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}'; }
crds_of_apps() {
  kubectl get crd -o 'jsonpath={range .items[?(@.metadata.annotations.meta\.helm\.sh/release-name=="holdfast-crds-apps")]}{.metadata.name} {end}'
}
# Readiness with the time it began, and restarts: equal twice means that nothing happened in between.
dp_pod() {
  kubectl -n holdfast-dp get pod -l app.kubernetes.io/name=holdfast-dp \
    -o 'jsonpath={range .items[*]}{.metadata.name} ready={.status.conditions[?(@.type=="Ready")].status} since {.status.conditions[?(@.type=="Ready")].lastTransitionTime} restarts={.status.containerStatuses[0].restartCount}{end}'
}
