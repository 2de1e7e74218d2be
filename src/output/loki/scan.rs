//! Reads all entries of a time range, page by page: `query_range` forward, in windows that Loki need not split. Both
//! `verify` and the look-up read so.
//!
//! Loki shows duplicates (same time, stream and line) as one entry, even if its metrics count them.

use std::collections::HashMap;
use std::ops::Range;

use super::Loki;
use super::answer::streams;
use super::push::{HEARTBEAT, OWN, own_stream};
use super::question::{Question, Trouble, ask, not_understood};
use super::scope::Scope;
use crate::event::{Nanos, Record, RecordKind};
use crate::output::identity::{repaired, shortened};
use crate::output::scan::{MOST, ScanCursor};
use crate::output::{Digest, EventIdentity, MILLI, QueryError, ScanPage, Stored};

const SECOND: Nanos = 1_000_000_000;
const HOUR: Nanos = 3600 * SECOND;

/// Identity and content of an event as it would be sent: both come from its line.
pub(in crate::output) fn identity(record: Record<'_>, digest: &Digest) -> EventIdentity {
    let line = repaired(record.line);
    let content = digest.short(&[line.as_bytes()]);
    EventIdentity { identity: digest.identity(&line, line.as_bytes()), content, fallback: content }
}

/// Reads a time range of one scope.
pub(crate) struct Pager<'a> {
    pub(in crate::output) loki: &'a Loki,
    scope: String,
    at: ScanCursor,
    /// The time span of one query, and its upper bound.
    window: Nanos,
    longest: Nanos,
}

/// The entries of a page, and the total length of their lines in bytes. `None`: a heartbeat, which nobody looks for.
struct Page {
    entries: Vec<(Nanos, Option<Stored>)>,
    bytes: usize,
}

impl<'a> Pager<'a> {
    /// `usual`: estimated bytes per line.
    pub(in crate::output) fn new(
        loki: &'a Loki,
        scope: String,
        range: Range<Nanos>,
        usual: usize,
    ) -> Self {
        let at = ScanCursor::new(range, usual);
        Self { loki, scope, at, window: HOUR, longest: 24 * HOUR }
    }

    /// The same, asking for as many entries as Loki gives.
    pub(super) fn asking_for_most(mut self) -> Self {
        self.at.limit = MOST;
        self
    }

    /// Restarts with another time range.
    pub(in crate::output) fn again(&mut self, range: Range<Nanos>) {
        self.at.again(range);
    }

    /// Reads the next page. Makes one request.
    pub(in crate::output) async fn next(&mut self, digest: &Digest) -> ScanPage {
        let scope = Scope::of_text(&self.scope)?;
        if self.at.is_done() {
            return Ok(None);
        }
        // If a moment fills a page, ask for that moment only.
        let window = if self.at.crowded { 1 } else { self.window };
        let end = self.at.from.saturating_add(window).min(self.at.until);
        let question = Question { range: self.at.from..end, limit: self.at.limit };
        let page = ask(self.loki, &scope, &question).await.and_then(|body| {
            read(&body, &scope.tenant, digest).map_err(|error| not_understood(&error, &body))
        });
        let page = match page {
            Ok(page) => self.turned(page, end),
            Err(trouble) => self.told(trouble),
        };
        page.map(Some)
    }

    /// Moves past a page of the range up to `end`, or to the last entry if the page is full.
    fn turned(&mut self, page: Page, end: Nanos) -> Result<Vec<Stored>, QueryError> {
        let walk = &mut self.at;
        let Page { mut entries, bytes } = page;
        let (count, limit) = (entries.len(), walk.limit);
        let last = entries.last().map_or(end, |(time, _)| *time);
        // Loki reads numbers of few digits as seconds, so its answer may go beyond the first hours of 1970.
        let full = count >= limit && last < end;
        entries.retain(|(time, _)| (walk.from..end).contains(time));
        if !full {
            // Cross long ranges without events in few queries.
            let most = if entries.is_empty() { self.longest } else { HOUR.min(self.longest) };
            self.window = (self.window.max(SECOND) * 2).min(most);
            (walk.from, walk.crowded) = (end, false);
        } else if last > walk.from {
            // Loki answers a query sooner if the range holds little more than a page.
            self.window = ((last - walk.from) * 2).clamp(SECOND, HOUR.min(self.longest));
            (walk.from, walk.crowded) = (last, false);
        } else if limit == 1 {
            // The lines are megabytes long: further entries of this very moment cannot be read.
            walk.from = last + 1;
        } else if limit < MOST {
            (walk.limit, walk.crowded) = (MOST, true);
        } else {
            return Err(crowd(last, limit));
        }
        walk.learn(count, bytes);
        Ok(entries.into_iter().filter_map(|(_, stored)| stored).collect())
    }

    /// Adapts the next question to why there is no page: an empty page, or the error.
    fn told(&mut self, trouble: Trouble) -> Result<Vec<Stored>, QueryError> {
        let walk = &mut self.at;
        match trouble {
            Trouble::Later(error) => Err(error),
            Trouble::TooLarge if walk.crowded => Err(crowd(walk.from, walk.limit)),
            Trouble::TooLarge if walk.limit > 1 => {
                walk.shrink();
                Ok(Vec::new())
            }
            Trouble::TooLarge => {
                let answer = "a single entry is larger than can be held".to_owned();
                Err(QueryError::Unavailable { answer })
            }
            Trouble::TooLong(_) if self.longest > HOUR / 60 => {
                self.longest = self.window.min(self.longest) / 2;
                self.window = self.longest;
                Ok(Vec::new())
            }
            Trouble::TooLong(answer) | Trouble::Unavailable(answer) => {
                Err(QueryError::Unavailable { answer })
            }
        }
    }
}

fn crowd(at: Nanos, limit: usize) -> QueryError {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at)).unwrap_or_default();
    let answer = format!(
        "{at} holds more entries than Loki gives for one question ({limit} were asked for)"
    );
    QueryError::Unavailable { answer }
}

fn read(body: &[u8], tenant: &str, digest: &Digest) -> serde_json::Result<Page> {
    let mut page = Page { entries: Vec::new(), bytes: 0 };
    // The ordinal among entries that are equal in everything: entries of two stream shards look the same.
    let mut alike: HashMap<u64, u64> = HashMap::new();
    for stream in streams(body)? {
        let labels: Vec<&[u8]> = stream
            .labels
            .iter()
            .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])
            .collect();
        let labels = digest.short(&labels).to_be_bytes();
        let own = stream.labels.get(OWN).map(|value| &**value);
        let gap = own.is_some() && own == own_stream(RecordKind::Gap);
        let heartbeat = own == Some(HEARTBEAT);
        for entry in stream.entries() {
            let (time, line) = entry?;
            page.bytes += line.len();
            let line = shortened(&line);
            let content = digest.short(&[line.as_bytes()]);
            let stamp = time.to_be_bytes();
            let entry = digest.short(&[tenant.as_bytes(), &labels, &stamp, &content.to_be_bytes()]);
            let which = alike.entry(entry).or_default();
            *which += 1;
            let place = digest.short(&[&entry.to_be_bytes(), &which.to_be_bytes()]);
            let stored = Stored {
                millis: time.div_euclid(MILLI),
                identity: digest.identity(&line, line.as_bytes()),
                content: Some(content),
                place,
                generation: None,
                gap,
            };
            page.entries.push((time, (!heartbeat).then_some(stored)));
        }
    }
    page.entries.sort_by_key(|(time, _)| *time);
    Ok(page)
}

/// Whether an answer has any entry.
pub(super) fn holds_entries(body: &[u8]) -> Result<bool, Trouble> {
    let page = read(body, "", &Digest::default()).map_err(|error| not_understood(&error, body))?;
    Ok(!page.entries.is_empty())
}

/// Fuzz target. Any answer is parsed or refused without a panic, and a sent line is recognised in an answer that
/// contains it.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(body: &[u8]) {
    let digest = Digest::default();
    if let Ok(page) = read(body, "t", &digest) {
        assert!(page.entries.is_sorted_by_key(|(time, _)| *time));
        assert!(page.bytes <= body.len() * 3, "an escape is longer than what it stands for");
        // A lone surrogate or a huge number is no error where nobody reads it.
        if let Ok(slow) = serde_json::from_slice::<serde_json::Value>(body) {
            assert!(slow["status"] == "success" && slow["data"]["resultType"] == "streams");
            let streams = slow["data"]["result"].as_array().map_or(&[][..], Vec::as_slice);
            let values = streams.iter().filter_map(|stream| stream["values"].as_array()).flatten();
            let times: Option<Vec<Nanos>> =
                values.map(|value| value[0].as_str().and_then(|time| time.parse().ok())).collect();
            let mut times = times.unwrap_or_default();
            times.sort_unstable();
            assert!(times.iter().eq(page.entries.iter().map(|(time, _)| time)));
        }
    }
    crate::event::pieces(body, false, |piece| {
        let bytes = &body[piece.at.range()];
        // Loki writes one U+FFFD for each invalid byte.
        let mut stored = String::new();
        for chunk in bytes.utf8_chunks() {
            stored.push_str(chunk.valid());
            stored.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
        }
        let result = serde_json::json!([{"values": [["1", stored]]}]);
        let data = serde_json::json!({"resultType": "streams", "result": result});
        let reply = serde_json::json!({"status": "success", "data": data});
        let found = read(reply.to_string().as_bytes(), "t", &digest);
        let found = found.map(|page| page.entries).unwrap_or_default();
        let line = repaired(bytes);
        let sent = digest.identity(&line, line.as_bytes());
        assert!(matches!(found[..], [(1, Some(stored))] if stored.identity == sent), "{line}");
    });
}
