# shellcheck shell=bash
# The programs of the image `csi`, and the Go packages they are built from. Sourced.
# shellcheck disable=SC2034 # the sourcing scripts use it
CSI_PROGRAMS=(csi-driver csi-provisioner csi-snapshotter snapshot-controller)
csi_package() {
  case $1 in
    csi-driver) echo ./driver ;;
    csi-provisioner) echo github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner ;;
    *) echo "github.com/kubernetes-csi/external-snapshotter/v8/cmd/$1" ;;
  esac
}
