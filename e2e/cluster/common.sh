# shellcheck shell=bash
# Settings and helpers shared by the scripts of e2e/cluster and e2e/images. Sourced, never run.
# Every setting is an environment variable, so that several API-only clusters can run side by side.
# shellcheck disable=SC2034 # the sourcing scripts use them
CLUSTER_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORKSPACE=$(cd "$CLUSTER_SRC/../.." && pwd)
HOLDFAST_STATE=${HOLDFAST_STATE:-/var/lib/holdfast-e2e}
BIN=$HOLDFAST_STATE/bin
IMAGES=$HOLDFAST_STATE/images
DIR=${HOLDFAST_CLUSTER_DIR:-$HOLDFAST_STATE/cluster}
API_PORT=${HOLDFAST_API_PORT:-6443}
ETCD_PORT=${HOLDFAST_ETCD_PORT:-2379}
ETCD_PEER_PORT=${HOLDFAST_ETCD_PEER_PORT:-2380}
KCM_PORT=${HOLDFAST_KCM_PORT:-10257}
SCHEDULER_PORT=${HOLDFAST_SCHEDULER_PORT:-10259}
KUBELET_PORT=${HOLDFAST_KUBELET_PORT:-10250}
KUBELET_HEALTH_PORT=${HOLDFAST_KUBELET_HEALTH_PORT:-10248}
PROXY_HEALTH_PORT=${HOLDFAST_PROXY_HEALTH_PORT:-10256}
PROXY_METRICS_PORT=${HOLDFAST_PROXY_METRICS_PORT:-10249}
DNS_READY_PORT=${HOLDFAST_DNS_READY_PORT:-10254}
KCM_QPS=${HOLDFAST_KCM_QPS:-20}
NODE_NAME=${HOLDFAST_NODE_NAME:-node}
BRIDGE=${HOLDFAST_BRIDGE:-cni0}
POD_NET=${HOLDFAST_POD_NET:-10.88}         # first two bytes of the pods' /16
GATEWAY=$POD_NET.0.1                       # the bridge: node address, API server and DNS as pods see them
SERVICE_NET=${HOLDFAST_SERVICE_NET:-10.96} # first two bytes of the Services' /16
IMAGE_PREFIX=${IMAGE_PREFIX:-docker.io/local}
NFT_TABLE=holdfast-e2e
CNI_NAME=holdfast-e2e
SOCKET=$DIR/ctd/c.sock
# What we, the kubelet or the CNI bridge plugin change on the host; put back by down.sh.
SYSCTLS=(net.ipv4.ip_forward vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
  kernel.keys.root_maxkeys kernel.keys.root_maxbytes)
# Where the runtime, the CNI and the kubelet have no setting and write outside of $DIR.
OUTSIDE=(/var/lib/kubelet /var/lib/cni /run/containerd /var/log/pods /var/log/containers /opt/containerd /run/netns)
COMPONENTS=(etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy coredns hostpath-provisioner)
API_COMPONENTS=(etcd kube-apiserver kube-controller-manager)
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() { say "ERROR: $*"; exit 1; }
is_root() { [[ $(id -u) = 0 ]]; }
kc() { "$BIN/kubectl" --kubeconfig "$DIR/admin.conf" "$@"; }
ctd() { ctr -a "$SOCKET" -n k8s.io "$@"; }

# need THING:PACKAGE... installs the Debian packages whose command (or file) is missing, and only those.
need() {
  local pair thing missing=()
  for pair in "$@"; do
    thing=${pair%%:*}
    if [[ $thing = /* ]]; then [[ -e $thing ]]; else command -v "$thing" >/dev/null; fi || missing+=("${pair#*:}")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    die "missing: ${missing[*]} (Debian names). This is not a Debian-like machine: install their equivalents and run again."
  is_root || die "missing packages: ${missing[*]}. Run as root, or: sudo apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -20 "$log" >&2
    die "apt-get could not install ${missing[*]} (log: $log)"
  fi
  rm -f "$log"
}
need_api() { need openssl:openssl flock:util-linux; }
need_node() {
  need_api
  need containerd:containerd ctr:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins nft:nftables \
    conntrack:conntrack ip:iproute2 sysctl:procps mount:mount
}
need_mover_tests() { need zstd:zstd gzip:gzip lz4:lz4 jq:jq /usr/bin/time:time openssl:openssl restic:restic curl:curl; }
need_images() { need /bin/busybox:busybox-static mmdebstrap:mmdebstrap /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring; }

# cmdline_has PID TEXT: whether the command line of a living process contains TEXT (a zombie has none).
cmdline_has() {
  local argv=()
  { mapfile -d '' -t argv <"/proc/$1/cmdline"; } 2>/dev/null || return 1
  [[ "${argv[*]}" = *"$2"* ]]
}
# pid_of NAME prints the pid of our running component: by its pid file, and only if that process works in our directory.
pid_of() {
  local pid
  { read -r pid <"$DIR/run/$1.pid"; } 2>/dev/null || return 1
  cmdline_has "$pid" "$DIR/" || return 1
  echo "$pid"
}
# shims prints the pids of the shims that our containerd started.
shims() {
  local p
  for p in /proc/[0-9]*; do
    if cmdline_has "${p#/proc/}" "-address $SOCKET" && cmdline_has "${p#/proc/}" containerd-shim; then echo "${p#/proc/}"; fi
  done
}
mounts() { awk -v d="$DIR/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r; }

# http_ok HOST PORT PATH: whether a plain HTTP server answers 200. No curl on a fresh machine.
http_ok() {
  local line
  { exec 8<>"/dev/tcp/$1/$2"; } 2>/dev/null || return 1
  printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$3" "$1" >&8
  read -r -t 2 line <&8 || line=
  exec 8>&-
  [[ $line = *" 200 "* ]]
}
node_ready() { # Ready, and no longer tainted as new: pods can be scheduled
  [[ $(kc get node "$NODE_NAME" --request-timeout=5s -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}{.spec.taints[*].key}' 2>/dev/null) = True ]]
}
# healthy NAME: whether a running component answers.
healthy() {
  case $1 in
    etcd) http_ok 127.0.0.1 "$ETCD_PORT" /health ;;
    kube-apiserver) kc get --raw /readyz --request-timeout=5s >/dev/null 2>&1 ;;
    kube-controller-manager | kube-scheduler | hostpath-provisioner) pid_of "$1" >/dev/null ;;
    containerd) ctd version >/dev/null 2>&1 ;;
    kubelet) http_ok 127.0.0.1 "$KUBELET_HEALTH_PORT" /healthz && node_ready ;;
    kube-proxy) http_ok 127.0.0.1 "$PROXY_HEALTH_PORT" /healthz ;;
    coredns) http_ok 127.0.0.1 "$DNS_READY_PORT" /ready ;;
  esac
}
# lock SECONDS: one script at a time works on $DIR. The directory itself is the lock, so nothing is left for it.
lock() {
  [[ ${HOLDFAST_LOCKED:-} = "$DIR" ]] && return
  mkdir -p "$DIR"
  exec 9<"$DIR"
  flock -w "$1" 9 || die "another script has been working on $DIR for $1 s"
  export HOLDFAST_LOCKED=$DIR
}
