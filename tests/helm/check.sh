#!/usr/bin/env bash
# Checks the Helm chart: it lints, renders what the snapshots beside this file hold, refuses wrong values by name, and
# the plain manifests are what it renders. `tests/helm/check.sh --bless` writes the snapshots and the manifests anew.
#
# tests/backends/chart.rs applies the snapshots to a real API server.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
PATH=$PATH:$(go env GOPATH 2>/dev/null)/bin
chart=etc/helm/auditrail
snapshots=tests/helm/snapshots
distributions=$(sed -n 's/^\([a-z0-9]*\):$/\1/p' $chart/presets.yaml)
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*"
  failed=1
}

# The version of Kubernetes is given, because a Helm that `go install` built assumes an old one.
render() { helm template auditrail "$1" --namespace auditrail --kube-version 1.34.0 "${@:2}" | sed 's/[ ]*$//'; }
template() { render $chart "$@"; }
lint() { helm lint --strict --quiet --kube-version 1.34.0 $chart "$@"; }

# The chart without the rules and dashboards that it copies: they change for reasons of their own.
cp -r $chart "$work/bare"
rm -rf "$work/bare/files"

# snapshot NAME ARGUMENT...: compares what is rendered with the snapshot, or writes it.
snapshot() {
  local name=$1
  shift
  render "$work/bare" "$@" >"$work/$name.yaml" || fail "$name does not render"
  lint "$@" || fail "$name has lint"
  [ -z "$bless" ] || cp "$work/$name.yaml" "$snapshots/$name.yaml"
  diff -u "$snapshots/$name.yaml" "$work/$name.yaml" || fail "$name is not as in $snapshots: --bless writes it"
}

# refused KEY ARGUMENT...: wrong values are refused, and the message names the key.
refused() {
  local key=$1 said
  shift
  if said=$(template -f $chart/ci/loki-values.yaml "$@" 2>&1); then
    fail "accepted: $*"
  elif ! grep -qF -- "$key" <<<"$said"; then
    fail "the refusal of $* does not name $key: $said"
  fi
}

# has TEXT ARGUMENT...: one line of what is rendered is TEXT, apart from its indentation. `hasnt`: no line has it.
has() {
  local text=$1 said
  shift
  said=$(template -f $chart/ci/loki-values.yaml "$@") || fail "$* does not render"
  sed 's/^ *//' <<<"$said" | grep -xF -- "$text" >/dev/null || fail "$* renders no line: $text"
}
hasnt() {
  local text=$1 said
  shift
  said=$(template -f $chart/ci/loki-values.yaml "$@") || fail "$* does not render"
  ! grep -F -- "$text" <<<"$said" || fail "$* renders: $text"
}

# annotation NAME ARGUMENT...: an annotation of the pods.
annotation() {
  local name=$1
  shift
  template -s templates/daemonset.yaml -f $chart/ci/loki-values.yaml "$@" | sed -n "s|^ *checksum/$name: ||p"
}

# rolls NAME ARGUMENT...: these values change the annotation, so that new pods start.
rolls() {
  local name=$1
  shift
  [ "$(annotation "$name" "$@")" != "$(annotation "$name")" ] || fail "$* does not change the annotation $name"
}

bless=
if [ "${1:-}" = --bless ]; then
  bless=1
  rm -f $snapshots/*
  etc/helm/render.sh
fi

for name in $distributions; do
  snapshot "$name" -f $chart/ci/loki-values.yaml --set distribution="$name"
done
snapshot full -f $chart/ci/full-values.yaml

refused /distribution --set distribution=rk2
refused distribtion --set distribtion=rke2
refused /port --set port=http
refused /port --set port=70000
refused tagg --set image.tagg=1
refused /image/digest --set image.digest=1234
refused /image/pullPolicy --set image.pullPolicy=Sometimes
refused /auditLog/path --set auditLog.path=audit.log
refused auditLog.directory --set auditLog.directory=/var/lib
refused /updateStrategy/rollingUpdate/maxSurge --set updateStrategy.rollingUpdate.maxSurge=1
refused /terminationGracePeriodSeconds --set terminationGracePeriodSeconds=5
refused /tolerations/0 --set 'tolerations[0].kye=x'
refused /extraEnv/0 --set 'extraEnv[0].value=x'
refused /podMonitor/interval --set podMonitor.interval=15
refused /config/outputs/loki/type --set config.outputs.loki.type=null
refused /config/outputs/other --set config.outputs.other.endpoint=http://other
refused config.outputs: --set-json 'config={"outputs":{}}'
refused /config/outputs --set config.outputs=null
refused config.state_dir --set config.state_dir=/data
refused config.inputs.apiserver.path --set config.inputs.apiserver.path=/elsewhere/audit.log

rolls config --set config.cluster=other
rolls config --set config.outputs.loki.endpoint=http://other
rolls secrets --set existingSecret= --set secrets.loki-password=not-one

has 'hold = { max_bytes = 0 }' --set auditLog.readOnly=true
has 'hold = { max_bytes = 0 }' --set auditLog.readOnly=true --set distribution=talos
has 'hold = { dir = "/var/log/audit/.auditrail-hold", max_bytes = "9GiB" }' --set distribution=talos \
  --set config.inputs.apiserver.hold.max_bytes=9GiB
has 'path = "/data/rke2/server/logs/audit.log"' --set distribution=rke2 --set auditLog.path=/data/rke2/server/logs/audit.log
has 'path: /data/rke2/server/logs' --set distribution=rke2 --set auditLog.path=/data/rke2/server/logs/audit.log
has 'listen = "127.0.0.1:9885"' --set hostNetwork=true
has 'drain_timeout = "50s"' --set terminationGracePeriodSeconds=60
has 'image: "registry.example.org/auditrail:9"' --set-string image.tag=9
has 'secretName: auditrail'
hasnt 'secretName:' --set existingSecret=
hasnt 'kind: ConfigMap' --set existingConfigMap=own
hasnt 'checksum/config' --set existingConfigMap=own
hasnt 'kind: ServiceAccount' --set serviceAccount.create=false --set serviceAccount.name=own
has 'serviceAccountName: own' --set serviceAccount.create=false --set serviceAccount.name=own
hasnt 'prometheus.io/scrape' --set podMonitor.enabled=true
hasnt 'kind: SecurityContextConstraints' --set distribution=openshift --set scc.create=false
has 'type: auditrail_t' --set distribution=rke2 --set seLinuxOptions.type=auditrail_t
hasnt 'spc_t' --set distribution=rke2 --set seLinuxOptions.type=auditrail_t

# The chart renders each alert and each dashboard as its source has it. Double braces in them are Prometheus' and Grafana's.
said=$(template -f $chart/ci/loki-values.yaml --set prometheusRule.enabled=true -s templates/prometheusrule.yaml)
for mark in '- alert: ' '$labels.instance' 'runbook_url: docs/'; do
  [ "$(grep -oF -- "$mark" <<<"$said" | wc -l)" = "$(cat $chart/files/prometheus/*.yaml | grep -oF -- "$mark" | wc -l)" ] ||
    fail "the alert rules have another number of: $mark"
done
if [ -e $chart/files/dashboards ]; then
  template -f $chart/ci/loki-values.yaml --set dashboards.enabled=true -s templates/dashboards.yaml >"$work/dashboards.yaml"
  for file in "$chart"/files/dashboards/*; do
    sed -n "/^  ${file##*/}: |\$/,/^---\$/{/^    /p}" "$work/dashboards.yaml" | sed 's/^    //' |
      diff -q <(sed 's/[ ]*$//' "$file") - || fail "the dashboard $file is rendered otherwise"
  done
fi

# Text is taken as it is, braces included.
printf 'cluster = "{{ a }}"\n\n[inputs.x]\n' >"$work/auditrail.toml"
said=$(template --set-file config="$work/auditrail.toml" -s templates/configmap.yaml)
grep -qF '    cluster = "{{ a }}"' <<<"$said" || fail "the text of the configuration is changed: $said"

# The plain manifests are the chart's. The copies in the chart are rendered by the same script.
cp -r etc/kubernetes "$work/kubernetes"
cp -r $chart "$work/chart"
etc/helm/render.sh "$work/kubernetes"
diff -ru etc/kubernetes "$work/kubernetes" || fail "etc/kubernetes is not what the chart renders: run etc/helm/render.sh"
diff -ru "$work/chart" $chart || fail "the copies in $chart/files were not current"

# A drop-in manifest that contains the chart.
etc/helm/drop-in.sh --embed rke2 | sed -n 's/^  chartContent: //p' | base64 -d >"$work/chart.tgz"
render "$work/chart.tgz" -f $chart/ci/loki-values.yaml --set distribution=rke2 | diff -u $snapshots/rke2.yaml - ||
  fail 'the embedded chart is another one'
# Values that name the distribution themselves are not said twice, and not for another one.
printf 'distribution: k3s\nimage: { tag: "1" }\n' >"$work/values.yaml"
[ "$(etc/helm/drop-in.sh k3s "$work/values.yaml" | grep -cE '^    (distribution|image):')" = 2 ] || fail 'keys repeat'
etc/helm/drop-in.sh rke2 "$work/values.yaml" >/dev/null 2>&1 && fail 'a drop-in for K3s was made for RKE2'

# The values in the documents.
for document in docs/install-daemonset.md $chart/README.md; do
  rm -f "$work"/values-*
  awk -v to="$work/values-" '/^```yaml$/ {n++; in_block = 1; next} /^```$/ {in_block = 0} in_block {print >(to n)}' "$document"
  ls "$work"/values-* >/dev/null || fail "$document has no values"
  for values in "$work"/values-*; do
    lint -f "$values" || fail "the values in $document are wrong: $(head -1 "$values")"
  done
done

# An empty list of peers allows nobody.
said=$(template -s templates/networkpolicy.yaml -f $chart/ci/loki-values.yaml --set networkPolicy.enabled=true \
  --set-json 'networkPolicy={"from":[],"dns":[],"enabled":true}')
grep -qE 'from:|port: 53' <<<"$said" && fail "an empty list of peers makes a rule: $said"

[ "$failed" = 0 ] && echo "the chart renders as recorded for:" $distributions
exit "$failed"
