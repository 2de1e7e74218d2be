//! The look-up that deduplicates: which of some events Loki already stores. It asks `query_range` for their times and
//! compares the results as a multiset.
//!
//! Loki hides duplicates in log queries only and counts them in metrics, so events that may have been stored are looked
//! up before they are sent again. Two events are the same if stageTimestamp, requestReceivedTimestamp, auditID and
//! stage are the same, all of which the API server wrote. Lines without these fields are compared as a whole.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::Loki;
use super::answer::{LogEntry, Reply};
use super::question::{HELD, Question, Scope, Trouble, ask, not_understood};
use crate::event::{Batch, Fingerprint, Key, Nanos};
use crate::output::scan_cursor::{MOST, PAGE};
use crate::output::{EventRef, LookUp, likeness};

/// Events further apart than this are queried separately: Loki may hold many entries between them. In nanoseconds.
const APART: Nanos = 60_000_000_000;

/// Which picks are stored in `scope`.
pub(super) async fn look_up(loki: &Loki, scope: &str, batch: &Batch, picks: &[EventRef]) -> LookUp {
    let scope = match Scope::of_text(scope) {
        Ok(scope) => scope,
        Err(answer) => return LookUp::Unavailable { answer },
    };
    let too_large =
        || LookUp::Unavailable { answer: "a single entry is larger than can be held".to_owned() };
    if picks.iter().any(|pick| batch.events[pick.event as usize].line.range().len() > HELD) {
        return too_large();
    }
    let mut stored: HashMap<Fingerprint, u32> = HashMap::new();
    for (from, to) in windows(batch, picks) {
        match window(loki, &scope, from, to, &mut stored).await {
            Ok(()) => {}
            Err(Trouble::Later(later)) => return later,
            Err(Trouble::Unavailable(answer) | Trouble::TooLong(answer)) => {
                return LookUp::Unavailable { answer };
            }
            Err(Trouble::TooLarge) => return too_large(),
        }
    }
    let found = picks.iter().map(|pick| {
        let record = batch.record(pick.event as usize);
        let text = String::from_utf8_lossy(record.line);
        match stored.get_mut(&identity(&text)) {
            Some(times) if *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        }
    });
    LookUp::Found(found.collect())
}

/// Time ranges that cover the picks, both ends included; none covers more than some megabytes of picks.
fn windows(batch: &Batch, picks: &[EventRef]) -> Vec<(Nanos, Nanos)> {
    let event = |pick: &EventRef| &batch.events[pick.event as usize];
    let mut events: Vec<_> =
        picks.iter().map(|pick| (event(pick).time, event(pick).line.range().len())).collect();
    events.sort_unstable();
    let mut windows: Vec<(Nanos, Nanos)> = Vec::new();
    let mut bytes = 0;
    for (time, length) in events {
        bytes += length;
        match windows.last_mut() {
            // Events of the same moment stay together: a query has no finer bounds.
            Some((_, to)) if time == *to || (time - *to <= APART && bytes <= PAGE) => *to = time,
            _ => {
                windows.push((time, time));
                bytes = length;
            }
        }
    }
    windows
}

/// Counts the stored events of a time range, page by page.
async fn window(
    loki: &Loki,
    scope: &Scope,
    mut from: Nanos,
    to: Nanos,
    stored: &mut HashMap<Fingerprint, u32>,
) -> Result<(), Trouble> {
    let mut limit = MOST;
    loop {
        let page = match page(loki, scope, from, to, limit).await {
            Err(Trouble::TooLarge) if limit > 1 => {
                limit = if limit > 2 { (limit / 4).max(2) } else { 1 };
                continue;
            }
            other => other?,
        };
        let full = page.len() >= limit;
        let last = page.iter().map(|(time, _)| *time).max().unwrap_or(to);
        if let [(time, identity)] = page[..]
            && limit == 1
        {
            // The lines are megabytes long: further entries of this very moment cannot be read.
            *stored.entry(identity).or_default() += 1;
            if time >= to {
                return Ok(());
            }
            from = time + 1;
            continue;
        }
        // The next page begins with the last moment of this one, so no entry is missed or counted twice.
        let counted = page.iter().filter(|(time, _)| !full || *time < last);
        if full && last <= from {
            return Err(Trouble::Unavailable(format!("more than {limit} entries at one moment")));
        }
        for (_, identity) in counted {
            *stored.entry(*identity).or_default() += 1;
        }
        if !full {
            return Ok(());
        }
        from = last;
    }
}

/// The earliest entries of a time range, at most `limit`: time and identity of each.
async fn page(
    loki: &Loki,
    scope: &Scope,
    from: Nanos,
    to: Nanos,
    limit: usize,
) -> Result<Vec<(Nanos, Fingerprint)>, Trouble> {
    // The end of Loki's range is exclusive.
    let range = from..to.saturating_add(1);
    let body = ask(loki, scope, &Question { range, limit }).await?;
    entries(&body)
}

/// Time and identity of each entry of an answer.
pub(super) fn entries(body: &[u8]) -> Result<Vec<(Nanos, Fingerprint)>, Trouble> {
    parse(body).map_err(|error| not_understood(&error, body))
}

fn parse(body: &[u8]) -> serde_json::Result<Vec<(Nanos, Fingerprint)>> {
    let reply: Reply<IgnoredAny, Identity> = serde_json::from_slice(body)?;
    let entries = reply.data.result.into_iter().flat_map(|stream| stream.values);
    Ok(entries.map(|LogEntry(time, Identity(identity))| (time, identity)).collect())
}

/// The identity of a line; the line itself is dropped as soon as the identity is computed.
struct Identity(Fingerprint);

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer).map(|line| Self(identity(&line)))
    }
}

/// The identity of an event as a hash, computed in the same way from a sent and from a stored line. The rest of a torn
/// line is compared as a whole, since the fields in it may belong to the event after it.
fn identity(line: &str) -> Fingerprint {
    // A fixed key, not a secret: the hash never leaves the process.
    const PLAIN: Key = Key([0; 32]);
    let line = likeness::shortened(line);
    let Some(parts) = likeness::parts(&line) else { return PLAIN.hash(line.as_bytes()) };
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(part.as_bytes());
        text.push(0);
    }
    PLAIN.hash(&text)
}

/// Fuzz target. Any body is parsed or refused without a panic, and a look-up recognises a sent line in an answer that
/// contains it.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(body: &[u8]) {
    if let (Ok(found), Ok(slow)) = (parse(body), serde_json::from_slice::<serde_json::Value>(body))
    {
        assert!(slow["status"] == "success" && slow["data"]["resultType"] == "streams");
        let streams = slow["data"]["result"].as_array().map_or(&[][..], Vec::as_slice);
        let values = streams.iter().filter_map(|stream| stream["values"].as_array()).flatten();
        let times: Vec<_> =
            values.map(|value| value[0].as_str().map(str::parse::<Nanos>)).collect();
        assert!(times.len() == found.len());
        assert!(times.into_iter().zip(&found).all(|(slow, (time, _))| slow == Some(Ok(*time))));
    }
    crate::event::pieces(body, false, |piece| {
        let sent = String::from_utf8_lossy(&body[piece.at.range()]);
        // Loki writes one U+FFFD for each invalid byte.
        let mut stored = String::new();
        for chunk in body[piece.at.range()].utf8_chunks() {
            stored.push_str(chunk.valid());
            stored.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
        }
        let result = serde_json::json!([{"values": [["1", stored]]}]);
        let data = serde_json::json!({"resultType": "streams", "result": result});
        let reply = serde_json::json!({"status": "success", "data": data});
        let found = parse(reply.to_string().as_bytes()).unwrap_or_default();
        assert!(found == [(1, identity(&sent))], "{sent}");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMPS: &str =
        r#""auditID":"a","stage":"Panic","requestReceivedTimestamp":"1","stageTimestamp":"2""#;

    #[test]
    fn the_remains_of_an_event_are_not_taken_for_the_event() {
        let whole = format!(r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1",{STAMPS}}}"#);
        let torn = format!(r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1",{STAMPS},"annot"#);
        assert_ne!(identity(&whole), identity(&torn));
        // An unfinished line at the end of a log is sent as one event, whatever it holds.
        fuzz(format!("{torn}{whole}").as_bytes());
        assert_ne!(identity(&whole), identity(&format!("{torn}{whole}")));
    }

    #[test]
    fn an_event_is_known_by_what_the_server_wrote_of_it() {
        let (one, other) = (format!("{{{STAMPS}}}"), format!("{{{STAMPS},\"verb\":\"get\"}}"));
        assert_eq!(identity(&one), identity(&other));
        assert_ne!(identity(&one), identity(&one.replace("Panic", "ResponseComplete")));
    }
}
