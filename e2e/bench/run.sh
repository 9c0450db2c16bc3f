#!/usr/bin/env bash
# run.sh NAME [FLAGS]: builds what a benchmark measures and runs it; its standard output is JSON lines only.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/common.sh"
name=${1:?usage: run.sh idle|backup-scale|restore-storm|node-cluster|mover [flags]}
shift
cd "$WORKSPACE"
if [[ $name = mover ]]; then
  # Without the Kubernetes crates, which measure nothing here and take minutes to build.
  need_mover_tests
  e2e/s3/build.sh
  # What goes into the image.
  mover=$(e2e/images/cargo.sh release datasafed)
  cargo build -q -p e2e-mover --bin bench-mover
  against=()
  if [[ -n ${MOVER:-} ]]; then against=(--against "$MOVER"); fi
  exec "${CARGO_TARGET_DIR:-target}/debug/bench-mover" --mover "$mover" "${against[@]}" "$@"
fi
# The whole workspace is selected, as for every build: another selection has other features.
cargo build -q --workspace --bin bench
bench=${CARGO_TARGET_DIR:-target}/debug/bench
case $name in
  idle)
    "$CLUSTER_SRC/build.sh" api
    # The processes under test are those that go into the images.
    built=$(e2e/images/cargo.sh release holdfast-dp holdfast-apps)
    flags=()
    for operator in $built; do
      image=$(e2e/images/build.sh "${operator##*/}" "$operator")
      flags+=(--operator "$operator" --image "$image")
    done
    "$bench" idle "${flags[@]}" "$@"
    ;;
  backup-scale)
    "$CLUSTER_SRC/build.sh" api
    "$bench" backup-scale --operator "$(e2e/images/cargo.sh release holdfast-dp)" "$@"
    ;;
  restore-storm)
    "$CLUSTER_SRC/build.sh" api
    flags=(--claims "${N:-100}" --mode "${MODE:-data}" --controller-qps "${KCM_QPS:-500}")
    ours=$(e2e/images/cargo.sh release holdfast-dp)
    "$bench" restore-storm --operator "$ours" "${flags[@]}" "$@"
    if [[ -n ${OPERATOR:-} ]]; then
      "$bench" restore-storm --operator "$ours" --other "$OPERATOR" "${flags[@]}" "$@"
    fi
    ;;
  *) "$CLUSTER_SRC/with.sh" "$bench" "$name" "$@" ;;
esac
