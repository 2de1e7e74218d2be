#!/usr/bin/env bash
# Builds the static binaries, with the debug symbols in a file of their own. No path of this machine is in them, so that
# two builds of a commit are equal, byte for byte, wherever they are made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. etc/release/lib.sh

# The most bytes that a binary may have. HTTP/2, the server's side of TLS and the maker of certificates take 0.7 MB.
limit=13000000
cargo_home=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
sysroot=$(realpath "$(rustc --print sysroot)")
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')

# Where two of them apply, the last one does. Rust's own library names its sources after /rustc already; code that is
# compiled anew from them (generics) names the place where they are installed.
maps=("$PWD=/auditrail" "$cargo_home=/cargo" "$sysroot=/rust" "$sysroot/lib/rustlib/src/rust=/rustc/$commit")
flags=()
# A compiler for glibc may call functions that check lengths, which musl lacks.
c_flags=-U_FORTIFY_SOURCE
for map in "${maps[@]}"; do
  flags+=("--remap-path-prefix=$map")
  c_flags+=" $(printf %q "-ffile-prefix-map=$map")"
done
# Rust's own linker, so that its version is that of the compiler. Relocations are packed, and functions that are equal are
# kept once.
flags+=(-Clink-arg=--build-id=sha1 -Clink-arg=--pack-dyn-relocs=relr -Clink-arg=--icf=safe)
# Whatever flags the caller has, these are the only ones: they decide about the bytes.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS CARGO_INCREMENTAL=0
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
# The C code of ring and mimalloc. Debian has no compiler for musl on arm64; the one for glibc makes the same code.
export CC_x86_64_unknown_linux_musl=musl-gcc CC_aarch64_unknown_linux_musl=aarch64-linux-gnu-gcc
export CFLAGS_x86_64_unknown_linux_musl=$c_flags CFLAGS_aarch64_unknown_linux_musl=$c_flags CC_SHELL_ESCAPED_FLAGS=1

mkdir -p "$out"
for arch in "${architectures[@]}"; do
  # The last step optimises across crates, and does it for speed: otherwise no crate has vectorised loops.
  cargo rustc --locked --profile dist --bin auditrail --target "$arch-unknown-linux-musl" -- -C opt-level=2
  built=$(realpath "${CARGO_TARGET_DIR:-target}/$arch-unknown-linux-musl/dist/auditrail")
  to=$(binary "$arch")
  objcopy=$arch-linux-gnu-objcopy
  rm -f "$to" "$to.debug"
  "$objcopy" --only-keep-debug --compress-debug-sections=zlib "$built" "$to.debug"
  chmod 0644 "$to.debug"
  # Made in its folder: the link holds the file's name and checksum.
  (cd "$out" && "$objcopy" --strip-all "--add-gnu-debuglink=${to##*/}.debug" "$built" "$to")

  for map in "${maps[@]}"; do
    ! grep -qF -- "${map%=*}" "$to" || fail "$to names the folder ${map%=*}"
    ! "$arch-linux-gnu-readelf" --string-dump=.debug_str --string-dump=.debug_line_str "$to.debug" 2>/dev/null |
      grep -F -- "${map%=*}" || fail "$to.debug names the folder ${map%=*}"
  done
  ! "$arch-linux-gnu-readelf" --dynamic "$to" | grep -F NEEDED || fail "$to is not static"
  size=$(stat --format=%s "$to")
  [ "$size" -le $limit ] || fail "$to has $size bytes, and $limit are the most"
  echo "$arch: $size bytes, $(sha256sum <"$to" | cut -d' ' -f1)"
done
