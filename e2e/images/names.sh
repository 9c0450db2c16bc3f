# shellcheck shell=bash
# The names of our images. Sourced after e2e/cluster/common.sh.

workspace_version() { sed -n '/^\[workspace.package\]/,/^\[[^w]/s/^version *= *"\(.*\)"/\1/p' "$WORKSPACE/Cargo.toml"; }
# image_ref NAME prints the full reference; false for a name we do not know.
image_ref() {
  case $1 in
    pause | busybox | csi | versitygw) echo "$IMAGE_PREFIX/$1:1" ;;
    etcd) echo "$IMAGE_PREFIX/etcd:3" ;;
    redis) echo "$IMAGE_PREFIX/redis:7" ;;
    mariadb) echo "$IMAGE_PREFIX/mariadb:10" ;;
    postgres) echo "$IMAGE_PREFIX/postgres:15" ;;
    datasafed | holdfast-dp | holdfast-apps) echo "$IMAGE_PREFIX/$1:$(workspace_version)" ;;
    *) return 1 ;;
  esac
}
