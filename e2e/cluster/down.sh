#!/usr/bin/env bash
# Takes away what up.sh started under $HOLDFAST_STATE/cluster, and only that: processes by pid file and command line,
# then mounts, cgroups, network and sysctls that up.sh noted. Logs stay until the next up. Exits 1 if anything is left.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[[ -d $DIR ]] || { say "nothing at $DIR"; exit 0; }
lock 120
begin=${EPOCHREALTIME/./}

running() { local name; for name in "$@"; do pid_of "$name" || true; done; }
# gone DECISECONDS COMMAND...: waits until COMMAND prints nothing; false when it still does at the end.
gone() {
  local i n=$1
  shift
  for ((i = 0; i < n; i++)); do
    [[ -n $("$@") ]] || return 0
    sleep 0.1
  done
  [[ -z $("$@") ]]
}
send() { # SIGNAL PIDS...: a process may end between look and signal
  local signal=$1 pid
  shift
  for pid in "$@"; do kill "-$signal" "$pid" 2>/dev/null || true; done
}
stop() { # NAMES...: asks all at once, gives 1.5 s, insists; an API server would drain for a minute and keep its port
  local pids
  pids=$(running "$@")
  # shellcheck disable=SC2086 # a list of pids
  send TERM $pids
  if ! gone 15 running "$@"; then
    pids=$(running "$@")
    # shellcheck disable=SC2086
    send KILL $pids
  fi
  gone 50 running "$@" || true
}
descendants() { # PID: children first found, deepest last
  local child
  while read -r child; do
    echo "$child"
    descendants "$child"
  done < <(ps -o pid= --ppid "$1" || true)
}
end_shim() { # the shim adopts what its containers leave behind, so it goes last: what is orphaned to init is out of reach
  local i below
  for ((i = 0; i < 50; i++)); do
    below=$(descendants "$1")
    [[ -n $below ]] || break
    # shellcheck disable=SC2086
    send KILL $below
    sleep 0.02
  done
  send KILL "$1"
}

stop kubelet kube-scheduler kube-controller-manager hostpath-provisioner kube-proxy coredns kube-apiserver
# After the kubelet, so that nothing starts pods again; before the shims, so that nothing restarts them.
stop containerd etcd
# What the runtime keeps outside of $DIR, read while its notes are there: cgroups by container id, the shims' sockets.
containers=$(find "$DIR"/ctd/state/*/k8s.io "$DIR"/ctd/root/*/sandboxes -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -u || true)
sockets=$(grep -rhoE 'unix:///run/containerd/s/[0-9a-f]+' "$DIR"/ctd/state/*/k8s.io/*/{address,bootstrap.json} 2>/dev/null | sort -u || true)
for pid in $(shims); do end_shim "$pid"; done
gone 50 shims || true

for _ in 1 2 3; do # mounts can be stacked
  while read -r m; do [[ -z $m ]] || umount "$m" 2>/dev/null || umount -l "$m" || true; done <<<"$(mounts)"
  [[ -n $(mounts) ]] || break
done
# containerd puts containers without a parent cgroup under its namespace's name, in one hierarchy (v2) or in each (v1).
cgroups() {
  local id c
  for id in $containers; do
    for c in /sys/fs/cgroup/k8s.io/"$id" /sys/fs/cgroup/*/k8s.io/"$id"; do [[ ! -d $c ]] || echo "$c"; done
  done
}
remove_cgroups() {
  local c
  for c in $(cgroups); do find "$c" -depth -type d -exec rmdir {} + 2>/dev/null || true; done
  cgroups
}
if [[ -f $DIR/run/bridge ]]; then
  gone 50 remove_cgroups || true
  rmdir /sys/fs/cgroup/k8s.io /sys/fs/cgroup/*/k8s.io 2>/dev/null || true
  bridge=$(<"$DIR/run/bridge")
  for veth in $(ip -o link show master "$bridge" 2>/dev/null | sed -nE 's/^[0-9]+: ([^@:]+).*/\1/p'); do ip link del "$veth" 2>/dev/null || true; done
  ip link del "$bridge" 2>/dev/null || true
  for table in "ip kube-proxy" "ip6 kube-proxy" "ip $NFT_TABLE"; do
    # shellcheck disable=SC2086 # family and name
    nft delete table $table 2>/dev/null || true
  done
  rm -f /var/lib/cni/results/"$CNI_NAME"-*
  for id in $containers; do rm -f /var/lib/cni/results/cni-loopback-"$id"-lo; done
  for s in $sockets; do rm -f "${s#unix://}"; done
  absent=$(cat "$DIR/run/absent.before" 2>/dev/null || true)
  for o in $absent; do
    [[ $o != /var/lib/kubelet ]] || rm -f /var/lib/kubelet/device-plugins/kubelet.sock
    # Only empty directories: another runtime may have come meanwhile.
    [[ ! -d $o ]] || find "$o" -xdev -depth -type d -empty -delete
  done
  [[ ! -f $DIR/run/sysctl.before ]] || sysctl -qp "$DIR/run/sysctl.before"
fi

left=()
for name in "${COMPONENTS[@]}"; do if pid=$(pid_of "$name"); then left+=("process $pid $name"); fi; done
for pid in $(shims); do left+=("process $pid containerd-shim"); done
for m in $(mounts); do left+=("mount $m"); done
if [[ -f $DIR/run/bridge ]]; then
  for c in $(cgroups); do left+=("cgroup $c"); done
  for o in $absent; do [[ ! -e $o ]] || left+=("$o: $(find "$o" -xdev ! -type d | head -3 | tr '\n' ' ')"); done
  if ip link show "$bridge" >/dev/null 2>&1; then left+=("bridge $bridge"); fi
  while read -r t; do left+=("nft $t"); done < <(nft list tables | grep -E "kube-proxy|$NFT_TABLE" || true)
  while IFS='=' read -r k v; do [[ $(sysctl -n "$k") = "$v" ]] || left+=("sysctl $k is not $v"); done <"$DIR/run/sysctl.before"
fi
if ((${#left[@]})); then
  say "left behind in $DIR:"
  printf '  %s\n' "${left[@]}" >&2
  exit 1
fi
# Only now, with no mount below: a bind mount would lead the removal out of our directory.
find "$DIR" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf --one-file-system {} +
took=$((${EPOCHREALTIME/./} - begin))
say "down in $((took / 1000000)).$((took / 100000 % 10)) s, nothing left (logs: $DIR/log)"
