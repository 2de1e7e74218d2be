//! `[outputs.NAME]`: where events go, and the limits of delivery: batch size, requests in flight, retry back-off,
//! rate limit.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::ConfigError;
use super::elasticsearch::Elasticsearch;
use super::falco::{self, Falco};
use super::file::FileOutput;
use super::http::{Http, is_telling};
use super::input::{InputKind, chosen, later, named};
use super::item::Item;
use super::loki::{self, Loki};
use super::paths::Paths;
use super::table::Table;
use super::transform::{Given, Transform, TransformDefaults};

/// `[outputs.NAME]`: one output.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) name: Arc<str>,
    /// Names of the inputs that it ships; each of them exists.
    pub(crate) inputs: Vec<Arc<str>>,
    pub(crate) batch: Batch,
    /// Maximum requests in flight, at least 1. A file and Falco always have 1.
    pub(crate) in_flight: usize,
    pub(crate) retry: Retry,
    /// Rate limit in uncompressed log bytes per second; `None`: no limit.
    pub(crate) max_bytes_per_second: Option<u64>,
    pub(crate) transform: Transform,
    pub(crate) kind: OutputKind,
}

/// When a batch is complete: at the first limit that it reaches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// Log bytes. A longer line is a batch of its own.
    pub(crate) bytes: usize,
    pub(crate) events: usize,
    pub(crate) age: Duration,
}

/// Bounds of the back-off between two retries. Retries never end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// What kind of back end an output is.
#[derive(Clone, Debug)]
pub(crate) enum OutputKind {
    Loki(Loki),
    Elasticsearch(Elasticsearch),
    Falco(Falco),
    File(FileOutput),
}

impl OutputKind {
    /// How the output is reached over HTTP, if it is.
    pub(crate) fn http(&self) -> Option<&Http> {
        match self {
            Self::Loki(loki) => Some(&loki.http),
            Self::Elasticsearch(elasticsearch) => Some(&elasticsearch.http),
            Self::Falco(falco) => Some(&falco.http),
            Self::File(_) => None,
        }
    }

    /// The URLs that it sends to.
    pub(crate) fn endpoints(&self) -> &[String] {
        match self {
            Self::Loki(loki) => std::slice::from_ref(&loki.endpoint),
            Self::Elasticsearch(elasticsearch) => &elasticsearch.endpoints,
            Self::Falco(falco) => std::slice::from_ref(&falco.endpoint),
            Self::File(_) => &[],
        }
    }

    /// How much it sends again after its back end was away; `None`: nothing.
    pub(crate) fn resend_window(&self) -> Option<Duration> {
        match self {
            Self::Falco(falco) => falco.resend_window,
            Self::Loki(_) | Self::Elasticsearch(_) | Self::File(_) => None,
        }
    }

    /// Whether a parameter that it adds to each URL is a credential.
    pub(crate) fn has_telling_query(&self) -> bool {
        match self {
            Self::Elasticsearch(search) => search.query.iter().any(|(name, _)| is_telling(name)),
            Self::Loki(_) | Self::Falco(_) | Self::File(_) => false,
        }
    }

    /// Where it sends to: type and endpoint, without the query, which may hold a key. The checkpoint holds this text.
    pub(crate) fn destination(&self) -> String {
        match self {
            Self::Loki(loki) => format!("loki {}", without_query(&loki.endpoint)),
            Self::Falco(falco) => format!("falco {}", without_query(&falco.endpoint)),
            Self::Elasticsearch(search) => format!("elasticsearch {}", search.endpoints.join(",")),
            Self::File(file) => format!("file {}", file.path.display()),
        }
    }
}

fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// The value of `type`.
#[derive(Clone, Copy)]
enum OutputType {
    Loki,
    Elasticsearch,
    Falco,
    File,
}

const KINDS: [(&str, OutputType); 4] = [
    ("loki", OutputType::Loki),
    ("elasticsearch", OutputType::Elasticsearch),
    ("falco", OutputType::Falco),
    ("file", OutputType::File),
];

impl OutputType {
    /// Default of `transform.max_event_bytes`. Loki refuses longer lines; the other outputs get events uncut, because
    /// an audit log is evidence.
    fn max_event_bytes(self) -> Option<usize> {
        match self {
            Self::Loki => Some(256 << 10),
            Self::Falco => Some(falco::MOST_EVENT),
            Self::Elasticsearch | Self::File => None,
        }
    }

    /// The largest `transform.max_event_bytes` that an output ever takes; `None`: any, and none at all.
    fn most_event_bytes(self) -> Option<usize> {
        match self {
            Self::Falco => Some(falco::MOST_EVENT),
            Self::Loki | Self::Elasticsearch | Self::File => None,
        }
    }

    /// Default of `transform.omit_stages`. Falco's rules look at what a request led to.
    fn omit_stages(self) -> &'static [&'static str] {
        match self {
            Self::Falco => &["RequestReceived"],
            Self::Loki | Self::Elasticsearch | Self::File => &[],
        }
    }

    fn defaults(self) -> TransformDefaults {
        TransformDefaults {
            max_event_bytes: self.max_event_bytes(),
            most_event_bytes: self.most_event_bytes(),
            omit_stages: self.omit_stages(),
        }
    }
}

/// Types that are planned but that this version does not support.
const LATER: &[&str] = &["alertmanager", "webhook"];

const BATCH_BYTES: RangeInclusive<u64> = 1 << 10..=64 << 20;
const BATCH_AGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(1);
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);
const SPEED: RangeInclusive<u64> = 1 << 10..=1 << 40;

impl Output {
    /// Reads one output from its table.
    fn read(
        name: &str,
        item: &Item<'_>,
        inputs: &[InputKind],
        transform: &Given,
        paths: &mut Paths,
    ) -> Result<Self, ConfigError> {
        let mut table = item.table()?;
        let kind = table.need("type", "type = \"loki\"")?;
        later(&kind, LATER)?;
        let kind = kind.choice(&KINDS)?;
        let own = Given::read(table.table("transform")?)?;
        let inputs = chosen(table.get("inputs"), inputs)?;
        let in_flight = match kind {
            OutputType::File | OutputType::Falco => 1,
            OutputType::Loki | OutputType::Elasticsearch => {
                table.or("in_flight", 4, |item| item.count(1..=64))?
            }
        };
        let output = Self {
            name: named(name, item)?,
            batch: Batch::read(table.table("batch")?, kind)?,
            in_flight,
            retry: Retry::read(table.table("retry")?)?,
            max_bytes_per_second: match table.get("max_bytes_per_second") {
                None => None,
                Some(item) if item.is_off() => None,
                Some(item) => Some(item.size(SPEED)?),
            },
            transform: own.over(transform, kind.defaults()),
            kind: match kind {
                OutputType::Loki => OutputKind::Loki(Loki::read(&mut table)?),
                OutputType::Elasticsearch => {
                    OutputKind::Elasticsearch(Elasticsearch::read(&mut table)?)
                }
                OutputType::Falco => OutputKind::Falco(Falco::read(&mut table)?),
                OutputType::File => OutputKind::File(FileOutput::read(&mut table, &inputs, paths)?),
            },
            inputs,
        };
        table.finish()?;
        Ok(output)
    }
}

impl Batch {
    fn read(mut table: Table<'_>, kind: OutputType) -> Result<Self, ConfigError> {
        let (events, age) = match kind {
            OutputType::Falco => (falco::BATCH_EVENTS, falco::BATCH_AGE),
            _ => (5000, Duration::from_millis(200)),
        };
        let max_bytes = match (table.get("max_bytes"), kind) {
            (None, _) => 1 << 20,
            (Some(item), OutputType::Loki) => loki::batch_bytes(&item)?,
            (Some(item), OutputType::Falco) => falco::batch_bytes(&item)?,
            (Some(item), _) => item.size(BATCH_BYTES)?,
        };
        let batch = Self {
            bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            events: table.or("max_events", events, |item| item.count(1..=100_000))?,
            age: table.or("max_age", age, |item| item.duration(BATCH_AGE))?,
        };
        table.finish()?;
        Ok(batch)
    }
}

impl Retry {
    fn read(mut table: Table<'_>) -> Result<Self, ConfigError> {
        let min = table.or("min", Duration::from_millis(500), |item| item.duration(PAUSE))?;
        let max = match table.get("max") {
            None => min.max(Duration::from_mins(1)),
            Some(item) => match item.duration(PAUSE)? {
                max if max < min => {
                    return Err(item.wrong("must not be shorter than `min` beside it"));
                }
                max => max,
            },
        };
        table.finish()?;
        Ok(Self { min, max })
    }
}

/// Reads `[outputs]`, in the order of their names.
pub(super) fn read_all(
    document: &mut Table<'_>,
    inputs: &[InputKind],
    transform: &Given,
    paths: &mut Paths,
) -> Result<Vec<Output>, ConfigError> {
    let item = document.need("outputs", "[outputs.loki]")?;
    let mut outputs = Vec::new();
    for (name, item) in item.table()?.entries() {
        outputs.push(Output::read(&name, &item, inputs, transform, paths)?);
    }
    if outputs.is_empty() {
        return Err(
            item.wrong("nowhere to deliver to: add `[outputs.loki]` with `type` and `endpoint`")
        );
    }
    Ok(outputs)
}
