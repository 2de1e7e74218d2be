//! The push endpoint: what Loki accepts and what it answers. The checks of the distributor come first, then those of
//! the ingester.

use jiff::Timestamp;
use prost::Message as _;

use super::super::http::{Answer, Request};
use super::super::wire;
use super::Loki;
use super::labels::{self, Labels};
use super::limits::{HOUR, SECOND, Settings};
use super::store::{Entry, Store, Taken, shown};

/// Largest decoded push, in bytes, that the distributor can pass on over gRPC.
const GRPC: usize = 4 << 20;
const WEEK: i64 = 7 * 24 * HOUR;
const GRACE: i64 = 600 * SECOND;

pub(super) fn push(loki: &mut Loki, tenant: &str, request: &Request) -> Answer {
    match decoded(request) {
        Ok((push, size)) => take(loki, tenant, &push, size),
        Err(answer) => answer,
    }
}

fn decoded(request: &Request) -> Result<(wire::Push, usize), Answer> {
    let refuse = |text: &str| Answer::text(400, format!("{text}\n"));
    match request.header("content-encoding") {
        None | Some("" | "snappy") => (),
        Some(other) => return Err(refuse(&format!("Content-Encoding \"{other}\" not supported"))),
    }
    let plain = snap::raw::Decoder::new().decompress_vec(&request.body);
    let plain = plain.map_err(|_| refuse("snappy: corrupt input"))?;
    let push = wire::Push::decode(&*plain).map_err(|_| refuse("unexpected EOF"))?;
    Ok((push, plain.len()))
}

/// A stream and those of its entries that passed the distributor's checks.
struct Valid<'a> {
    labels: Labels,
    entries: Vec<&'a wire::Entry>,
}

fn take(loki: &mut Loki, tenant: &str, push: &wire::Push, size: usize) -> Answer {
    let refuse = |status, text: String| Answer::text(status, text + "\n");
    let filled: Vec<_> = push.streams.iter().filter(|stream| !stream.entries.is_empty()).collect();
    if filled.is_empty() {
        return refuse(422, "error at least one valid stream is required for ingestion".to_owned());
    }
    let mut valid = Vec::new();
    let mut invalid = None;
    for stream in filled {
        let (mut labels, twice) = match labels::parse(&stream.labels) {
            Ok(parsed) => parsed,
            Err(why) => return refuse(400, format!("couldn't parse labels: {why}")),
        };
        if let Err(why) = check_labels(&labels, twice) {
            invalid = Some(why);
            continue;
        }
        if loki.settings.shard_streams {
            let service = labels.get("job").map_or("unknown_service", String::as_str).to_owned();
            labels.entry("service_name".to_owned()).or_insert(service);
        }
        let mut entries = Vec::new();
        for entry in &stream.entries {
            match check_entry(entry, &stream.labels, &loki.settings) {
                Ok(()) => entries.push(entry),
                Err(why) => invalid = Some(why),
            }
        }
        if !entries.is_empty() {
            valid.push(Valid { labels, entries });
        }
    }
    let invalid = invalid.map(|why| refuse(400, why));
    if valid.is_empty() {
        return invalid.expect("a stream without entries is no stream");
    }
    if size > GRPC {
        let text =
            "rpc error: code = ResourceExhausted desc = grpc: received message larger than max";
        return refuse(500, format!("{text} ({size} vs. {GRPC})"));
    }
    if let Some(why) = throttled(loki, tenant, &valid) {
        return refuse(429, why);
    }
    let mut last = None;
    for stream in valid {
        // The ingester reports only the error of the last stream; errors of earlier streams are lost.
        last = ingest(&mut loki.store, tenant, stream, &loki.settings).err();
    }
    let last = last.map(|(status, why)| refuse(status, why));
    last.or(invalid).unwrap_or_else(|| Answer::empty(204))
}

fn check_labels(labels: &Labels, twice: Option<String>) -> Result<(), String> {
    let stream = shown(labels);
    if labels.is_empty() {
        return Err("error at least one label pair is required per stream".to_owned());
    }
    if labels.len() > 15 {
        return Err(format!(
            "entry for stream '{stream}' has {} label names; limit 15",
            labels.len()
        ));
    }
    if let Some(name) = labels.keys().find(|name| name.len() > 1024) {
        return Err(format!("stream '{stream}' has label name too long: '{name}'"));
    }
    if let Some(value) = labels.values().find(|value| value.len() > 2048) {
        return Err(format!("stream '{stream}' has label value too long: '{value}'"));
    }
    match twice {
        Some(name) => Err(format!("stream '{stream}' has duplicate label name: '{name}'")),
        None => Ok(()),
    }
}

fn check_entry(entry: &wire::Entry, stream: &str, settings: &Settings) -> Result<(), String> {
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap();
    let ns = entry.ns();
    if settings.reject_old_samples && ns < now - WEEK {
        let (at, oldest) = (second(ns), second(now - WEEK));
        return Err(format!(
            "entry for stream '{stream}' has timestamp too old: {at}, oldest acceptable timestamp is: {oldest}"
        ));
    }
    if ns > now + GRACE {
        return Err(format!("entry for stream '{stream}' has timestamp too new: {}", second(ns)));
    }
    let (length, most) = (entry.line.len(), settings.max_line_size);
    if length > most {
        return Err(format!(
            "max entry size '{most}' bytes exceeded for stream '{stream}' while adding an entry with length '{length}' bytes"
        ));
    }
    let pairs = entry.metadata.len();
    if pairs > 128 {
        return Err(format!(
            "stream '{stream}' has too many structured metadata labels: '{pairs}', limit: '128'. Please see \
             `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it."
        ));
    }
    let bytes = entry.bytes() - length;
    if bytes > 64 << 10 {
        return Err(format!(
            "stream '{stream}' has structured metadata too large: '{bytes}' bytes, limit: '65536' bytes. Please see \
             `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it."
        ));
    }
    Ok(())
}

/// The error if the tenant exceeds its rate limit; nothing of the push is stored then.
fn throttled(loki: &mut Loki, tenant: &str, valid: &[Valid<'_>]) -> Option<String> {
    let entries = || valid.iter().flat_map(|stream| &stream.entries);
    let bytes = entries().map(|entry| entry.bytes()).sum();
    let bucket = loki.store.tenant(tenant, &loki.settings);
    (!bucket.takes(bytes)).then(|| {
        format!(
            "ingestion rate limit exceeded for user {tenant} (limit: {:.0} bytes/sec) while attempting to ingest '{}' lines \
             totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased",
            bucket.rate.floor(),
            entries().count()
        )
    })
}

/// Stores the entries of one stream that the ingester accepts; `Err` with status and message if it refused any.
fn ingest(
    store: &mut Store,
    tenant: &str,
    valid: Valid<'_>,
    settings: &Settings,
) -> Result<(), (u16, String)> {
    let Valid { labels, entries } = valid;
    let name = shown(&labels);
    let Some(stream) = store.stream(tenant, &labels, settings) else {
        return Err((
            429,
            format!(
                "maximum active stream limit exceeded when trying to create stream {name}, reduce the number of active streams \
                 (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: '{tenant}'"
            ),
        ));
    };
    let total = entries.len();
    if !stream.rate.takes(entries.iter().map(|entry| entry.bytes()).sum()) {
        let reason = |entry: &wire::Entry| {
            format!(
                "Per stream rate limit exceeded (limit: {:.0}KB/sec) while attempting to ingest for stream '{name}' totaling {}B, consider \
                 splitting a stream via additional labels or contact your Loki administrator to see if the limit can be increased",
                settings.per_stream_rate_limit / 1024.0,
                entry.bytes()
            )
        };
        let ignored: Vec<_> = entries.iter().map(|entry| (entry.ns(), reason(entry))).collect();
        return Err((429, ignored_text(&ignored, tenant, total, &name)));
    }
    let mut ignored = Vec::new();
    let (mut taken, mut newest) = (Vec::new(), stream.newest);
    for entry in entries {
        let (ns, oldest) = (entry.ns(), newest.saturating_sub(HOUR));
        if ns < oldest {
            let (at, oldest) = (second(ns), second(oldest));
            let reason = format!(
                "entry too far behind, entry timestamp is: {at}, oldest acceptable timestamp is: {oldest}"
            );
            ignored.push((ns, reason));
            continue;
        }
        newest = newest.max(ns);
        taken.push(kept(entry));
    }
    if !taken.is_empty() {
        store.take(Taken { tenant: tenant.to_owned(), labels, entries: taken }, settings);
    }
    if ignored.is_empty() {
        return Ok(());
    }
    Err((400, ignored_text(&ignored, tenant, total, &name)))
}

fn ignored_text(ignored: &[(i64, String)], tenant: &str, total: usize, name: &str) -> String {
    let one = |(ns, reason): &(i64, String)| {
        let at = Timestamp::from_nanosecond(i128::from(*ns)).unwrap();
        let at = at.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC");
        format!("entry with timestamp {at} ignored, reason: '{reason}',\n")
    };
    let listed: String = ignored.iter().take(10).map(one).collect();
    let count = ignored.len();
    format!("{listed}user '{tenant}', total ignored: {count} out of {total} for stream: {name}")
}

fn kept(entry: &wire::Entry) -> Entry {
    // Each invalid byte becomes one U+FFFD.
    let mut line = String::new();
    for chunk in entry.line.utf8_chunks() {
        line.push_str(chunk.valid());
        line.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    let plain = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let metadata =
        entry.metadata.iter().map(|pair| (plain(&pair.name), pair.value.clone())).collect();
    Entry { ns: entry.ns(), line, metadata, shard: 0, flushed: false }
}

fn second(ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(ns)).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
