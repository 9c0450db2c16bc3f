# shellcheck shell=bash disable=SC2154 # here, NS, ROWS are the caller's
# A, data protection alone: a plain StatefulSet, its claim filled from a backup. Sourced by e2e/demo.sh.

part_a() {
  local rows
  install dp
  step 'repository on a claim, checked by a Job'
  kubectl apply -f "$here/demo/repository.yaml" -f "$here/addons/postgresql/actionset.yaml" >/dev/null
  try 60 'kubectl describe backuprepo demo' -- is backuprepo demo '{.status.phase}' Ready
  ok
  step 'PostgreSQL, a plain StatefulSet'
  apply demo/database.yaml
  try 90 "kubectl -n $NS describe pod pg-0" -- ready pg-0
  ok
  step "$ROWS rows"
  fill pg-0 postgres
  rows=$(sql pg-0 postgres "$checksum")
  ok "$rows"
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
  try 120 "kubectl -n $NS describe pvc data-pg-0" -- restored pvc data-pg-0
  ok "Restore=True, bound to $(kd get pvc data-pg-0 -o 'jsonpath={.spec.volumeName}')"
  step 'StatefulSet back on the restored claim'
  apply demo/database.yaml
  try 90 "kubectl -n $NS logs pg-0" -- ready pg-0
  ok
  step 'compare'
  compare pg-0 postgres "$rows"
  ok "$rows"
  echo
  kd get backup first
  kd get pvc,restore
  echo
}
