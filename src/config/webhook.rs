//! `type = "webhook"`: the API server sends its events to the agent, which writes them to a log of its own and follows
//! that.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::address::host_and_port;
use super::followed::{FollowedLog, Hold, StartAt};
use super::item::Item;
use super::paths::Paths;
use super::spool::{SPOOL_FILE, SPOOLS, Spool};
use super::table::Table;
use super::waits::Waits;
use super::{ConfigError, MinFree};

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

/// Whether only programs of this machine reach an address.
fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
