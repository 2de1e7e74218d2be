#!/usr/bin/env bash
# Checks the licences of all that tests/backends runs against, after build.sh: nothing under the AGPL, the SSPL or a vendor's own
# terms, nothing without a licence. The crates are checked by `cargo deny`.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../../.." && pwd)/target/backends
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# The checker itself first: it must find a module under the AGPL among those that a program links.
(cd "$here/licences" && go test ./... && go build -o "$work/licences" .) || exit 1

# modules DIR PACKAGE...: what build.sh links into a program.
modules() { "$work/licences" go "$here/$1" "${@:2}" || failed=1; }

modules lumberjack .
modules receiver .
modules falco .
modules ../../policy/evaluator .
modules victorialogs github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs
modules loki github.com/grafana/loki/cmd/loki
modules logql .
modules kubernetes k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl \
  k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-scheduler
for server in elasticsearch opensearch2 opensearch3; do
  "$work/licences" jars "$out/$server/repository" || failed=1
done
exit "$failed"
