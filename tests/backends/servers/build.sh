#!/usr/bin/env bash
# Builds or fetches the servers that tests/backends runs against, into target/backends, from the ordinary registries:
# Maven Central for Elasticsearch 7.10 and OpenSearch, Go modules for Loki 1.6, LogQL of Loki 2.2, VictoriaLogs and
# Kubernetes, Debian for etcd. All of them are under free licences; `licences.sh` checks that. Newer releases of
# Elasticsearch and Loki are not: the stand-ins of the test kit (tests/kit/src/store) answer in their place.
# Run again it does only what is missing or changed. Ends with 1, and names what cannot be had, when anything is missing.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../../.." && pwd)/target/backends
mkdir -p "$out/bin" "$out/stamps"
missing=()

say() { printf '%s servers: %s\n' "$(date +%H:%M:%S)" "$*"; }

# have_new_go: VictoriaLogs' module asks for go 1.26; an older go command fetches it by itself from 1.21 on.
have_new_go() {
  local version
  version=$(cd "$here/victorialogs" && go env GOVERSION 2>/dev/null) || return 1
  [ "$(printf '%s\n' go1.26 "$version" | sort -V | head -1)" = go1.26 ]
}

# tool COMMAND PACKAGE: installs what is missing, but only as root in CI; elsewhere it says what to install.
tool() {
  command -v "$1" >/dev/null && return 0
  install "$2" && return 0
  missing+=("$1: install the Debian package $2 or its like")
  return 1
}

install() {
  [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] || return 1
  say "installing $1"
  (apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$1") >&2
}

# jdk FROM TO: the home of a JDK from one major version to another, the newest there is.
jdk() {
  local home version best=0 found=
  for home in "${JAVA_HOME:-}" /usr/lib/jvm/* /opt/*jdk* /usr/local/*jdk*; do
    [ -n "$home" ] && [ -x "$home/bin/javac" ] || continue
    version=$("$home/bin/javac" -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
    if [ "${version:-0}" -ge "$1" ] && [ "$version" -le "$2" ] && [ "$version" -gt "$best" ]; then
      best=$version found=$home
    fi
  done
  printf '%s' "$found"
  [ -n "$found" ]
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
    (set -e; cd "$here/$name"; "$step" "$name")
    if [ $? = 0 ]; then
      printf '%s\n' "$sources" >"$stamp"
      say "made $file"
      return
    fi
  done
  missing+=("$name: $file could not be made, see above")
}

go_build() { go build -trimpath -ldflags '-s -w' -o "$out/bin/$1" "$2"; }

# java_server NAME: its jars, its one class, and last a link to the JDK that starts it.
java_server() {
  local home=$out/$1
  rm -rf "$home" && mkdir -p "$home/classes" "$home/lib"
  JAVA_HOME=$jdk_home mvn -q -B -Dstyle.color=never dependency:copy-dependencies -DoutputDirectory="$home/repository" \
    -Dmdep.useRepositoryLayout=true -Dmdep.copyPom=true
  find "$home/repository" -name '*.jar' -exec ln -t "$home/lib" {} +
  # For licences.sh: a pom's licence often stands in the one above it.
  (cd "$HOME/.m2/repository" && find . -name '*.pom' -exec cp --parents -n -t "$home/repository" {} +)
  "$jdk_home/bin/javac" -d "$home/classes" -cp "$home/lib/*" ./*.java
  ln -s "$jdk_home/bin/java" "$home/java"
}

loki() { go_build loki github.com/grafana/loki/cmd/loki; }
# No server: Loki's query language.
logql() { go_build logql .; }
victorialogs() { go_build victoria-logs github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs; }
# kubernetes NAME: a program of Kubernetes that knows its version. Helm asks the API server for it.
kubernetes() {
  local version
  version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
  go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$out/bin/$1" \
    "k8s.io/kubernetes/cmd/$1"
}
apiserver() { kubernetes kube-apiserver; }
kubectl() { kubernetes kubectl; }
controllers() { kubernetes kube-controller-manager; }
scheduler() { kubernetes kube-scheduler; }
lumberjack() { go_build lumberjack .; }
receiver() { go_build receiver .; }
# Takes bodies as Falco's plugin does, with the same JSON parser.
falco() { go_build falco-stand-in .; }
# No server: what kube-apiserver itself makes of an audit policy, for events/src/transform/policy/tests/.
evaluator() { go_build policy-evaluator .; }

rm -f "$out/.ready"
# What earlier versions of this script made, under licences that are not used any more.
for old in opensearch elasticsearch/shim; do rm -rf "${out:?}/$old"; done
say "into $out"
tool etcd etcd-server
tool openssl openssl
if tool mvn maven; then
  # Lucene 8 and 9 are not made for a newer one.
  if jdk_home=$(jdk 17 21) || { install openjdk-17-jdk-headless && jdk_home=$(jdk 17 21); }; then
    server elasticsearch elasticsearch/java java_server
    server opensearch2 opensearch2/java java_server
  else
    missing+=("Elasticsearch 7.10 and OpenSearch 2: no JDK from 17 to 21 found: install the Debian package openjdk-17-jdk-headless or set JAVA_HOME")
  fi
  if jdk_home=$(jdk 21 99); then
    server opensearch3 opensearch3/java java_server
  else
    missing+=("OpenSearch 3: no JDK 21 or newer found below /usr/lib/jvm or /opt: install one, such as temurin-25-jdk, or set JAVA_HOME")
  fi
fi
if have_new_go; then
  server lumberjack bin/lumberjack lumberjack
  server receiver bin/receiver receiver
  server falco bin/falco-stand-in falco
  server victorialogs bin/victoria-logs victorialogs
  server kubernetes bin/kubectl kubectl
  server kubernetes bin/kube-apiserver apiserver
  server kubernetes bin/kube-controller-manager controllers
  server kubernetes bin/kube-scheduler scheduler
  server loki bin/loki loki
  server logql bin/logql logql
  server ../../policy/evaluator bin/policy-evaluator evaluator
else
  missing+=("go: 1.26 or newer is needed for Loki, VictoriaLogs, kube-apiserver and the rotation library; see https://go.dev/dl/")
fi

if [ ${#missing[@]} -gt 0 ]; then
  printf 'servers: cannot be had: %s\n' "${missing[@]}" >&2
  exit 1
fi
touch "$out/.ready"
say "all there"
