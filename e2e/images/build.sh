#!/usr/bin/env bash
# build.sh NAME [BINARY]: makes one image without a registry or a container engine and prints the path of its archive.
# Names: pause busybox postgres redis mariadb etcd csi versitygw, and datasafed holdfast-dp holdfast-apps, which need the path of
# their static binary.
# Archives lie in $HOLDFAST_STATE/images under a hash of their input; equal input is not built twice.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/common.sh"
. "$WORKSPACE/e2e/images/names.sh"
here=$WORKSPACE/e2e/images
name=${1:-} binary=${2:-}
ref=$(image_ref "$name") || die "usage: build.sh pause|busybox|postgres|redis|mariadb|etcd|csi|versitygw, or datasafed|holdfast-dp|holdfast-apps BINARY"

"$CLUSTER_SRC/build.sh" api
mkdir -p "$IMAGES"
# One lock a name: a slow image does not hold up the others.
exec 6>"$IMAGES/.$name.lock"
flock -w 900 6 || die "another build of $name has been running for 15 minutes"
work=$(mktemp -d "$IMAGES/.work-$name-XXXXXX")
trap 'rm -rf "$work"' EXIT

inputs=("$here/build.sh" "$here/names.sh" "$CLUSTER_SRC/image.go")
note=$ref
case $name in
  pause) inputs+=("$here/pause/main.go") && note+=$(go version) ;;
  busybox)
    need /bin/busybox:busybox-static
    inputs+=(/bin/busybox)
    ;;
  postgres)
    inputs+=("$here/postgres/build.sh" "$here/postgres/entrypoint.sh")
    ;;
  redis | mariadb)
    inputs+=("$here/debian.sh" "$here/$name/build.sh" "$here/$name/entrypoint.sh")
    ;;
  etcd)
    "$here/etcd/build.sh"
    need /bin/busybox:busybox-static
    inputs+=("$BIN/etcd-tools" "$here/etcd/entrypoint.sh" /bin/busybox)
    ;;
  csi)
    . "$WORKSPACE/e2e/csi/programs.sh"
    "$WORKSPACE/e2e/csi/build.sh"
    inputs+=("${CSI_PROGRAMS[@]/#/$BIN/}")
    ;;
  versitygw)
    "$WORKSPACE/e2e/s3/build.sh" versitygw
    inputs+=("$BIN/versitygw")
    ;;
  *)
    [[ -f $binary && -x $binary ]] || die "$name needs the path of its binary; '$binary' is none"
    # An image from scratch has no dynamic loader: a dynamic binary would fail with "no such file or directory".
    if LC_ALL=C grep -qaE '^.{0,4096}/lib(64)?/ld-(linux|musl)' <(head -c 4096 "$binary"); then die "$binary is not statically linked"; fi
    inputs+=("$binary")
    ;;
esac
key=$({ sha256sum "${inputs[@]}" | cut -d' ' -f1; echo "$note"; } | sha256sum)
out=$IMAGES/$name-${key:0:16}.tar
if [[ -f $out && -f $out.json ]]; then
  ln -sfn "${out##*/}" "$IMAGES/$name.tar" && ln -sfn "${out##*/}.json" "$IMAGES/$name.tar.json"
  echo "$out"
  exit 0
fi
say "building image $ref"
image() { "$BIN/node" image --name "$ref" --out "$work/image.tar" "$@" >/dev/null; }
root=$work/root
mkdir -p "$root"
chmod 755 "$root"
case $name in
  pause)
    (cd "$here/pause" && CGO_ENABLED=0 GO111MODULE=off go build -trimpath -ldflags '-s -w' -o "$root/pause" .)
    image --root "$root" --entrypoint /pause --user 65535
    ;;
  busybox)
    mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,etc,tmp,root,var/run}
    chmod 1777 "$root/tmp"
    install -m 755 /bin/busybox "$root/bin/busybox"
    /bin/busybox --list | grep -vx busybox | while read -r applet; do ln -s busybox "$root/bin/$applet"; done
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    image --root "$root" --cmd sh --env PATH=/bin:/usr/bin:/sbin:/usr/sbin
    ;;
  postgres)
    is_root || die "the PostgreSQL image needs root (its packages are installed in a chroot)"
    need_images
    "$here/postgres/build.sh" "$work/layer.tar"
    # SIGINT: on SIGTERM PostgreSQL waits for every client to go away.
    image --layer "$work/layer.tar" --entrypoint /usr/local/bin/docker-entrypoint.sh --cmd postgres --stop-signal SIGINT \
      --env PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      --env PGDATA=/var/lib/postgresql/data --env LANG=C.UTF-8 --env PG_MAJOR=15
    ;;
  csi)
    mkdir -p "$root/bin"
    install -m 755 "${CSI_PROGRAMS[@]/#/$BIN/}" "$root/bin/"
    image --root "$root" --entrypoint /bin/csi-driver
    ;;
  versitygw)
    install -m 755 "$BIN/versitygw" "$root/versitygw"
    mkdir -p "$root/tmp" "$root/data"
    image --root "$root" --entrypoint /versitygw
    ;;
  etcd)
    mkdir -p "$root"/{bin,tmp,etc}
    chmod 1777 "$root/tmp"
    install -m 755 /bin/busybox "$BIN/etcd-tools" "$root/bin/"
    install -m 755 "$here/etcd/entrypoint.sh" "$root/bin/entrypoint"
    for applet in $(/bin/busybox --list | grep -vx busybox); do ln -s busybox "$root/bin/$applet"; done
    for tool in etcd etcdctl etcdutl; do ln -s etcd-tools "$root/bin/$tool"; done
    image --root "$root" --entrypoint /bin/entrypoint --env PATH=/bin
    ;;
  redis)
    is_root || die "the Redis image needs root (its packages are installed in a chroot)"
    need_images
    "$here/redis/build.sh" "$work/layer.tar"
    image --layer "$work/layer.tar" --entrypoint /usr/local/bin/docker-entrypoint.sh --user 999 --workdir /data \
      --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    ;;
  mariadb)
    is_root || die "the MariaDB image needs root (its packages are installed in a chroot)"
    need_images
    "$here/mariadb/build.sh" "$work/layer.tar"
    image --layer "$work/layer.tar" --entrypoint /usr/local/bin/docker-entrypoint.sh --cmd mariadbd --user 999 \
      --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    ;;
  *)
    install -m 755 "$binary" "$root/$name"
    image --root "$root" --entrypoint "/$name" --user 65532:65532 --env PATH=/
    ;;
esac
find "$IMAGES" -maxdepth 1 -name "$name-????????????????.tar*" -delete
mv "$work/image.tar.json" "$out.json"
mv "$work/image.tar" "$out"
ln -sfn "${out##*/}" "$IMAGES/$name.tar" && ln -sfn "${out##*/}.json" "$IMAGES/$name.tar.json"
say "$(<"$out.json")"
echo "$out"
