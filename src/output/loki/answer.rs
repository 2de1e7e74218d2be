//! Parses answers of `query_range`: streams, and the entries of each. Other JSON is an error and not an empty answer:
//! it says neither that something is stored nor that nothing is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

use crate::event::Nanos;
use crate::json;

#[derive(Deserialize)]
struct Reply<'a> {
    #[expect(dead_code, reason = "it has to be there")]
    status: Success,
    #[serde(borrow)]
    data: Data<'a>,
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
struct Data<'a> {
    #[expect(dead_code, reason = "it has to be there")]
    #[serde(rename = "resultType")]
    result_type: ResultType,
    #[serde(borrow)]
    result: Vec<LokiStream<'a>>,
}

#[derive(Deserialize)]
pub(super) struct LokiStream<'a> {
    #[serde(default, rename = "stream")]
    pub(super) labels: BTreeMap<String, String>,
    /// Timestamp and line of each entry, as they are written, so that the lines do not all exist twice. Newer versions
    /// add more elements, which are ignored.
    #[serde(borrow)]
    values: Vec<Vec<&'a RawValue>>,
}

impl LokiStream<'_> {
    /// Timestamp and line of each entry.
    pub(super) fn entries(
        &self,
    ) -> impl Iterator<Item = serde_json::Result<(Nanos, Cow<'_, str>)>> {
        self.values.iter().map(|entry| {
            let [time, line, ..] = entry[..] else {
                return Err(serde_json::Error::custom("an entry without a time or a line"));
            };
            let time: Cow<'_, str> = serde_json::from_str(time.get())?;
            let time = time.parse().map_err(serde_json::Error::custom)?;
            let line = json::inside(line.get().as_bytes())
                .ok_or_else(|| serde_json::Error::custom("a line that is no text"))?;
            Ok((time, json::unescape(line)))
        })
    }
}

/// The streams in an answer.
pub(super) fn streams(body: &[u8]) -> serde_json::Result<Vec<LokiStream<'_>>> {
    serde_json::from_slice::<Reply<'_>>(body).map(|reply| reply.data.result)
}
