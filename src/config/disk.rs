//! `disk`: how much the agent may write below `state_dir`, and how much of the file system stays free.

use std::ops::RangeInclusive;

use super::ConfigError;
use super::item::Item;
use super::table::Table;
use super::value::percent;

const DISK: RangeInclusive<u64> = 1 << 20..=1 << 50;

/// `disk`: limits on everything that the agent writes below `state_dir`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    /// Maximum total size. Default 1 GiB.
    pub(crate) max_bytes: u64,
    /// Free space to leave on the file system. Default 20 %.
    pub(crate) min_free: MinFree,
}

/// Space that must stay free on the file system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MinFree {
    Bytes(u64),
    /// 0 to 100.
    Percent(u8),
}

impl Disk {
    pub(super) fn read(mut table: Table<'_>) -> Result<Self, ConfigError> {
        let max_bytes = table.or("max_bytes", 1 << 30, |item| item.size(DISK))?;
        let min_free = table.or("min_free", MinFree::Percent(20), MinFree::read)?;
        table.finish()?;
        Ok(Self { max_bytes, min_free })
    }
}

impl MinFree {
    /// The bytes of a file system of this size.
    pub(crate) fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => total / 100 * u64::from(percent),
        }
    }

    /// Parses a percentage of the file system, or a size.
    pub(super) fn read(item: &Item<'_>) -> Result<Self, ConfigError> {
        if let Ok(text) = item.text()
            && text.contains('%')
        {
            let percent = percent(&text)
                .ok_or_else(|| item.wrong("write a share from \"0%\" to \"100%\""))?;
            return Ok(Self::Percent(percent));
        }
        Ok(Self::Bytes(item.size(0..=1 << 50)?))
    }
}
