#!/usr/bin/env bash
# Builds the version before into target/before, from which tests upgrade (tests/backends/packages.rs and rollout.rs):
# the program, packages, image and chart, all from the sources of the commit that `etc/release/before` names. Made once;
# after that it only looks. Where the history of the repository is not there, as in a shallow clone, it takes today's
# sources and says so: then the tests upgrade to another build of the same program.
#
# The program is linked without optimisation across crates: that takes a third of the time, and does the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. etc/release/lib.sh

read -r commit before <<<"$(grep -v '^#' etc/release/before)"
to=$(realpath -m target/before)
if ! git cat-file -e "$commit^{commit}" 2>/dev/null; then
  echo "commit $commit is not here, so the version before is made from today's sources: fetch the whole history"
  commit=$(git rev-parse HEAD)
fi
if [ "$(cat "$to/made-from" 2>/dev/null)" = "$commit $before" ]; then
  echo "target/before has version $before already"
  exit
fi

etc/release/tools.sh
rm -rf "$to"
mkdir -p "$to/sources" "$to/artifacts"
git archive "$commit" | tar --extract --directory "$to/sources"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$commit")
arch=$(uname -m) target=$(uname -m)-unknown-linux-musl
export SOURCE_DATE_EPOCH
unset CARGO_TARGET_DIR CARGO_PROFILE_DEV_OPT_LEVEL
cd "$to/sources"
env "CC_${target//-/_}=musl-gcc" CARGO_PROFILE_DIST_LTO=off CARGO_PROFILE_DIST_CODEGEN_UNITS=16 CARGO_INCREMENTAL=0 \
  cargo build --locked --quiet --profile dist --bin auditrail --target "$target"
export AUDITRAIL_RELEASE_ARTIFACTS=$to/artifacts AUDITRAIL_RELEASE_ARCHITECTURES=$arch AUDITRAIL_PACKAGE_VERSION=$before
objcopy --strip-all "target/$target/dist/auditrail" "$(out=$to/artifacts binary "$arch")"
for part in papers image packages; do
  "etc/release/$part.sh"
done
# Its packages have its number; the image has the one of Cargo.toml.
mv "$to/artifacts/auditrail-$version-image.tar" "$to/artifacts/auditrail-$before-image.tar"
cp -r etc/helm/auditrail "$to/chart"
rm -rf "$to/sources"
echo "$commit $before" >"$to/made-from"
