#!/usr/bin/env bash
# Makes a release into target/release-artifacts: static binaries and their debug symbols, SBOM, licences, image, packages
# and checksums. `release.sh --twice` then makes all of it again from an archive of the commit in another folder, and fails
# unless every file is the same, byte for byte. It needs a machine with x86-64, the tools that `tools.sh` installs, and
# the Debian packages that it names.
#
# AUDITRAIL_RELEASE_ARTIFACTS names another folder, AUDITRAIL_RELEASE_ARCHITECTURES="x86_64" fewer architectures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. etc/release/lib.sh

rm -rf "$out"
etc/release/tools.sh
make_parts
(cd "$out" && sha256sum -- * >"$OLDPWD/target/SHA256SUMS" && mv "$OLDPWD/target/SHA256SUMS" .)
[ "${1:-}" != --twice ] || etc/release/again.sh
ls -l "$out"
