#!/usr/bin/env bash
# Writes what a binary contains: an SBOM (CycloneDX) for every architecture, and one list of the crates that are linked,
# with the texts of their licences.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. etc/release/lib.sh
mkdir -p "$out"

for arch in "${architectures[@]}"; do
  # It writes beside each Cargo.toml of the workspace; only the agent's is kept.
  name=target-sbom-$arch
  cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$arch-unknown-linux-musl" --override-filename "$name"
  # Without the name of this folder, so that two of them are equal.
  sed "s|path+file://$PWD|path+file:///auditrail|g" "$name.json" >"$out/auditrail-$version-$arch-linux-musl.cdx.json"
  rm -f "$name.json" ./*/"$name.json" ./*/*/"$name.json"
done
cargo about generate --frozen --fail --config etc/release/about.toml --output-file "$out/auditrail-$version-licences.txt" \
  etc/release/licences.hbs
