#!/usr/bin/env bash
# Puts volume snapshots onto the running one-node cluster: the classes `csi` and `csi-wffc`, the VolumeSnapshotClass `csi`, and what
# serves them. Twice is no more than once; it goes with the cluster.
set -euo pipefail
CSI=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$CSI/../cluster/common.sh"

[[ -S $SOCKET ]] || die "no cluster at $DIR: start it first (make cluster-up)"
"$WORKSPACE/e2e/images/build.sh" csi >/dev/null
"$WORKSPACE/e2e/images/load.sh" csi
crds=$(cd "$CSI" && GOFLAGS=-mod=readonly go list -m -f '{{.Dir}}' github.com/kubernetes-csi/external-snapshotter/client/v8)/config/crd
for kind in volumesnapshotclasses volumesnapshotcontents volumesnapshots; do
  kc apply -f "$crds/snapshot.storage.k8s.io_$kind.yaml" >/dev/null
  kc wait --for=condition=Established "crd/$kind.snapshot.storage.k8s.io" --timeout=30s >/dev/null
done
sed "s#IMAGE_PREFIX#$IMAGE_PREFIX#g; s#CLUSTER_DIR#$DIR#g" "$CSI/manifest.yaml" | kc apply -f - >/dev/null
kc -n holdfast-csi rollout status statefulset/csi --timeout=60s >/dev/null || {
  kc -n holdfast-csi logs csi-0 --all-containers --tail=5 >&2 || true
  die "the CSI driver is not ready: kubectl -n holdfast-csi describe pod csi-0"
}
registered() { [[ $(kc get csinode "$NODE_NAME" -o 'jsonpath={.spec.drivers[*].name}' 2>/dev/null) = *csi.holdfast.dev* ]]; }
end=$((SECONDS + 30))
until registered; do
  ((SECONDS < end)) || die "the kubelet did not register the CSI driver within 30 s: kubectl -n holdfast-csi logs csi-0 -c driver"
  sleep 0.2
done
say "volume snapshots: StorageClasses csi and csi-wffc, VolumeSnapshotClass csi"
