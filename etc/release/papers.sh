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
  # Without the name of this folder, so that two of them are equal. Cargo leaves out the package's name if the folder has
  # the same, and writes some characters of the folder as a URL does.
  here=$(sed -n 's|.*"bom-ref": "path+file://\([^#"]*\)#.*|\1|p' "$name.json" | head -1 | sed 's/[].[*^$\|]/\\&/g')
  sed -e "s|path+file://$here#$version|path+file://$here#auditrail@$version|g" \
    -e "s|path+file://$here\([#/]\)|path+file:///auditrail\1|g" \
    "$name.json" >"$out/auditrail-$version-$arch-linux-musl.cdx.json"
  rm -f "$name.json" ./*/"$name.json" ./*/*/"$name.json"
done

# licence_files CRATE VERSION: the files in a crate's package that hold its licences.
licence_files() {
  find "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$1-$2" -maxdepth 1 -type f \
    \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'copyright*' -o -iname 'notice*' -o -iname 'unlicense*' \) | sort
}

# Crates that are linked on either architecture, one a line: name, version, licences.
crates=$(for arch in "${architectures[@]}"; do
  cargo tree --locked --edges normal,no-proc-macro --target "$arch-unknown-linux-musl" --prefix none \
    --format '{p} {l}'
done | sed -e 's/ (\*)$//' -e '/^auditrail/d' -e '/^$/d' -e 's/ v/ /' | sort -u)
{
  cat etc/release/licences.head.txt
  echo "$crates"
  # Each text once, below the crates that it comes with.
  declare -A users texts
  while read -r name number _; do
    while IFS= read -r file; do
      sum=$(sha256sum <"$file" | cut -d" " -f1)
      users[$sum]+="$name $number"$'\n'
      texts[$sum]=$file
    done < <(licence_files "$name" "$number")
  done <<<"$crates"
  for sum in $(printf '%s\n' "${!users[@]}" | sort); do
    printf '\n%s\n' '--------------------------------------------------------------------------------'
    printf '%s\n' "${users[$sum]}"
    cat "${texts[$sum]}"
  done
} >"$out/auditrail-$version-licences.txt"
