#!/usr/bin/env bash
# Installs what a release is made with: targets of Rust and commands of Cargo. It names the Debian packages that are
# missing. The same minor versions everywhere, so that a new release of a tool cannot change an artifact.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

missing=
for pair in musl-gcc=musl-tools aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu x86_64-linux-gnu-objcopy=binutils \
  aarch64-linux-gnu-objcopy=binutils-aarch64-linux-gnu; do
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
