//! `type = "webhook"`: the API server sends its events to the agent, which writes them to a log of its own and follows
//! that.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::elasticsearch::COMPRESSIONS;
use super::input::{FollowedLog, Hold, StartAt};
use super::item::Item;
use super::paths::Paths;
use super::server::host_and_port;
use super::table::Table;
use super::waits::Waits;
use super::{Compression, ConfigError, MinFree};

/// The settings of a receiver of the API server's audit webhook.
#[derive(Clone, Debug)]
pub(crate) struct WebhookInput {
    /// The spool, which the agent follows.
    pub(crate) log: FollowedLog,
    /// `host:port`. Default `127.0.0.1:9886`.
    pub(crate) listen: String,
    /// Whether the receiver may listen on other addresses than those of the loopback interface.
    pub(crate) insecure_listen: bool,
}

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
const LISTEN: &str = "127.0.0.1:9886";

impl WebhookInput {
    pub(super) fn read(
        name: Arc<str>,
        table: &mut Table<'_>,
        state_dir: &Path,
        (paths, kind): (&mut Paths, &Item<'_>),
    ) -> Result<Self, ConfigError> {
        let insecure_listen = table.or("insecure_listen", false, Item::flag)?;
        let listen = match table.get("listen") {
            None => LISTEN.to_owned(),
            Some(item) => {
                let listen = host_and_port(&item)?;
                if !insecure_listen && !is_loopback(&listen) {
                    return Err(item.wrong(
                        "without TLS, whoever reaches this address can read and forge events: listen on 127.0.0.1, or set `insecure_listen = true` if only the API server reaches it",
                    ));
                }
                listen
            }
        };
        let spool = Spool::read(table.table("spool")?)?;
        let max_line_bytes = table.or("max_line_bytes", 100 << 20, FollowedLog::line)?;
        let directory = state_dir.join(SPOOLS).join(&*name);
        let path = directory.join(SPOOL_FILE);
        // The agent itself removes these files, when every output has them.
        let hold = Hold {
            max_bytes: 0,
            min_free: MinFree::Bytes(0),
            dir: directory.join(".auditrail-hold"),
        };
        let log = FollowedLog {
            name,
            path,
            start_at: StartAt::Beginning,
            max_line_bytes,
            rescan: Duration::from_secs(5),
            hold,
            backups: Vec::new(),
            neighbours: Arc::default(),
            spool: Some(spool),
            waits: Waits::USUAL,
        };
        paths.follow(&log.path, &log.name, &[], kind)?;
        Ok(Self { log, listen, insecure_listen })
    }
}

impl Spool {
    fn read(mut table: Table<'_>) -> Result<Self, ConfigError> {
        let max_bytes = table.or("max_bytes", 1 << 30, |item| item.size(SPOOL))?;
        let min_free = table.or("min_free", MinFree::Percent(20), MinFree::read)?;
        let compression =
            table.or("compression", Compression::Gzip, |item| item.choice(&COMPRESSIONS))?;
        table.finish()?;
        Ok(Self { max_bytes, min_free, compress: compression == Compression::Gzip })
    }
}

/// Whether only programs of this machine reach an address.
fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
