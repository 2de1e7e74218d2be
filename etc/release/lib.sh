# What the scripts of a release share: names, versions and the compiler's flags. To be sourced from the project's root.

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
out=$(realpath -m "${AUDITRAIL_RELEASE_ARTIFACTS:-target/release-artifacts}")
# The architectures, as Rust names them.
read -ra architectures <<<"${AUDITRAIL_RELEASE_ARCHITECTURES:-x86_64 aarch64}"

# Every time in an artifact is that of the commit, so that two builds are equal. An archive of the sources has it in a file.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  if [ -e .git ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
  else
    SOURCE_DATE_EPOCH=$(sed -n 's/^[0-9a-f]* \([0-9]*\)$/\1/p' etc/release/commit)
  fi
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:?is not set, and the commit is not known}

# Messages and the order of sorting, whatever the language of this machine.
export LC_ALL=C TZ=UTC
umask 022

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# binary ARCHITECTURE: the binary's path among the artifacts.
binary() { echo "$out/auditrail-$version-$1-linux-musl"; }

# make_parts: makes everything but the checksums, in the folder of the sources.
make_parts() {
  local part
  for part in binaries papers image packages; do
    "etc/release/$part.sh"
  done
}
