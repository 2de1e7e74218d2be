//! `type = "falco"`: the webhook of Falco's k8saudit plugin.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::ConfigError;
use super::http::{Http, endpoint, is_telling};
use super::item::Item;
use super::table::Table;

/// The settings of a Falco output.
#[derive(Clone, Debug)]
pub(crate) struct Falco {
    pub(crate) http: Http,
    /// The whole URL, as in `open_params` of the plugin; a query is kept.
    pub(crate) endpoint: String,
    /// How much is sent again after Falco was away; `None`: nothing. Default: nothing.
    pub(crate) resend_window: Option<Duration>,
}

/// Default time-out. While Falco's queue is full it does not answer, and takes the body later even if nobody waits for
/// the answer any more. So a body that is given up too soon is taken twice.
const TIMEOUT: Duration = Duration::from_mins(5);

const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);

/// Falco drops larger events with a line in its log only: 256 KiB, with room for what the agent adds.
pub(super) const MOST_EVENT: usize = 240 << 10;

/// Defaults of `batch`. Falco queues 50 bodies in memory, and its parser is known to fail on large ones after Falco has
/// answered 200 (falcosecurity/plugins issue 1059). It saves a checkpoint for each body, so a batch waits for a second.
pub(super) const BATCH_EVENTS: usize = 500;
pub(super) const BATCH_AGE: Duration = Duration::from_secs(1);

impl Falco {
    pub(super) fn read(table: &mut Table<'_>) -> Result<Self, ConfigError> {
        let at = table.need("endpoint", "endpoint = \"http://127.0.0.1:9765/k8s-audit\"")?;
        let url = endpoint(&at)?;
        let is_secret = url.query_pairs().any(|(name, _)| is_telling(&name));
        Ok(Self {
            endpoint: if is_secret { at.secret()? } else { at.text()? },
            http: Http::read(table, &[url], false, TIMEOUT)?,
            resend_window: match table.get("resend_window") {
                None => None,
                Some(item) if item.is_off() => None,
                Some(item) => Some(item.duration(WINDOW)?),
            },
        })
    }
}

/// `batch.max_bytes`, which has a bound of its own: Falco refuses a body above 12 MiB.
pub(super) fn batch_bytes(item: &Item<'_>) -> Result<u64, ConfigError> {
    if item.size(0..=u64::MAX)? > 10 << 20 {
        let why = "Falco takes no body above 12 MiB, and events need room for what is added";
        return Err(item.wrong(format!("must not be above \"10MiB\": {why}")));
    }
    item.size(1 << 10..=10 << 20)
}
