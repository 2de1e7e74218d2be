//! The streams of all tenants, restored from the journal after a kill.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::journal::Journal;
use super::labels::Labels;
use super::limits::{Bucket, Settings};

pub(super) struct Stream {
    pub(super) labels: Labels,
    /// By timestamp in nanoseconds, then by order of arrival.
    pub(super) entries: BTreeMap<(i64, u64), Entry>,
    pub(super) newest: i64,
    pub(super) rate: Bucket,
    pushes: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Entry {
    pub(super) ns: i64,
    pub(super) line: String,
    pub(super) metadata: Labels,
    /// The shard of the stream that holds the entry. Loki deduplicates repeats within one shard only.
    #[serde(default)]
    pub(super) shard: u64,
    #[serde(default)]
    pub(super) flushed: bool,
}

/// The entries that one push stored in one stream; the unit of the journal.
#[derive(Deserialize, Serialize)]
pub(super) struct Taken {
    pub(super) tenant: String,
    pub(super) labels: Labels,
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Store {
    journal: Journal<Taken>,
    streams: BTreeMap<(String, Labels), Stream>,
    tenants: BTreeMap<String, Bucket>,
    arrived: u64,
}

impl Store {
    pub(super) fn open(path: &Path) -> Self {
        let (journal, records) = Journal::open(path);
        let (streams, tenants) = (BTreeMap::new(), BTreeMap::new());
        let mut store = Self { journal, streams, tenants, arrived: 0 };
        for taken in records {
            store.keep(taken);
        }
        store
    }

    /// The rate limit of a tenant.
    pub(super) fn tenant(&mut self, tenant: &str, settings: &Settings) -> &mut Bucket {
        self.tenants.entry(tenant.to_owned()).or_insert_with(|| settings.rate())
    }

    /// The stream, created if it is new; `None` if the tenant has `max_streams` already.
    pub(super) fn stream(
        &mut self,
        tenant: &str,
        labels: &Labels,
        settings: &Settings,
    ) -> Option<&mut Stream> {
        let key = (tenant.to_owned(), labels.clone());
        let count = self.streams.keys().filter(|(of, _)| of == tenant).count();
        if !self.streams.contains_key(&key) && count >= settings.max_streams {
            return None;
        }
        let stream = self.streams.entry(key).or_insert_with(|| Stream::new(labels, settings));
        Some(stream)
    }

    /// Stores entries, after writing them to the journal.
    pub(super) fn take(&mut self, mut taken: Taken, settings: &Settings) {
        let key = (taken.tenant.clone(), taken.labels.clone());
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.pushes += 1;
            let shard = if settings.shard_streams { stream.pushes / 2 % 2 } else { 0 };
            taken.entries.iter_mut().for_each(|entry| entry.shard = shard);
        }
        self.journal.write(&taken);
        self.keep(taken);
    }

    fn keep(&mut self, taken: Taken) {
        let key = (taken.tenant, taken.labels);
        let labels = &key.1.clone();
        let settings = Settings::default();
        let stream = self.streams.entry(key).or_insert_with(|| Stream::new(labels, &settings));
        for entry in taken.entries {
            self.arrived += 1;
            stream.newest = stream.newest.max(entry.ns);
            stream.entries.insert((entry.ns, self.arrived), entry);
        }
    }

    /// Flush: moves everything from memory to storage, where queries look for entries of any age.
    pub(super) fn flush(&mut self) {
        let streams = self.streams.values_mut();
        streams
            .flat_map(|stream| stream.entries.values_mut())
            .for_each(|entry| entry.flushed = true);
    }

    pub(super) fn of<'a>(&'a self, tenant: &'a str) -> impl Iterator<Item = &'a Stream> {
        self.streams.iter().filter(move |((of, _), _)| of == tenant).map(|(_, stream)| stream)
    }
}

impl Stream {
    fn new(labels: &Labels, settings: &Settings) -> Self {
        let (labels, rate) = (labels.clone(), settings.stream_rate());
        Self { labels, entries: BTreeMap::new(), newest: i64::MIN, rate, pushes: 0 }
    }
}

/// `{a="b", c="d"}`, as error messages show a stream.
pub(super) fn shown(labels: &Labels) -> String {
    let mut text = "{".to_owned();
    for (at, (name, value)) in labels.iter().enumerate() {
        write!(text, "{}{name}={value:?}", if at == 0 { "" } else { ", " }).unwrap();
    }
    text + "}"
}
