# shellcheck shell=bash disable=SC2154 # here, NS, ROWS are the caller's
# B, both operators: a Cluster is backed up, and comes back under another name. Sourced by e2e/demo.sh.

# Rows of the Cluster's database; part C looks for them, too.
cluster_rows=''

part_b() {
  local pods claim told
  install apps
  step 'Cluster of two components'
  apply addons/postgresql/componentdefinition.yaml
  apply addons/scratch/componentdefinition.yaml
  apply demo/cluster.yaml
  try 90 "kubectl -n $NS describe cluster,component,instanceset,pod" -- is cluster shop '{.status.phase}' Running
  ok
  step "$ROWS rows"
  fill shop-postgres-0 postgresql
  cluster_rows=$(sql shop-postgres-0 postgresql "$checksum")
  ok "$cluster_rows"
  step 'Backup of its database'
  apply demo/cluster-protection.yaml
  try 120 "kubectl -n $NS describe backup shop" -- is backup shop '{.status.phase}' Completed
  ok "$(kd get backup shop -o 'jsonpath={.status.totalSize} bytes in {.status.duration}')"
  step 'new Cluster shop-copy with spec.restore'
  apply demo/cluster-restored.yaml
  try 120 "kubectl -n $NS describe cluster,pvc" -- restored cluster shop-copy
  told=$(restored cluster shop-copy)
  try 90 "kubectl -n $NS describe cluster,component,instanceset,pod" -- is cluster shop-copy '{.status.phase}' Running
  ok "$told"
  step 'condition Restore at all four levels'
  for object in pvc/data-shop-copy-postgres-0 pvc/scratch-shop-copy-scratch-0 {instanceset,component}/shop-copy-{postgres,scratch} cluster/shop-copy; do
    told=$(restored "${object%/*}" "${object#*/}") || fail "$told" "kubectl -n $NS describe ${object/\// }"
  done
  ok 'True on PVC, InstanceSet, Component, Cluster'
  step 'the volume that no backup covers is empty on purpose'
  told=$(restored pvc scratch-shop-copy-scratch-0)
  [[ $told = Provisioned:* ]] || fail "its Restore is $told" "kubectl -n $NS describe pvc scratch-shop-copy-scratch-0"
  ok "$told"
  step 'compare'
  compare shop-copy-postgres-0 postgresql "$cluster_rows"
  ok "$cluster_rows"
  step 'the same password, through the Service'
  same_password
  ok
  step 'one replica more: no restore for it, no restart'
  pods=$(pods_of_copy)
  kd patch cluster shop-copy --type json -p '[{"op": "replace", "path": "/spec/componentSpecs/0/replicas", "value": 2}]' >/dev/null
  try 90 "kubectl -n $NS logs shop-copy-postgres-1" -- ready shop-copy-postgres-1
  claim=$(kd get pvc data-shop-copy-postgres-1 -o json)
  [[ $claim != *'"dataSource'* && $claim != *'.io/restore-'* ]] ||
    fail 'its claim asks for a restore' "kubectl -n $NS get pvc data-shop-copy-postgres-1 -o yaml"
  try 30 "kubectl -n $NS logs shop-copy-postgres-1" -- has_rows shop-copy-postgres-1 postgresql "$cluster_rows"
  try 30 "kubectl -n $NS describe cluster shop-copy" -- is cluster shop-copy '{.status.phase}' Running
  [[ $(pods_of_copy) = "$pods"* ]] || fail "pods before: $pods, after: $(pods_of_copy)" "kubectl -n $NS describe pod"
  ok 'its rows come by replication'
  echo
  kd get cluster
  kd get component,instanceset,pvc -l 'app.kubernetes.io/instance in (shop,shop-copy)'
  echo
}

# Whether the new database takes the old one's password: over TCP, where it is asked for.
same_password() {
  local old new
  old=$(kd get secret shop-postgres-account-postgres -o 'jsonpath={.data.password}')
  new=$(kd get secret shop-copy-postgres-account-postgres -o 'jsonpath={.data.password}')
  [[ -n $old && $old = "$new" ]] || fail "Secret shop-copy-postgres-account-postgres has another password than the old Cluster's" \
    "kubectl -n $NS describe backup shop"
  base64 -d <<<"$old" | kd exec -i shop-copy-postgres-0 -c postgresql -- \
    bash -c 'PGPASSWORD=$(cat) exec psql -h "$1" -U postgres -qAt -c "SELECT 1"' - shop-copy-postgres >/dev/null ||
    fail 'the database refuses the password of the old Cluster' "kubectl -n $NS logs shop-copy-postgres-0"
}

# Name, UID and restarts of each pod, those of a later instance last.
pods_of_copy() {
  kd get pod -l app.kubernetes.io/instance=shop-copy --sort-by=.metadata.creationTimestamp \
    -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[*].restartCount}{"\n"}{end}'
}
