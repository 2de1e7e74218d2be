//! Compresses a generation that waits for an output.

use std::io::{self, BufReader, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::names::{compressed_name, part_name, rotated_name};
use crate::disk::{self, File, Links, ReadFile};

/// Bytes read at once.
const STEP: usize = 256 << 10;

/// Compresses a rotated file and removes the plain one; returns the compressed size in bytes. A crash at any moment
/// leaves one of the two whole.
///
/// # Errors
/// Those of the file system; the plain file is left then.
pub(super) fn compress(directory: &Path, sequence: u64) -> io::Result<u64> {
    let plain = directory.join(rotated_name(sequence));
    let part = directory.join(part_name(&format!("{sequence:010}.gz")));
    let source = ReadFile::open(&plain, Links::Refused)?;
    let written = write(BufReader::with_capacity(STEP, source), &part).and_then(|bytes| {
        disk::rename(&part, &directory.join(compressed_name(sequence)))?;
        disk::sync_directory(directory)?;
        Ok(bytes)
    });
    match &written {
        Ok(_) => disk::remove_file(&plain)?,
        // The next start removes it if this fails too.
        Err(_) => drop(disk::remove_file(&part)),
    }
    written
}

fn write(mut source: impl io::Read, part: &Path) -> io::Result<u64> {
    let mut encoder = GzEncoder::new(Sink(File::create(part)?), Compression::fast());
    io::copy(&mut source, &mut encoder)?;
    let file = encoder.finish()?.0;
    file.sync()?;
    file.length()
}

struct Sink(File);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
