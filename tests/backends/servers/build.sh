#!/usr/bin/env bash
# Builds or fetches the servers that tests/backends runs against, into target/backends, from the ordinary registries:
# Maven Central for Elasticsearch and OpenSearch, Go modules for Loki, VictoriaLogs and Kubernetes, Debian for etcd.
# Run again it does only what is missing or changed. Ends with 1, and names what cannot be had, when anything is missing.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../../.." && pwd)/target/backends
mkdir -p "$out/bin" "$out/stamps"
missing=()

say() { printf '%s servers: %s\n' "$(date +%H:%M:%S)" "$*"; }

# have_new_go: Loki's module asks for go 1.26; an older go command fetches it by itself from 1.21 on.
have_new_go() {
  local version
  version=$(cd "$here/loki" && go env GOVERSION 2>/dev/null) || return 1
  [ "$(printf '%s\n' go1.26 "$version" | sort -V | head -1)" = go1.26 ]
}

# tool COMMAND PACKAGE: installs what is missing, but only as root in CI; elsewhere it says what to install.
tool() {
  command -v "$1" >/dev/null && return 0
  if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ]; then
    say "installing $2 for $1"
    (apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$2") >&2 && return 0
  fi
  missing+=("$1: install the Debian package $2 or its like")
  return 1
}

# server NAME FILE STEP: runs STEP in the server's folder, once more if it fails, unless FILE is there and was made from
# the same sources.
server() {
  local name=$1 file=$2 step=$3 stamp sources
  sources=$(cd "$here/$name" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
  stamp=$out/stamps/${name##*/}-${file##*/}
  if [ -e "$out/$file" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then
    say "$file is there"
    return
  fi
  for attempt in 1 2; do
    say "making $file (attempt $attempt)"
    # Not as the condition of an `if`: there `set -e` would not count.
    (set -e; cd "$here/$name"; "$step")
    if [ $? = 0 ]; then
      printf '%s\n' "$sources" >"$stamp"
      say "made $file"
      return
    fi
  done
  missing+=("$name: $file could not be made, see above")
}

go_build() { go build -trimpath -ldflags '-s -w' -o "$out/bin/$1" "$2"; }
jars() { mvn -q -B -Dstyle.color=never dependency:copy-dependencies -DoutputDirectory="$out/$1/lib"; }

elasticsearch() {
  local home=$out/elasticsearch path
  rm -rf "$home" && mkdir -p "$home/classes" "$home/shim"
  jars elasticsearch
  # The node loads these as plugins, so they must not be on its class path; nor may an empty element.
  path=$(find "$home/lib" -name '*.jar' ! -name 'x-pack-core-*' ! -name 'x-pack-security-*' ! -name 'transport-netty4-*' | sort | paste -sd:)
  javac -d "$home/classes" -cp "$path" EsNode.java
  javac -d "$home/shim" -cp "$path" CiShim.java
  jar cf "$home/ci-shim.jar" -C "$home/shim" .
  printf '%s' "$path:$home/classes" >"$home/classpath"
}

opensearch() {
  local home=$out/opensearch
  rm -rf "$home" && mkdir -p "$home/classes"
  jars opensearch
  javac -d "$home/classes" -cp "$home/lib/*" OsNode.java
  printf '%s' "$home/lib/*:$home/classes" >"$home/classpath"
}

loki() { go_build loki github.com/grafana/loki/v3/cmd/loki; }
victorialogs() { go_build victoria-logs github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-logs; }
apiserver() { go_build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver; }
kubectl() { go_build kubectl k8s.io/kubernetes/cmd/kubectl; }
lumberjack() { go_build lumberjack .; }
# No server: what kube-apiserver itself makes of an audit policy, for src/transform/policy/tests/.
evaluator() { go_build policy-evaluator .; }

rm -f "$out/.ready"
say "into $out"
tool etcd etcd-server
tool openssl openssl
if tool javac openjdk-17-jdk-headless && tool mvn maven; then
  server elasticsearch elasticsearch/classpath elasticsearch
  server opensearch opensearch/classpath opensearch
fi
if have_new_go; then
  server ../../policy/evaluator bin/policy-evaluator evaluator
  server lumberjack bin/lumberjack lumberjack
  server victorialogs bin/victoria-logs victorialogs
  server kubernetes bin/kubectl kubectl
  server kubernetes bin/kube-apiserver apiserver
  server loki bin/loki loki
else
  missing+=("go: 1.26 or newer is needed for Loki, VictoriaLogs, kube-apiserver and the rotation library; see https://go.dev/dl/")
fi

if [ ${#missing[@]} -gt 0 ]; then
  printf 'servers: cannot be had: %s\n' "${missing[@]}" >&2
  exit 1
fi
touch "$out/.ready"
say "all there"
