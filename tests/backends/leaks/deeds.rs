//! The fields of an event that redaction must keep, so that the event remains useful.

use serde::Deserialize;

use kit::events::assert_exactly_once;

/// Who did what, and how it ended: the purpose of an audit log.
#[derive(Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Deed {
    level: String,
    stage: String,
    verb: String,
    user: User,
    #[serde(rename = "sourceIPs")]
    source_ips: Vec<String>,
    object_ref: Option<Object>,
    response_status: Option<Status>,
    request_received_timestamp: String,
    stage_timestamp: String,
}

#[derive(Debug, Deserialize, Eq, Hash, PartialEq)]
struct User {
    username: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Object {
    resource: Option<String>,
    subresource: Option<String>,
    namespace: Option<String>,
    api_group: Option<String>,
}

#[derive(Debug, Deserialize, Eq, Hash, PartialEq)]
struct Status {
    code: Option<u16>,
    reason: Option<String>,
}

/// Fails unless every event that the server wrote still shows who did what to which object, when, from where, and how
/// it ended.
pub(super) fn assert_who_did_what(written: &[u8], left: &[u8]) {
    let deeds = |log: &[u8]| -> Vec<Deed> {
        let lines =
            log.split(|byte| *byte == b'\n').filter(|line| line.starts_with(br#"{"kind":"Event""#));
        let by_hand = |line: &&[u8]| memchr::memmem::find(line, br#""auditID":"hand-"#).is_some();
        lines
            .filter(|line| !by_hand(line))
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    };
    assert_exactly_once("who did what", deeds(left), deeds(written));
}
