#!/usr/bin/env bash
# Builds the binaries of the commit again in other folders, from an archive of the sources without Git, and compares
# them with those of the release, byte for byte.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. etc/release/lib.sh
[ -z "$(git status --porcelain --untracked-files=no)" ] || fail 'the working tree differs from the commit'

other=$(mktemp -d)
trap 'rm -rf "$other"' EXIT
mkdir "$other/a folder of another name"
git archive HEAD | tar --extract --directory "$other/a folder of another name"
cd "$other/a folder of another name"
unset SOURCE_DATE_EPOCH CARGO_TARGET_DIR
AUDITRAIL_RELEASE_ARTIFACTS=$other/artifacts etc/release/binaries.sh
for arch in "${architectures[@]}"; do
  for file in "$(binary "$arch")" "$(binary "$arch").debug"; do
    cmp "$file" "$other/artifacts/${file##*/}" || fail "${file##*/} of two builds differ"
    echo "the same in both builds: ${file##*/}"
  done
done
