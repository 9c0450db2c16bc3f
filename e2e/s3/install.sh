#!/usr/bin/env bash
# install.sh [BUCKET...]: puts an S3 server for BackupRepos onto the running one-node cluster, with these buckets (default: backups).
# Twice is no more than once, later buckets come to those that are there; all goes with the cluster. Prints what a repository needs.
set -euo pipefail
S3=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$S3/../cluster/common.sh"

[[ -S $SOCKET ]] || die "no cluster at $DIR: start it first (make cluster-up)"
"$WORKSPACE/e2e/images/build.sh" versitygw >/dev/null
"$WORKSPACE/e2e/images/load.sh" versitygw
[[ $# -gt 0 ]] || set -- backups
for bucket in "$@"; do
  [[ $bucket =~ ^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$ ]] || die "'$bucket' is no name of a bucket"
  # To versitygw a directory is a bucket.
  mkdir -p "$DIR/s3/buckets/$bucket"
done
mkdir -p "$DIR/s3/accounts"
# One key for the life of the cluster.
key_file=$DIR/pki/s3.key
[[ -s $key_file ]] || (umask 077 && openssl rand -hex 20 >"$key_file")
sed "s#IMAGE_PREFIX#$IMAGE_PREFIX#g; s#CLUSTER_DIR#$DIR#g; s#SECRET_KEY#$(<"$key_file")#g" "$S3/manifest.yaml" | kc apply -f - >/dev/null
kc -n holdfast-s3 rollout status deployment/s3 --timeout=60s >/dev/null || {
  kc -n holdfast-s3 logs deployment/s3 --tail=10 >&2 || true
  die "the S3 server is not ready: kubectl -n holdfast-s3 describe pod"
}
say "S3: http://s3.holdfast-s3.svc:7070, path style, region us-east-1, key in the Secret holdfast-s3/s3-credentials, buckets: $*"
