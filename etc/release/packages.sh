#!/usr/bin/env bash
# Puts the binaries into a .deb and an .rpm for every architecture: with the unit, the user for own-user.conf, man pages,
# completions, documents and examples. Both are installed, upgraded and removed in tests/backends/packages.rs.
#
# AUDITRAIL_PACKAGE_VERSION gives the packages another version, for a test of an upgrade; AUDITRAIL_PACKAGES_TO names
# the folder for them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. etc/release/lib.sh

package_version=${AUDITRAIL_PACKAGE_VERSION:-$version}
to=$(realpath -m "${AUDITRAIL_PACKAGES_TO:-$out}")
# What Cargo.toml lists as assets.
stage=target/package-files
share=$stage/share
doc=$share/doc/auditrail
# It writes the man pages and the completions, so it has to run on this machine.
program=$(binary "$(uname -m)")

rm -rf $stage
mkdir -p "$to"
install -d $share/man/man1 $doc/examples $stage/units
install -D -m 0644 etc/release/configuration $stage/etc/auditrail.toml
# The unit of a package names the program where packages put it.
sed 's|^\(ExecStart=\)/usr/local/bin/|\1/usr/bin/|' systemd/auditrail.service >$stage/units/auditrail.service
grep -q '^ExecStart=/usr/bin/auditrail ' $stage/units/auditrail.service || fail 'the unit has no ExecStart to change'
install -m 0644 systemd/auditrail.sysusers $stage/units/

"$program" man $share/man/man1
gzip --no-name -9 $share/man/man1/*
# Debian's zsh looks elsewhere than others do: Cargo.toml says where.
while read -r shell place; do
  install -d "${place%/*}"
  "$program" completions "$shell" >"$place"
done <<END
bash $share/bash-completion/completions/auditrail
fish $share/fish/vendor_completions.d/auditrail.fish
zsh $stage/zsh/_auditrail
END

install -m 0644 README.md CHANGELOG.md SECURITY.md $doc/
install -D -m 0644 -t $doc/docs docs/*.md
install -m 0644 "$out/auditrail-$version-licences.txt" $doc/licences.txt
install -m 0644 etc/auditrail.toml etc/elasticsearch-template.json systemd/own-user.conf etc/kubernetes/audit-policy.yaml \
  $doc/examples/
cp -r etc/examples/. etc/prometheus etc/grafana etc/loki etc/elasticsearch $doc/examples/
find $stage -type f -exec chmod 0644 {} +

for arch in "${architectures[@]}"; do
  install -m 0755 "$(binary "$arch")" $stage/auditrail
  cargo deb --quiet --no-build --no-strip --target "$arch-unknown-linux-musl" --deb-version "$package_version-1" \
    --output "$to/"
  cargo generate-rpm --target "$arch-unknown-linux-musl" --auto-req no --payload-compress gzip \
    --set-metadata "version = \"$package_version\"" --output "$to/auditrail-$package_version-1.$arch.rpm"
done
