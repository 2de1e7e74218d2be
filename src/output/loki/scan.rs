//! Reads all entries of a time range for `verify`, page by page: `query_range` forward, in windows that Loki need not
//! split.
//!
//! Loki shows duplicates (same time, stream and line) as one entry, even if its metrics count them.

use std::collections::{BTreeMap, HashMap};

use super::Loki;
use super::answer::{LogEntry, LokiStream, Reply};
use super::question::{Question, Scope, Trouble, ask, not_understood};
use crate::event::{Nanos, Record};
use crate::output::likeness::{repaired, shortened};
use crate::output::scan_cursor::MOST;
use crate::output::{Digest, EventIdentity, MILLI, ScanCursor, ScanPage, Stored};

/// Identity and content of an event as it would be sent: both come from its line.
pub(in crate::output) fn likeness(record: Record<'_>, digest: &Digest) -> EventIdentity {
    let line = repaired(record.line);
    let content = digest.short(&[line.as_bytes()]);
    EventIdentity { identity: digest.identity(&line, line.as_bytes()), content, fallback: content }
}

/// Reads the next page. Makes one request.
pub(super) async fn scan(
    loki: &Loki,
    scope: &str,
    walk: &mut ScanCursor,
    digest: &Digest,
) -> ScanPage {
    let scope = match Scope::of_text(scope) {
        Ok(scope) => scope,
        Err(answer) => return ScanPage::Unavailable { answer },
    };
    if walk.from >= walk.until {
        return ScanPage::End;
    }
    // If a moment fills a page, ask for that moment only.
    let window = if walk.crowded { 1 } else { walk.window };
    let end = walk.from.saturating_add(window).min(walk.until);
    let question = Question { range: walk.from..end, limit: walk.limit };
    match ask(loki, &scope, &question).await {
        Ok(body) => match read(&body, &scope.tenant, digest) {
            Ok(page) => turned(walk, page, end),
            Err(error) => told(walk, not_understood(&error, &body)),
        },
        Err(trouble) => told(walk, trouble),
    }
}

/// The entries of a page, and the total length of their lines in bytes.
struct Page {
    entries: Vec<(Nanos, Stored)>,
    bytes: usize,
}

/// Moves the scan past a page of the range up to `end`, or to the last entry if the page is full.
fn turned(walk: &mut ScanCursor, page: Page, end: Nanos) -> ScanPage {
    let Page { mut entries, bytes } = page;
    let (count, limit) = (entries.len(), walk.limit);
    let last = entries.last().map_or(end, |(time, _)| *time);
    // Loki reads numbers of few digits as seconds, so its answer may go beyond the first hours of 1970.
    let full = count >= limit && last < end;
    entries.retain(|(time, _)| (walk.from..end).contains(time));
    if !full {
        // Cross long ranges without events in few queries.
        let most = if entries.is_empty() { walk.longest } else { HOUR.min(walk.longest) };
        walk.window = (walk.window.max(SECOND) * 2).min(most);
        (walk.from, walk.crowded) = (end, false);
    } else if last > walk.from {
        // Loki answers a query sooner if the range holds little more than a page.
        walk.window = ((last - walk.from) * 2).clamp(SECOND, HOUR.min(walk.longest));
        (walk.from, walk.crowded) = (last, false);
    } else if limit == 1 {
        // The lines are megabytes long: further entries of this very moment cannot be read.
        walk.from = last + 1;
    } else if limit < MOST {
        (walk.limit, walk.crowded) = (MOST, true);
    } else {
        return ScanPage::Unavailable { answer: crowd(last, limit) };
    }
    walk.learn(count, bytes);
    ScanPage::Page(entries.into_iter().map(|(_, stored)| stored).collect())
}

const SECOND: Nanos = 1_000_000_000;
const HOUR: Nanos = 3600 * SECOND;

fn told(walk: &mut ScanCursor, trouble: Trouble) -> ScanPage {
    match trouble {
        Trouble::Later(end) => end.into(),
        Trouble::TooLarge if walk.crowded => {
            ScanPage::Unavailable { answer: crowd(walk.from, walk.limit) }
        }
        Trouble::TooLarge if walk.limit > 1 => {
            walk.shrink();
            ScanPage::Page(Vec::new())
        }
        Trouble::TooLarge => {
            ScanPage::Unavailable { answer: "a single entry is larger than can be held".to_owned() }
        }
        Trouble::TooLong(_) if walk.longest > HOUR / 60 => {
            walk.longest = walk.window.min(walk.longest) / 2;
            walk.window = walk.longest;
            ScanPage::Page(Vec::new())
        }
        Trouble::TooLong(answer) | Trouble::Unavailable(answer) => ScanPage::Unavailable { answer },
    }
}

fn crowd(at: Nanos, limit: usize) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at)).unwrap_or_default();
    format!("{at} holds more entries than Loki gives for one question ({limit} were asked for)")
}

fn read(body: &[u8], tenant: &str, digest: &Digest) -> serde_json::Result<Page> {
    let reply: Reply<BTreeMap<String, String>, String> = serde_json::from_slice(body)?;
    let mut page = Page { entries: Vec::new(), bytes: 0 };
    // The ordinal among entries that are equal in everything: entries of two stream shards look the same.
    let mut alike: HashMap<u64, u64> = HashMap::new();
    for LokiStream { stream, values } in reply.data.result {
        let labels: Vec<&[u8]> =
            stream.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect();
        let labels = digest.short(&labels).to_be_bytes();
        let gap = stream.get("auditrail").is_some_and(|value| value == "gap");
        for LogEntry(time, line) in values {
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
            page.entries.push((time, stored));
        }
    }
    page.entries.sort_by_key(|(time, _)| *time);
    Ok(page)
}

/// Fuzz target. Any answer is parsed or refused without a panic.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(body: &[u8]) {
    if let Ok(page) = read(body, "t", &Digest::default()) {
        assert!(page.entries.is_sorted_by_key(|(time, _)| *time));
        assert!(page.bytes <= body.len() * 3, "an escape is longer than what it stands for");
    }
}
