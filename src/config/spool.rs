//! `spool`: the log of a webhook, which the agent writes itself. Where it is, and its limits.

use super::elasticsearch::COMPRESSIONS;
use super::table::Table;
use super::{Compression, ConfigError, MinFree};

/// `spool`: the limits of the log that the agent writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spool {
    /// Maximum size on disk. Default 1 GiB.
    pub(crate) max_bytes: u64,
    /// Free space to leave on the file system. Default 20 %.
    pub(crate) min_free: MinFree,
    /// Whether files that wait for an output are compressed with gzip. Default yes.
    pub(crate) compress: bool,
}

/// Bounds of `spool.max_bytes`: two files, one of them being compressed, up to what a disk holds.
const SPOOL: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 50;
/// The directory below `state_dir` that holds the spool of each webhook, in a directory of the input's name.
pub(crate) const SPOOLS: &str = "spool";
/// The file in it that is written to.
pub(crate) const SPOOL_FILE: &str = "spool.log";

impl Spool {
    pub(super) fn read(mut table: Table<'_>) -> Result<Self, ConfigError> {
        let max_bytes = table.or("max_bytes", 1 << 30, |item| item.size(SPOOL))?;
        let min_free = table.or("min_free", MinFree::Percent(20), MinFree::read)?;
        let compression =
            table.or("compression", Compression::Gzip, |item| item.choice(&COMPRESSIONS))?;
        table.finish()?;
        Ok(Self { max_bytes, min_free, compress: compression == Compression::Gzip })
    }
}
