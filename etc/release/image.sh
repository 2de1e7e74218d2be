#!/usr/bin/env bash
# Writes the container image for every architecture into one archive of an OCI image layout: from scratch, with the
# static binary and the certificates of the public authorities, and nothing else. It needs no daemon and no root.
#
# The certificates are those of this machine, or those in the file that AUDITRAIL_CA_BUNDLE names. The image is
# reproducible from the same binaries, the same certificates and the same gzip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. etc/release/lib.sh

# The DaemonSet's probes name the binary by this path.
entrypoint=/usr/local/bin/auditrail
command='"run", "-c", "/etc/auditrail/auditrail.toml"'
authorities=${AUDITRAIL_CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}
[ -s "$authorities" ] || fail "$authorities is missing: install ca-certificates"
created=$(date --date="@$SOURCE_DATE_EPOCH" +%FT%TZ)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layout=$work/layout
mkdir -p "$layout/blobs/sha256"

digest() { sha256sum <"$1" | cut -d' ' -f1; }

# blob FILE: moves the file among the blobs, and prints its descriptor without the braces.
blob() {
  local digest
  digest=$(digest "$1")
  printf '"digest": "sha256:%s", "size": %s' "$digest" "$(stat --format=%s "$1")"
  mv "$1" "$layout/blobs/sha256/$digest"
}

# archive FOLDER: its content as a tar, with the same bytes each time.
archive() {
  tar --create --directory="$1" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner \
    --mtime="@$SOURCE_DATE_EPOCH" .
}

# platform ARCHITECTURE: as images name it.
platform() {
  case $1 in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
  esac
}

manifests=
for arch in "${architectures[@]}"; do
  root=$work/$arch
  install -D -m 0755 "$(binary "$arch")" "$root$entrypoint"
  install -D -m 0644 "$authorities" "$root/etc/ssl/certs/ca-certificates.crt"
  archive "$root" >"$work/layer"
  diff_id=$(digest "$work/layer")
  gzip --no-name -9 "$work/layer"
  layer=$(blob "$work/layer.gz")
  cat >"$work/config" <<END
{"created": "$created", "architecture": "$(platform "$arch")", "os": "linux",
 "config": {"Entrypoint": ["$entrypoint"], "Cmd": [$command],
  "Labels": {"org.opencontainers.image.title": "auditrail", "org.opencontainers.image.version": "$version",
   "org.opencontainers.image.licenses": "Apache-2.0"}},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$diff_id"]},
 "history": [{"created": "$created", "created_by": "etc/release/image.sh"}]}
END
  cat >"$work/manifest" <<END
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
 "config": {"mediaType": "application/vnd.oci.image.config.v1+json", $(blob "$work/config")},
 "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", $layer}]}
END
  manifests+=${manifests:+, }$(printf '{"mediaType": "%s", %s, "platform": {"architecture": "%s", "os": "linux"}}' \
    application/vnd.oci.image.manifest.v1+json "$(blob "$work/manifest")" "$(platform "$arch")")
done
cat >"$work/index" <<END
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [$manifests]}
END
index=$(blob "$work/index")
cat >"$layout/index.json" <<END
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
 {"mediaType": "application/vnd.oci.image.index.v1+json", $index,
  "annotations": {"org.opencontainers.image.ref.name": "$version"}}]}
END
echo '{"imageLayoutVersion": "1.0.0"}' >"$layout/oci-layout"

to=$out/auditrail-$version-image.tar
archive "$layout" >"$to"
echo "image ${to##*/}: sha256:$(sed -n 's/.*"digest": "sha256:\([0-9a-f]*\)".*/\1/p' "$layout/index.json")"
