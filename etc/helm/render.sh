#!/usr/bin/env bash
# Renders the plain manifests, the Kustomize overlays and the drop-in manifests from the chart, so that the chart is
# their only source: etc/helm/render.sh [DIRECTORY]. Without DIRECTORY it writes etc/kubernetes. It also copies the
# alert rules and the dashboards into the chart. `.ci/run helm` fails if a rendered file or a copy is not current.
#
# Needs Helm: go install helm.sh/helm/v3/cmd/helm@v3.22.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH=$PATH:$(go env GOPATH 2>/dev/null || true)/bin
out=${1:-etc/kubernetes}
chart=etc/helm/auditrail
distributions=$(sed -n 's/^\([a-z0-9]*\):$/\1/p' $chart/presets.yaml)

# copy FOLDER EXTENSION PLACE MARK: the files of a folder that have a line like MARK, into the chart.
copy() {
  rm -rf "$chart/files/$3"
  for file in "$1"/*."$2"; do
    if [ -e "$file" ] && grep -q "$4" "$file"; then
      mkdir -p "$chart/files/$3"
      cp "$file" "$chart/files/$3/"
    fi
  done
}

# template DISTRIBUTION ARGUMENT...: what the chart renders, without the marks of a release: Helm does not manage a
# plain manifest. Its pods roll when the operator says so, or when Kustomize renames the ConfigMap.
template() {
  local distribution=$1
  shift
  helm template auditrail $chart --namespace auditrail --kube-version 1.34.0 -f $chart/ci/loki-values.yaml \
    --set distribution="$distribution" "$@" |
    sed -e '/helm\.sh\/chart:/d' -e '/app\.kubernetes\.io\/managed-by:/d' -e '/app\.kubernetes\.io\/instance:/d' \
      -e '/# New pods when the configuration changes\./d' -e '/checksum\//d' -e '/^# Source: /d' -e 's/[ ]*$//' |
    sed '1{/^---$/d}'
}

copy etc/prometheus yaml prometheus '^groups:'
copy etc/grafana json dashboards '"panels"'
rm -rf "$out/overlays" "$out/drop-in"
mkdir -p "$out/drop-in"

{
  cat <<'END'
# Runs auditrail on every control-plane node of a kubeadm cluster: kubectl apply -f daemonset.yaml
#
# README.md beside this file has the steps. overlays/ has the same for each distribution, and etc/helm/auditrail is the
# chart from which etc/helm/render.sh writes all of them. Set the image to a name in your own registry, and `cluster`
# and `endpoint` in the ConfigMap.
END
  template kubeadm --set namespace.create=true
} >"$out/daemonset.yaml"

{
  cat <<'END'
# Limits who can connect to the pods, and where they can connect: kubectl apply -f networkpolicy.yaml
#
# Change three things: the namespace of your Prometheus, the namespace and port of your back ends, and the cluster's
# DNS. Written by etc/helm/render.sh.
END
  template kubeadm --set networkPolicy.enabled=true -s templates/networkpolicy.yaml
} >"$out/networkpolicy.yaml"

for distribution in $distributions; do
  overlay=$out/overlays/$distribution
  mkdir -p "$overlay"
  template "$distribution" --set namespace.create=true --set existingConfigMap=auditrail >"$overlay/auditrail.yaml"
  template "$distribution" -s templates/configmap.yaml |
    sed '1,/^  auditrail\.toml: |$/d; s/^    //' >"$overlay/auditrail.toml"
  cat >"$overlay/kustomization.yaml" <<END
# Runs auditrail on every control-plane node ($distribution): kubectl apply -k etc/kubernetes/overlays/$distribution
#
# Use it as a base of your own overlay, or edit a copy: the image below, and "cluster" and "endpoint" in auditrail.toml.
# Kustomize adds a hash to the ConfigMap's name, so a change of auditrail.toml rolls the pods. Written by
# etc/helm/render.sh.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - auditrail.yaml
configMapGenerator:
  - name: auditrail
    namespace: auditrail
    files:
      - auditrail.toml
images:
  - name: registry.example.org/auditrail
    newName: registry.example.org/auditrail
    newTag: $(sed -n 's/^appVersion: //p' $chart/Chart.yaml)
END
done

for distribution in rke2 k3s; do
  etc/helm/drop-in.sh "$distribution" >"$out/drop-in/$distribution.yaml"
done
