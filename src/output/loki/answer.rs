//! Parses answers of `query_range`: streams, and the entries of each. Other JSON is an error and not an empty answer:
//! it says neither that something is stored nor that nothing is.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::event::Nanos;

/// `L` is the type for the stream's labels, `T` the type for a line.
#[derive(Deserialize)]
#[serde(bound(deserialize = "L: Default + Deserialize<'de>, T: Deserialize<'de>"))]
pub(super) struct Reply<L, T> {
    #[expect(dead_code, reason = "it has to be there")]
    status: Success,
    pub(super) data: Data<L, T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Success {
    Success,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ResultType {
    Streams,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "L: Default + Deserialize<'de>, T: Deserialize<'de>"))]
pub(super) struct Data<L, T> {
    #[expect(dead_code, reason = "it has to be there")]
    #[serde(rename = "resultType")]
    result_type: ResultType,
    pub(super) result: Vec<LokiStream<L, T>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "L: Default + Deserialize<'de>, T: Deserialize<'de>"))]
pub(super) struct LokiStream<L, T> {
    #[serde(default)]
    pub(super) stream: L,
    pub(super) values: Vec<LogEntry<T>>,
}

/// Timestamp and line; further elements of newer versions are ignored.
pub(super) struct LogEntry<T>(pub(super) Nanos, pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LogEntry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntryVisitor(PhantomData))
    }
}

struct EntryVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntryVisitor<T> {
    type Value = LogEntry<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[time stamp, line]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<LogEntry<T>, A::Error> {
        let missing = || serde::de::Error::invalid_length(0, &self);
        let time: Cow<'_, str> = seq.next_element()?.ok_or_else(missing)?;
        let time = time.parse().map_err(serde::de::Error::custom)?;
        let line = seq.next_element()?.ok_or_else(missing)?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(LogEntry(time, line))
    }
}
