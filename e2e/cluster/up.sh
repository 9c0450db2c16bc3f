#!/usr/bin/env bash
# Brings up one real Kubernetes node (or, with `api`, etcd + API server + controller manager only) under
# $HOLDFAST_STATE/cluster. A healthy cluster of ours is left alone, a half-dead one is taken down first.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
MODE=${1:-node}
[[ $MODE = node || $MODE = api ]] || die "usage: up.sh [api]"
begin=${EPOCHREALTIME/./}

if [[ $MODE = node ]]; then
  is_root || die "a node needs root (namespaces, mounts, a bridge); \`up.sh api\` does not"
  need_node
  WANTED=("${COMPONENTS[@]}")
else
  need_api
  WANTED=("${API_COMPONENTS[@]}")
fi
"$CLUSTER_SRC/build.sh" "$([[ $MODE = api ]] && echo api || echo all)"
lock 120

all_healthy() {
  local name
  for name in "${WANTED[@]}"; do pid_of "$name" >/dev/null && healthy "$name" || return 1; done
}
if [[ -d $DIR/run ]]; then
  if [[ -f $DIR/run/mode && $(<"$DIR/run/mode") = "$MODE" ]] && all_healthy; then
    say "already up: KUBECONFIG=$DIR/admin.conf"
    exit 0
  fi
  say "taking down what an earlier run left in $DIR"
  "$CLUSTER_SRC/down.sh" || die "the earlier cluster could not be removed"
fi
rm -rf "$DIR/log"
mkdir -p "$DIR"/{pki,etcd,log,run,vols,ctd,cni,kubelet}
chmod 700 "$DIR/pki" "$DIR/run" "$DIR/etcd"
# Pods' users must reach their volumes.
chmod 755 "$DIR" "$DIR/vols"
echo "$MODE" >"$DIR/run/mode"

start() { # NAME COMMAND...: in a session of its own, so that an interrupt of this shell does not reach it
  local name=$1
  shift
  setsid "$@" >"$DIR/log/$name.log" 2>&1 </dev/null 9<&- &
  echo $! >"$DIR/run/$name.pid"
}
fail() { # NAME WHY
  say "ERROR: $1 $2. The end of $DIR/log/$1.log:"
  tail -n 25 "$DIR/log/$1.log" >&2 || true
  say "(what did start is still there to look at; down.sh, or the next up, takes it away)"
  exit 1
}
wait_for() { # NAME SECONDS COMMAND...: until COMMAND succeeds; fails at once when the component has ended
  local name=$1 limit=$((SECONDS + $2)) seconds=$2
  shift 2
  until "$@"; do
    kill -0 "$(<"$DIR/run/$name.pid")" 2>/dev/null || fail "$name" "ended while starting"
    ((SECONDS < limit)) || fail "$name" "was not ready within $seconds s"
    sleep 0.1
  done
}

# Elliptic keys: four RSA keys would take longer than the API server.
new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
cert() { # NAME SUBJECT SUBJECT_ALT_NAMES
  local p=$DIR/pki/$1
  new_key "$p.key"
  openssl req -new -key "$p.key" -out "$p.csr" -subj "$2"
  openssl x509 -req -in "$p.csr" -CA "$DIR/pki/ca.crt" -CAkey "$DIR/pki/ca.key" -CAcreateserial -days 365 -out "$p.crt" \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth' "$3") 2>/dev/null
  rm "$p.csr"
}
kubeconfig() { # FILE CERTIFICATE
  cat >"$1" <<C
apiVersion: v1
kind: Config
clusters: [{name: holdfast, cluster: {server: "https://$API_ADDRESS:$API_PORT", certificate-authority-data: $(base64 -w0 "$DIR/pki/ca.crt")}}]
users: [{name: $2, user: {client-certificate-data: $(base64 -w0 "$DIR/pki/$2.crt"), client-key-data: $(base64 -w0 "$DIR/pki/$2.key")}}]
contexts: [{name: holdfast, context: {cluster: holdfast, user: $2}}]
current-context: holdfast
C
  chmod 600 "$1"
}
# The node's API server listens on the bridge only (pods and this machine reach it), never on the outer interfaces.
API_ADDRESS=127.0.0.1
[[ $MODE = node ]] && API_ADDRESS=$GATEWAY

new_key "$DIR/pki/ca.key"
openssl req -x509 -new -key "$DIR/pki/ca.key" -out "$DIR/pki/ca.crt" -days 365 -subj /CN=holdfast-e2e-ca
cert apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$SERVICE_NET.0.1,IP:$GATEWAY,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
cert admin /O=system:masters/CN=admin DNS:admin
new_key "$DIR/pki/sa.key"
openssl pkey -in "$DIR/pki/sa.key" -pubout -out "$DIR/pki/sa.pub"
kubeconfig "$DIR/admin.conf" admin

if [[ $MODE = node ]]; then
  . "$CLUSTER_SRC/node.sh"
  prepare_host
fi
# Nothing here outlives the cluster, so etcd need not wait for the disk.
start etcd "$BIN/etcd" --data-dir "$DIR/etcd" --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --log-level warn \
  --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" --listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
  --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" --initial-cluster "default=http://127.0.0.1:$ETCD_PEER_PORT" --unsafe-no-fsync
start kube-apiserver "$BIN/kube-apiserver" --etcd-servers="http://127.0.0.1:$ETCD_PORT" \
  --bind-address="$API_ADDRESS" --secure-port="$API_PORT" --advertise-address="$GATEWAY" \
  --tls-cert-file="$DIR/pki/apiserver.crt" --tls-private-key-file="$DIR/pki/apiserver.key" --client-ca-file="$DIR/pki/ca.crt" \
  --service-account-key-file="$DIR/pki/sa.pub" --service-account-signing-key-file="$DIR/pki/sa.key" \
  --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range="$SERVICE_NET.0.0/16" \
  --authorization-mode=Node,RBAC --allow-privileged \
  --kubelet-preferred-address-types=InternalIP --kubelet-client-certificate="$DIR/pki/admin.crt" --kubelet-client-key="$DIR/pki/admin.key"
[[ $MODE = node ]] && start_runtime # while the API server starts

wait_for etcd 20 healthy etcd
wait_for kube-apiserver 60 healthy kube-apiserver
start kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig="$DIR/admin.conf" --bind-address=127.0.0.1 --secure-port="$KCM_PORT" \
  --service-account-private-key-file="$DIR/pki/sa.key" --root-ca-file="$DIR/pki/ca.crt" \
  --cluster-signing-cert-file="$DIR/pki/ca.crt" --cluster-signing-key-file="$DIR/pki/ca.key" --use-service-account-credentials \
  --flex-volume-plugin-dir="$DIR/kubelet/plugins-exec" --leader-elect=false --kube-api-qps="$KCM_QPS" --kube-api-burst=$((KCM_QPS + KCM_QPS / 2))
[[ $MODE = node ]] && start_node
# Before this, a pod or a Role binding made in `default` would be refused.
default_account() { kc get serviceaccount default -o name >/dev/null 2>&1; }
wait_for kube-controller-manager 30 default_account
if [[ $MODE = node ]]; then
  kc apply -f "$CLUSTER_SRC/storage.yaml" >/dev/null
  for name in coredns kube-proxy; do wait_for "$name" 30 healthy "$name"; done
  wait_for kubelet 60 node_ready
fi
took=$((${EPOCHREALTIME/./} - begin))
say "up in $((took / 1000000)).$((took / 100000 % 10)) s: export KUBECONFIG=$DIR/admin.conf (kubectl, helm: $BIN)"
