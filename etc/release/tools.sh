#!/usr/bin/env bash
# Installs what a release is made with: targets of Rust and commands of Cargo. It names the Debian packages that are
# missing. The same minor versions everywhere, so that a new release of a tool cannot change an artifact.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

missing=
wanted=(musl-gcc=musl-tools)
for arch in ${AUDITRAIL_RELEASE_ARCHITECTURES:-x86_64 aarch64}; do
  wanted+=("$arch-linux-gnu-objcopy=binutils-${arch/_/-}-linux-gnu")
  [ "$arch" = "$(uname -m)" ] || wanted+=("$arch-linux-gnu-gcc=gcc-$arch-linux-gnu")
done
for pair in "${wanted[@]}"; do
  command -v "${pair%=*}" >/dev/null || missing+=" ${pair#*=}"
done
[ -z "$missing" ] || { echo "missing: install the Debian packages$missing" >&2; exit 1; }

if command -v rustup >/dev/null; then
  rustup --quiet target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl
fi
installed=$(cargo install --list)
for tool in cargo-cyclonedx=0.5 cargo-deb=3.8 cargo-generate-rpm=0.21; do
  name=${tool%=*} version=${tool#*=}
  grep -q "^$name v$version\." <<<"$installed" ||
    # Without optimisation across crates they are built faster, and are fast enough.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
      cargo install --locked --quiet "$name" --version "~$version" --target-dir target/release-tools
done
