//! Reading plain and compressed files that are intact, damaged or replaced.

use std::io::Write as _;
use std::path::Path;

use kit::log_writer::gzip;

use super::*;
use crate::disk::Links;

fn held(path: &Path, gzip: bool) -> OpenFile {
    OpenFile { file: Arc::new(ReadFile::open(path, Links::Followed).unwrap()), gzip, id: (0, 0) }
}

/// All bytes that can be read from an offset, and whether they end in damage.
fn drain(path: &Path, at: u64) -> (Vec<u8>, bool) {
    let mut source = match Source::open(held(path, true), at, &Arc::default(), &Pulse::default()) {
        Ok(source) => source,
        Err(Trouble::Damaged { .. }) => return (Vec::new(), true),
        Err(other) => panic!("{other:?}"),
    };
    let mut all = Vec::new();
    loop {
        match source.read(&mut all, 1000) {
            Ok(0) => return (all, false),
            Ok(_) => {}
            Err(Trouble::Damaged { .. }) => return (all, true),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_backup_of_several_members_reads_as_one_from_any_offset() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gz");
    std::fs::write(&path, [gzip(b"one two "), gzip(b""), gzip(b"three")].concat()).unwrap();
    for at in 0..=13 {
        assert_eq!(drain(&path, at as u64), (b"one two three"[at..].to_vec(), false));
    }
}

#[test]
fn a_backup_cut_anywhere_gives_a_prefix_and_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gz");
    let text: Vec<u8> = (0..3000_u32)
        .flat_map(|n| format!("line {}\n", n.wrapping_mul(2_654_435_761) % 1000).into_bytes())
        .collect();
    let whole = gzip(&text);
    for cut in (0..whole.len()).step_by(97).chain(whole.len() - 12..whole.len()) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let (read, damaged) = drain(&path, 0);
        assert!(
            text.starts_with(&read) && (damaged || cut == 0),
            "cut at {cut} of {}",
            whole.len()
        );
        // If only the trailer is missing, all of the text is read.
        assert!(cut < whole.len() - 8 || read == text, "cut at {cut} of {}", whole.len());
    }
}

#[test]
fn what_stands_before_a_flipped_byte_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gz");
    let mut noise = 1_u32;
    let text: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    })
    .take(300_000)
    .collect();
    let mut broken = gzip(&text);
    let last = broken.len() - 3;
    broken[last] ^= 1;
    std::fs::write(&path, &broken).unwrap();
    let (read, damaged) = drain(&path, 0);
    assert!(damaged && read == text, "{} of {} read", read.len(), text.len());
}

#[test]
fn a_file_that_was_written_over_is_not_read_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "first\nsecond\n").unwrap();
    let mut source =
        Source::open(held(&path, false), 6, &Arc::from(*b"first\n"), &Pulse::default())
            .ok()
            .unwrap();
    let mut buffer = Vec::new();
    assert!(matches!(source.read(&mut buffer, 3), Ok(3)));
    std::fs::write(&path, "other\nsecond third\n").unwrap();
    assert!(matches!(source.read(&mut buffer, 100), Err(Trouble::Replaced)));
    assert_eq!(buffer, b"sec");
}

#[test]
fn the_bytes_before_an_offset_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let (path, key) = (dir.path().join("a.gz"), Key([1; 32]));
    std::fs::write(&path, gzip(b"first\nsecond\n")).unwrap();
    let source =
        Source::open(held(&path, true), 6, &Arc::default(), &Pulse::default()).ok().unwrap();
    assert!(source.matches(Mark::of(b"first\n", &key).unwrap(), &key).unwrap());
    assert!(!source.matches(Mark::of(b"other\n", &key).unwrap(), &key).unwrap());
}

/// A disk error that occurs once is not damage: a retry reads the bytes.
#[test]
fn an_error_of_the_disk_is_told_as_one_at_every_read_of_every_format_and_damages_nothing() {
    use crate::disk::{FaultKind, plan};
    let dir = tempfile::tempdir().unwrap();
    let text: Vec<u8> = (0..40_000_u32).flat_map(|n| format!("{n} ").into_bytes()).collect();
    let bzip2 = {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(&text).unwrap();
        encoder.finish().unwrap()
    };
    for (name, packed) in [("a.gz", gzip(&text)), ("a.bz2", bzip2)] {
        let path = dir.path().join(name);
        std::fs::write(&path, packed).unwrap();
        for errno in [rustix::io::Errno::IO, rustix::io::Errno::INTR, rustix::io::Errno::ROFS] {
            let mut failed = 0;
            for before in 0..8 {
                let file = held(&path, true);
                plan(&path, FaultKind::Read, before, 1, errno);
                let mut all = Vec::new();
                let read = Source::open(file, 1000, &Arc::default(), &Pulse::default()).and_then(
                    |mut source| {
                        while source.read(&mut all, 10_000)? > 0 {}
                        Ok(())
                    },
                );
                plan(&path, FaultKind::Read, 0, 0, errno);
                match read {
                    Ok(()) => assert_eq!(all, text[1000..], "{name} {errno:?} at read {before}"),
                    Err(Trouble::Io(error)) => {
                        assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
                        failed += 1;
                    }
                    Err(other) => panic!("{name} {errno:?} at read {before}: {other:?}"),
                }
            }
            assert!(
                (failed > 1) == (errno != rustix::io::Errno::INTR),
                "{name} {errno:?}: {failed}"
            );
        }
    }
}
