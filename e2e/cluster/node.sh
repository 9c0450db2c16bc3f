# shellcheck shell=bash
# The part of up.sh that makes this machine a node. Sourced by it.

prepare_host() {
  local name have
  # Someone else's bridge or kube-proxy would be broken by ours, and taken away by our down.sh.
  ! ip link show "$BRIDGE" >/dev/null 2>&1 || die "the bridge $BRIDGE exists and is not ours: set HOLDFAST_BRIDGE and HOLDFAST_POD_NET"
  have=$(nft list tables)
  ! grep -qE "kube-proxy|$NFT_TABLE" <<<"$have" || die "nft tables of another cluster exist: $have"
  # The memory of what to put back comes before the first change.
  for name in "${SYSCTLS[@]}"; do echo "$name=$(sysctl -n "$name")"; done >"$DIR/run/sysctl.before"
  for name in "${OUTSIDE[@]}"; do [[ -e $name ]] || echo "$name"; done >"$DIR/run/absent.before"
  echo "$BRIDGE" >"$DIR/run/bridge"
  # What a CSI driver mounts below, in a pod, the kubelet must see: mounts travel between the two only where they are shared.
  mount --bind "$DIR/kubelet" "$DIR/kubelet"
  mount --make-shared "$DIR/kubelet"
  if command -v modprobe >/dev/null; then modprobe -qa overlay bridge veth nf_tables nf_conntrack || true; fi

  sysctl -qw net.ipv4.ip_forward=1
  ip link add "$BRIDGE" type bridge
  ip addr add "$GATEWAY/16" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  # A table of our own in place of the CNI plugin's ipMasq, which leaves chains in the host's nat table.
  nft -f - <<C
table ip $NFT_TABLE {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr $POD_NET.0.0/16 ip daddr != $POD_NET.0.0/16 masquerade
  }
}
C
  cat >"$DIR/cni/10-bridge.conflist" <<C
{"cniVersion": "1.0.0", "name": "$CNI_NAME", "plugins": [{"type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "$DIR/cni/leases", "ranges": [[{"subnet": "$POD_NET.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
C
}

start_runtime() {
  # Every path under $DIR, so that a stop finds all of it; AppArmor off, since its profile would stay in the kernel.
  cat >"$DIR/ctd/config.toml" <<C
version = 2
root = "$DIR/ctd/root"
state = "$DIR/ctd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.internal.v1.opt"]
  path = "$DIR/ctd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$IMAGE_PREFIX/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$DIR/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$DIR/ctd/runc"
C
  start containerd containerd -c "$DIR/ctd/config.toml"
  wait_for containerd 30 healthy containerd
  "$WORKSPACE/e2e/images/build.sh" pause >/dev/null
  "$WORKSPACE/e2e/images/load.sh" pause
}

start_node() {
  cert kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" "DNS:$NODE_NAME,IP:127.0.0.1,IP:$GATEWAY"
  kubeconfig "$DIR/kubelet.conf" kubelet
  # Pods get only the cluster's search list, whatever the host's own file says.
  echo "nameserver $GATEWAY" >"$DIR/resolv.conf"
  # The cgroup settings are what hosts with v1 or hybrid cgroups and no systemd accept.
  cat >"$DIR/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $GATEWAY
port: $KUBELET_PORT
healthzPort: $KUBELET_HEALTH_PORT
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
evictionHard: {}
imageGCHighThresholdPercent: 100
tlsCertFile: $DIR/pki/kubelet.crt
tlsPrivateKeyFile: $DIR/pki/kubelet.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DIR/pki/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$SOCKET
podLogsDir: $DIR/log/pods
volumePluginDir: $DIR/kubelet/plugins-exec
clusterDNS: [$GATEWAY]
clusterDomain: cluster.local
resolvConf: $DIR/resolv.conf
C
  HOLDFAST_CONTAINER_LOGS=$DIR/log/containers start kubelet "$BIN/kubelet" --config "$DIR/kubelet.yaml" --kubeconfig "$DIR/kubelet.conf" \
    --hostname-override "$NODE_NAME" --node-ip "$GATEWAY" --root-dir "$DIR/kubelet" --cert-dir "$DIR/pki"
  start kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$DIR/admin.conf" --bind-address=127.0.0.1 --secure-port="$SCHEDULER_PORT" --leader-elect=false
  # masqueradeAll: without br_netfilter a Service's reply between two pods of one bridge would bypass the translation.
  cat >"$DIR/proxy.yaml" <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $DIR/admin.conf}
clusterCIDR: $POD_NET.0.0/16
hostnameOverride: $NODE_NAME
healthzBindAddress: 127.0.0.1:$PROXY_HEALTH_PORT
metricsBindAddress: 127.0.0.1:$PROXY_METRICS_PORT
nftables: {masqueradeAll: true, minSyncPeriod: 100ms}
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
C
  start kube-proxy "$BIN/kube-proxy" --config "$DIR/proxy.yaml"
  start hostpath-provisioner "$BIN/hostpath-provisioner" --kubeconfig "$DIR/admin.conf" --root "$DIR/vols"
  # Short lives of answers: a database that comes back with another address is found at once.
  cat >"$DIR/Corefile" <<C
.:53 {
  bind $GATEWAY
  errors
  ready 127.0.0.1:$DNS_READY_PORT
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig $DIR/admin.conf
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
    ttl 1
  }
$(if grep -qs '^nameserver' /etc/resolv.conf; then echo "  forward . /etc/resolv.conf"; fi)
}
C
  start coredns "$BIN/coredns" -conf "$DIR/Corefile"
}
