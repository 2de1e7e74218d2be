#!/usr/bin/env bash
# Prints a manifest for the manifests directory of RKE2 or K3s, whose Helm controller then installs the chart:
#
#   etc/helm/drop-in.sh [--embed] rke2|k3s [VALUES_FILE]
#
# With --embed the manifest contains the chart itself, so the nodes need no chart registry. Needs Helm then:
# go install helm.sh/helm/v3/cmd/helm@v3.22.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH=$PATH:$(go env GOPATH 2>/dev/null || true)/bin
chart=etc/helm/auditrail

embed=
if [ "${1:-}" = --embed ]; then
  embed=1
  shift
fi
distribution=${1:-}
case $distribution in
  rke2) name=RKE2 ;;
  k3s) name=K3s ;;
  *)
    echo "usage: etc/helm/drop-in.sh [--embed] rke2|k3s [VALUES_FILE]" >&2
    exit 2
    ;;
esac
values=${2:-$chart/ci/loki-values.yaml}
# What the file does not say. Keys of a YAML document must not repeat.
said() { grep -q "^$1:" "$values"; }
if said distribution && ! grep -q "^distribution: *$distribution *\$" "$values"; then
  echo "$values is for another distribution than $distribution" >&2
  exit 2
fi

cat <<END
# Installs auditrail by the Helm controller of $name. Copy this file to one server:
# /var/lib/rancher/$distribution/server/manifests/auditrail.yaml
#
# Change the image and the configuration below. If the back end needs a password, create the Secret "auditrail" in the
# namespace "auditrail". Written by etc/helm/drop-in.sh.
apiVersion: v1
kind: Namespace
metadata:
  name: auditrail
  labels:
    # The log and the state are on the node, and hostPath volumes need this level.
    pod-security.kubernetes.io/enforce: privileged
---
apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata:
  name: auditrail
  namespace: kube-system
spec:
END
if [ -n "$embed" ]; then
  packed=$(mktemp -d)
  trap 'rm -rf "$packed"' EXIT
  helm package "$chart" --destination "$packed" >/dev/null
  printf '  chartContent: %s\n' "$(base64 -w0 "$packed"/auditrail-*.tgz)"
else
  cat <<END
  # A placeholder: no registry has this chart yet. With --embed, etc/helm/drop-in.sh puts the chart into the file.
  chart: oci://registry.example.org/charts/auditrail
  version: $(sed -n 's/^version: //p' $chart/Chart.yaml)
END
fi
cat <<END
  targetNamespace: auditrail
  # Keep a failed release. The default uninstalls it.
  failurePolicy: abort
  valuesContent: |
END
said distribution || echo "    distribution: $distribution"
said image || printf '    image:\n      repository: registry.example.org/auditrail\n'
grep -v '^#' "$values" | sed 's/^/    /; s/[ ]*$//'
