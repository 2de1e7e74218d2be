//! The client addresses of an event: `sourceIPs` as `source.ip`, `client.ip` and `related.ip`.
//!
//! Elastic's pipeline copies the whole list, so that a rule on `source.ip` sees each proxy on the way and the client
//! behind them. The API server itself saw only the last address; the client claims the ones before it
//! (`X-Forwarded-For`). An invalid address is left out; the pipeline would drop the whole list.

use std::net::IpAddr;

use crate::event::Record;
use crate::json::{blank, elements};

/// Most addresses that a document repeats. A client can send thousands; the ones nearest to the server are kept.
const MOST: usize = 16;

/// The addresses of an event as JSON strings, separated by commas. Empty if there is none.
#[derive(Default)]
pub(super) struct Addresses {
    /// All addresses in their order, with duplicates.
    pub(super) all: Vec<u8>,
    /// Each address once.
    pub(super) distinct: Vec<u8>,
}

impl Addresses {
    pub(super) fn of(record: Record<'_>) -> Self {
        let raw = record.raw(record.event.fields.source_ips).unwrap_or_default();
        // In the legacy text format it is one address, not a list.
        let known: Vec<IpAddr> = match raw.trim_ascii_start().first() {
            Some(b'[') => addresses(raw),
            _ => address(raw).into_iter().collect(),
        };
        let nearest = &known[known.len().saturating_sub(MOST)..];
        let mut addresses = Self::default();
        for (at, ip) in nearest.iter().enumerate() {
            let quoted = format!("\"{ip}\"").into_bytes();
            append(&mut addresses.all, &quoted);
            if !nearest[..at].contains(ip) {
                append(&mut addresses.distinct, &quoted);
            }
        }
        addresses
    }
}

fn append(list: &mut Vec<u8>, quoted: &[u8]) {
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(quoted);
}

/// The addresses in an array; an element that is no address is left out.
fn addresses(array: &[u8]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    elements(array, blank(array, 0), |value| {
        found.extend(address(&array[value.at.range()]).filter(|_| value.string));
    });
    found
}

fn address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
