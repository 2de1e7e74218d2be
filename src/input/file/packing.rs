//! Detects the compression format of a file from its first bytes, not from its name: people name gzip files `.log`
//! and plain files `.gz`.

use std::fmt;
use std::io;

use crate::disk::ReadFile;

/// Bytes needed to detect the format: a tar archive has its magic bytes after the name of its first file.
pub(crate) const BEGIN: usize = 512;

/// A compression format that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

/// A format that cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Foreign {
    Zip,
    SevenZip,
    Lz4,
    Lzip,
    Lzma,
    Compress,
    Tar,
    /// A tar archive, compressed.
    PackedTar,
}

/// File name suffixes of compressors.
pub(crate) const SUFFIXES: &[&str] = &[".gz", ".gzip", ".zst", ".zstd", ".xz", ".bz2", ".bzip2"];

/// The magic bytes of each format, and their offset.
const MAGIC: &[(usize, &[u8], Result<Packing, Foreign>)] = &[
    (0, &[0x1f, 0x8b], Ok(Packing::Gzip)),
    (0, &[0x28, 0xb5, 0x2f, 0xfd], Ok(Packing::Zstd)),
    // A skippable frame, which pzstd writes first.
    (0, &[0x50, 0x2a, 0x4d, 0x18], Ok(Packing::Zstd)),
    (0, &[0xfd, b'7', b'z', b'X', b'Z', 0], Ok(Packing::Xz)),
    (0, b"BZh", Ok(Packing::Bzip2)),
    (0, b"PK\x03\x04", Err(Foreign::Zip)),
    (0, b"PK\x05\x06", Err(Foreign::Zip)),
    (0, &[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], Err(Foreign::SevenZip)),
    (0, &[0x04, 0x22, 0x4d, 0x18], Err(Foreign::Lz4)),
    (0, b"LZIP", Err(Foreign::Lzip)),
    (0, &[0x5d, 0, 0], Err(Foreign::Lzma)),
    (0, &[0x1f, 0x9d], Err(Foreign::Compress)),
    (257, b"ustar", Err(Foreign::Tar)),
];

/// File name suffixes of formats that cannot be read.
const ENDS: &[(&str, Foreign)] = &[
    (".zip", Foreign::Zip),
    (".7z", Foreign::SevenZip),
    (".lz4", Foreign::Lz4),
    (".lz", Foreign::Lzip),
    (".lzma", Foreign::Lzma),
    (".Z", Foreign::Compress),
    (".tar", Foreign::Tar),
    (".tgz", Foreign::PackedTar),
    (".tbz2", Foreign::PackedTar),
    (".txz", Foreign::PackedTar),
];

impl Packing {
    /// The format of a file with this beginning; `None`: it is not compressed.
    pub(crate) fn of(begin: &[u8]) -> Result<Option<Self>, Foreign> {
        let fits =
            |at: usize, magic: &[u8]| begin.get(at..).is_some_and(|from| from.starts_with(magic));
        let found = MAGIC.iter().find(|(at, magic, _)| fits(*at, magic));
        found.map_or(Ok(None), |(_, _, packing)| packing.map(Some))
    }
}

impl Foreign {
    /// The unreadable format that a file's name indicates.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let packed = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
        if packed.is_some_and(|stem| stem.to_ascii_lowercase().ends_with(".tar")) {
            return Some(Self::PackedTar);
        }
        ENDS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, foreign)| *foreign)
    }

    /// The format, and the command that turns it into a plain log.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Zip => ("a zip archive", "unzip"),
            Self::SevenZip => ("a 7z archive", "7z x"),
            Self::Lz4 => ("compressed with lz4", "lz4 -d"),
            Self::Lzip => ("compressed with lzip", "lzip -d"),
            Self::Lzma => ("compressed with lzma", "xz --format=lzma -d"),
            Self::Compress => ("compressed with compress", "uncompress"),
            Self::Tar => ("a tar archive", "tar -xf"),
            Self::PackedTar => ("a compressed tar archive", "tar -xf"),
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (format, command) = self.words();
        write!(f, "{format}, which is not read: unpack it with `{command}`")
    }
}

impl std::error::Error for Foreign {}

/// The first bytes of a file.
pub(crate) fn begin_of(file: &ReadFile) -> io::Result<Vec<u8>> {
    let mut begin = vec![0; BEGIN];
    let mut got = 0;
    while got < BEGIN {
        match file.read_at(&mut begin[got..], got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    begin.truncate(got);
    Ok(begin)
}

/// Whether a file with the name of a compressed one is a plain log after all: a damaged file has other bytes.
pub(crate) fn is_text(begin: &[u8]) -> bool {
    let text = |byte: &u8| *byte >= b' ' || byte.is_ascii_whitespace();
    begin.first().is_some_and(|first| matches!(first, b'{' | b'[') || first.is_ascii_whitespace())
        && begin.iter().all(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_how_the_file_begins() {
        type Row<'a> = (&'a [u8], Result<Option<Packing>, Foreign>);
        let mut tar = vec![0; 300];
        tar[257..262].copy_from_slice(b"ustar");
        let table: [Row<'_>; 8] = [
            (b"{\"kind\":\"Event\"", Ok(None)),
            (b"", Ok(None)),
            (b"\x1f\x8b\x08", Ok(Some(Packing::Gzip))),
            (b"\x28\xb5\x2f\xfd\x04", Ok(Some(Packing::Zstd))),
            (b"\xfd7zXZ\0\0", Ok(Some(Packing::Xz))),
            (b"BZh91AY&SY", Ok(Some(Packing::Bzip2))),
            (b"PK\x03\x04\x14", Err(Foreign::Zip)),
            (&tar, Err(Foreign::Tar)),
        ];
        for (begin, packing) in table {
            assert_eq!(Packing::of(begin), packing, "{begin:?}");
        }
    }

    #[test]
    fn a_name_tells_the_format_and_the_command_that_unpacks_it() {
        for (name, command) in [
            ("audit.log.1.zip", "unzip"),
            ("audit.log-20261126.tar.gz", "tar -xf"),
            ("audit.log.2.lz4", "lz4 -d"),
        ] {
            let told = Foreign::named(name).map(|format| format.to_string()).unwrap_or_default();
            assert!(told.ends_with(&format!("unpack it with `{command}`")), "{name}: {told}");
        }
        assert_eq!(["audit.log.1.gz", "audit.log"].map(Foreign::named), [None, None]);
    }
}
