//! Fuzz and property tests: any bytes as a line, through a chain with the defaults and through one with everything
//! turned on.

#![allow(clippy::unwrap_used, reason = "on what is written here, and can be read")]

use std::sync::LazyLock;

use serde::de::IgnoredAny;

use super::{
    Chain, Completing, ConfigMaps, Filter, Filters, ManagedFields, Mode, OmitStages, Policy,
    Redaction, Rules, ShrinkOrder, Shrinking, TransformScratch,
};
use crate::event::{
    Batch, Event, Fingerprint, Form, Key, RecordKind, Span, TransformStats, pieces,
};

/// Occurs only in data of Secrets.
const MARKER: &str = "Zq7marker";

/// The first byte selects the chain (bits 0 and 2) and whether the lines end with a newline (bit 1); the remaining lines are checked one by
/// one.
pub fn leaving(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let chain = if first & 4 == 4 { 2 } else { usize::from(first & 1) };
    let (chain, ended) = (&CHAINS[chain], first & 2 == 2);
    rest.split(|byte| *byte == b'\n').for_each(|line| check(chain, line, ended));
    if memchr::memmem::find(rest, MARKER.as_bytes()).is_none() {
        planted(chain, rest, ended);
    }
}

/// Text beside a Secret's data, or a line that breaks off, does not leak the data.
fn planted(chain: &Chain, beside: &[u8], ended: bool) {
    let text = String::from_utf8_lossy(&beside[..beside.len().min(1024)]);
    let (name, value) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let [name, value] = [name, value].map(|part| serde_json::to_string(part).unwrap());
    let secret = format!(
        r#"{{{name}:{value},"data":{{{name}:"{MARKER}","b":{{"c":["{MARKER}"]}}}},{value}:{name},"stringData":{{"x":"{MARKER}"}}}}"#
    );
    let line = format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/secrets","verb":"create","user":{{"username":{name}}},"objectRef":{{"resource":"secrets","apiVersion":"v1"}},"responseStatus":{{"code":200}},"requestObject":{secret},"responseObject":{{"kind":"SecretList","items":[{secret}]}},"stageTimestamp":"2026-11-21T07:32:22.085199Z"}}"#
    );
    let cut = beside.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let torn = [&line.as_bytes()[..cut % line.len()], beside].concat();
    for (line, ended) in [(line.as_bytes(), true), (&torn, ended)] {
        for line in line.split(|byte| *byte == b'\n') {
            let mut batch = batch(line, ended);
            chain.apply(1, &mut batch, &mut TransformScratch::default());
            for index in 0..batch.events.len() {
                let leaves = batch.record(index).line;
                let found = memchr::memmem::find(leaves, MARKER.as_bytes());
                assert_eq!(found, None, "{}", String::from_utf8_lossy(leaves));
            }
        }
    }
}

/// One chain with the defaults and a limit that few events fit, and one with a policy, an expression and hashes.
static CHAINS: LazyLock<[Chain; 3]> = LazyLock::new(|| {
    const POLICY: &str = "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [\
        {level: None, users: [\"nobody\"]}, {level: Metadata, resources: [{group: \"\", resources: [\"secrets\"]}]},\
        {level: Request, verbs: [get]}, {level: RequestResponse, omitManagedFields: true}]}";
    let rules = |config_maps| Rules { config_maps, key: Some(Key([1; 32])), ..Rules::default() };
    let redaction = |config_maps, mode| Redaction::new(rules(config_maps), mode).unwrap();
    let policy = Policy::parse(POLICY, "policy".as_ref()).unwrap();
    let filter = Filter::compile("event.verb != 'watch' || has(event.requestObject.spec)").unwrap();
    [
        Chain {
            redaction: Some(redaction(ConfigMaps::Pattern, Mode::Mask)),
            managed_fields: Some(ManagedFields { always: true }),
            shrinking: Some(Shrinking {
                limit: 4096,
                key: Key([1; 32]),
                order: ShrinkOrder::Usual,
            }),
            ..Chain::default()
        },
        Chain {
            policy: Some(policy.into()),
            filters: Some(Filters(vec![filter])),
            managed_fields: Some(ManagedFields { always: false }),
            redaction: Some(redaction(ConfigMaps::All, Mode::Hash(Key([2; 32])))),
            ..Chain::default()
        },
        Chain {
            stages: Some(OmitStages(vec!["RequestReceived".into()])),
            redaction: Some(redaction(ConfigMaps::Pattern, Mode::Mask)),
            shrinking: Some(Shrinking {
                limit: 8192,
                key: Key([1; 32]),
                order: ShrinkOrder::ResponseFirst,
            }),
            completing: Some(Completing { key: Key([1; 32]) }),
            ..Chain::default()
        },
    ]
});

/// Checks that the chain terminates, is deterministic and idempotent, keeps the places of events right, and writes
/// JSON for JSON.
fn check(chain: &Chain, line: &[u8], ended: bool) {
    let before = batch(line, ended);
    let (mut one, mut other) = (batch(line, ended), batch(line, ended));
    // The buffers kept between batches do not change the result.
    let mut kept = TransformScratch::default();
    chain.apply(1, &mut one, &mut kept);
    chain.apply(1, &mut other, &mut kept);
    assert_eq!(one.bytes, other.bytes);
    assert!(one.events.len() <= before.events.len());
    let is_json = |bytes: &[u8]| serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
    let all_json = (0..before.events.len()).all(|index| {
        is_json(before.record(index).line) || before.events[index].form == Form::Unreadable
    });
    for index in 0..one.events.len() {
        let record = one.record(index);
        let shown = String::from_utf8_lossy(record.line);
        if all_json {
            assert!(is_json(record.line), "{shown}");
        }
        let fits = chain.shrinking.as_ref().is_none_or(|step| record.line.len() <= step.limit);
        assert!(fits, "{} bytes: {shown}", record.line.len());
        if chain.policy.is_none() && all_json {
            let mut again = batch(record.line, true);
            chain.apply(1, &mut again, &mut TransformScratch::default());
            assert_eq!(String::from_utf8_lossy(&again.bytes), shown);
        }
        for span in { record.event.fields }.all_mut() {
            assert!(span.range().end <= record.line.len(), "{shown}");
        }
    }
}

pub(super) fn batch(line: &[u8], ended: bool) -> Batch {
    let mut events = Vec::new();
    pieces(line, ended, |piece| {
        assert!(piece.whole != RecordKind::Gap);
        events.push(Event {
            offset: u64::from(piece.at.start),
            whole: piece.whole,
            form: piece.form,
            line: Span::new(piece.at.start as usize, piece.at.end as usize),
            time: piece.time.unwrap_or_default(),
            fields: piece.fields,
            depth: piece.depth,
        });
    });
    let generation = Fingerprint([3; 16]);
    let (bytes, earlier, passed) = (line.to_vec(), Vec::new(), TransformStats::default());
    Batch { generation, earlier, start: 0, end: line.len() as u64, bytes, events, passed }
}
