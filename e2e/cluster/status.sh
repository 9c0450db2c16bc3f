#!/usr/bin/env bash
# One screen: components, node, pods that do not run. Exits 1 when the cluster is not wholly healthy.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
if [[ ! -f $DIR/run/mode ]]; then
  echo "no cluster at $DIR (make cluster-up)"
  exit 1
fi
mode=$(<"$DIR/run/mode")
if [[ $mode = api ]]; then names=("${API_COMPONENTS[@]}"); else names=("${COMPONENTS[@]}"); fi
bad=0
printf '%-26s %8s %9s  %s\n' COMPONENT PID RSS STATE
for name in "${names[@]}"; do
  pid=$(pid_of "$name") || pid=
  rss=
  if [[ -z $pid ]]; then state=DEAD; elif healthy "$name"; then state=ok; else state=UNHEALTHY; fi
  [[ $state = ok ]] || bad=1
  [[ -z $pid ]] || rss=$(awk '/^VmRSS/ {printf "%d MB", $2 / 1024}' "/proc/$pid/status" 2>/dev/null || true)
  printf '%-26s %8s %9s  %s%s\n' "$name" "${pid:--}" "${rss:--}" "$state" "$([[ $state = ok ]] || echo "  ($DIR/log/$name.log)")"
done
echo
if [[ $mode = node ]] && pid_of kube-apiserver >/dev/null; then
  kc get nodes --request-timeout=5s || bad=1
  pods=$(kc get pods -A --no-headers --request-timeout=5s 2>/dev/null || true)
  echo "pods: $(grep -c . <<<"$pods" || true), not running or completed:"
  grep -vE ' (Running|Completed) ' <<<"$pods" | grep . || echo "  none"
  echo
fi
echo "mode $mode   export KUBECONFIG=$DIR/admin.conf   kubectl, helm: $BIN"
exit $bad
