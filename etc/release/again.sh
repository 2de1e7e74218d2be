#!/usr/bin/env bash
# Makes the release of the commit again in another folder, from an archive of the sources without Git, and compares
# every file with that of the first one, byte for byte.
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
export AUDITRAIL_RELEASE_ARTIFACTS=$other/artifacts
make_parts
differ=
for file in "$out"/*; do
  name=${file##*/}
  [ "$name" != SHA256SUMS ] || continue
  if cmp "$file" "$other/artifacts/$name"; then
    echo "the same in both builds: $name"
  else
    differ+=" $name"
  fi
done
[ -z "$differ" ] || fail "of two builds differ:$differ"
