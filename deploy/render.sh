#!/usr/bin/env bash
# Renders the charts into deploy/install; with --check, fails when what is there differs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
state=${HOLDFAST_STATE:-/var/lib/holdfast-e2e}
helm=$(command -v helm || echo "$state/bin/helm")
[ -x "$helm" ] || { echo "helm is missing: run e2e/cluster/build.sh or install Helm 3" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
namespace() { printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n' "$1"; }
for crds in holdfast-crds-dp holdfast-crds-apps; do
  "$helm" template --kube-version 1.30.0 "$crds" "$here/charts/$crds" >"$out/$crds.yaml"
done
{
  namespace holdfast-dp
  "$helm" template --kube-version 1.30.0 holdfast-dp "$here/charts/holdfast-dp" --namespace holdfast-dp --set volumePopulators=never
} >"$out/holdfast-dp.yaml"
"$helm" template --kube-version 1.30.0 holdfast-dp "$here/charts/holdfast-dp" --namespace holdfast-dp \
  --set volumePopulators=always --show-only templates/volume-populators.yaml >"$out/holdfast-dp-volume-populators.yaml"
{
  namespace holdfast-apps
  "$helm" template --kube-version 1.30.0 holdfast-apps "$here/charts/holdfast-apps" --namespace holdfast-apps
} >"$out/holdfast-apps.yaml"
if [ "${1:-}" = --check ]; then
  diff -r "$out" "$here/install" || { echo "deploy/install is stale: run deploy/render.sh" >&2; exit 1; }
  exit 0
fi
mkdir -p "$here/install"
cp "$out"/*.yaml "$here/install/"
ls -l "$here/install"
