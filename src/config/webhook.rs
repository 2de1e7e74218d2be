//! `type = "webhook"`: the API server sends its events to the agent, which writes them to a log of its own and follows
//! that.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::address::host_and_port;
use super::followed::{FollowedLog, Hold, StartAt};
use super::item::Item;
use super::paths::Paths;
use super::spool::{SPOOL_FILE, SPOOLS, Spool};
use super::table::Table;
use super::waits::Waits;
use super::{Auth, ConfigError, MinFree};

/// The settings of a receiver of the API server's audit webhook.
#[derive(Clone, Debug)]
pub(crate) struct WebhookInput {
    /// The spool, which the agent follows.
    pub(crate) log: FollowedLog,
    /// `host:port`. Default `127.0.0.1:9886`.
    pub(crate) listen: String,
    /// Whether the receiver may listen on other addresses than those of the loopback interface though it does not know
    /// who sends.
    pub(crate) insecure_listen: bool,
    /// `None`: plain HTTP.
    pub(crate) tls: Option<WebhookTls>,
    /// Credentials that a sender must have. Without TLS there are none.
    pub(crate) auth: Auth,
}

/// The certificates of a receiver. The files are read again when they change.
#[derive(Clone, Debug)]
pub(crate) struct WebhookTls {
    /// The receiver's certificate and those that signed it, up to the CA.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Only senders with a certificate of one of these CAs are served.
    pub(crate) client_ca: Option<PathBuf>,
}

impl WebhookTls {
    fn read(item: &Item<'_>) -> Result<Self, ConfigError> {
        let mut table = item.table()?;
        let tls = Self {
            certificate: table
                .need("cert_file", "cert_file = \"/etc/auditrail/webhook.crt\"")?
                .path()?,
            key: table.need("key_file", "key_file = \"/etc/auditrail/webhook.key\"")?.path()?,
            client_ca: table.given("client_ca_file", Item::path)?,
        };
        table.finish()?;
        Ok(tls)
    }
}

/// Where a receiver listens by default.
pub(crate) const WEBHOOK_LISTEN: &str = "127.0.0.1:9886";

impl WebhookInput {
    pub(super) fn read(
        name: Arc<str>,
        table: &mut Table<'_>,
        state_dir: &Path,
        (paths, kind): (&mut Paths, &Item<'_>),
    ) -> Result<Self, ConfigError> {
        let insecure_listen = table.or("insecure_listen", false, Item::flag)?;
        let tls = table.get("tls").map(|item| WebhookTls::read(&item)).transpose()?;
        let auth = Auth::read(table, false)?;
        if tls.is_none() && !matches!(auth, Auth::None) {
            return Err(kind.error(format!(
                "[inputs.{name}] asks for credentials, which the API server never sends over plain HTTP: set `tls`, or remove them"
            )));
        }
        let mutual = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let listen = match table.get("listen") {
            None => WEBHOOK_LISTEN.to_owned(),
            Some(item) => {
                let listen = host_and_port(&item)?;
                if !insecure_listen && !is_loopback(&listen) {
                    refuse_strangers(&item, tls.is_some(), mutual || !matches!(auth, Auth::None))?;
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
        Ok(Self { log, listen, insecure_listen, tls, auth })
    }

    /// The files that the receiver reads again when they change, with their keys.
    pub(crate) fn files(&self) -> Vec<(&Path, &'static str)> {
        let mut files = self.auth.file().into_iter().collect::<Vec<_>>();
        if let Some(WebhookTls { certificate, key, client_ca }) = &self.tls {
            files.extend([(&**certificate, "tls.cert_file"), (&**key, "tls.key_file")]);
            files.extend(client_ca.as_deref().map(|file| (file, "tls.client_ca_file")));
        }
        files
    }
}

/// Refuses an address that others reach, unless the receiver knows who sends.
fn refuse_strangers(item: &Item<'_>, encrypted: bool, known: bool) -> Result<(), ConfigError> {
    let why = match (encrypted, known) {
        (false, _) => {
            "without TLS, whoever reaches this address can read and forge events: set `tls`, listen on 127.0.0.1, or set `insecure_listen = true` if only the API server reaches it"
        }
        (true, false) => {
            "whoever reaches this address can forge events: set `tls.client_ca_file`, `bearer_token_file` or `basic_auth`, or set `insecure_listen = true` if only the API server reaches it"
        }
        (true, true) => return Ok(()),
    };
    Err(item.wrong(why))
}

/// Whether only programs of this machine reach an address.
fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
