//! Fuzz targets: any bytes as the answer of a back end, and as lines to send.

use super::http::{Response, excerpt, retry_after};
use super::{Answer, Verdict, elasticsearch, falco, loki};

/// The first four bytes give the kind, the status (two bytes) and which documents were in safe form; the rest is
/// `Retry-After`, a newline, and the body. In the kind, bit 0 selects the store, bits 1 and 2 the media type, bit 3 the
/// header that identifies Elasticsearch, and bit 4 a redirect.
pub(crate) fn answers(data: &[u8]) {
    let Some((&[kind, a, b, fallback], rest)) = data.split_first_chunk::<4>() else { return };
    let usual = [200, 204, 400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504];
    let status = match usual.get(usize::from(a)) {
        Some(status) => *status,
        None => u16::from_le_bytes([a, b]) % 1000,
    };
    let (header, body) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (&b""[..], rest),
    };
    let header = std::str::from_utf8(header).ok();
    let after = header.and_then(|header| retry_after(header, jiff::Timestamp::UNIX_EPOCH));
    assert!(after.is_none_or(|after| after.as_secs() <= 300));
    shown(&excerpt(body));
    let types = ["", "text/plain; charset=utf-8", "text/html", "application/json"];
    let response = Response {
        status,
        retry_after: after,
        content_type: types[usize::from(kind >> 1 & 3)].to_owned(),
        location: (kind >> 4 & 1 == 1).then(|| String::from_utf8_lossy(rest).into_owned()),
        product: (kind >> 3 & 1 == 1).then(|| "Elasticsearch".to_owned()),
        body: body.to_vec().into(),
    };
    told(&falco::fuzz_tests::answer(&response));
    if kind % 2 == 0 {
        told(&loki::fuzz_tests::answer(&response));
    } else {
        match elasticsearch::fuzz_tests::answer(response, fallback) {
            Answer::Whole(verdict) => told(&verdict),
            Answer::Each(verdicts) => verdicts.iter().for_each(told),
        }
    }
}

/// The lowest bit of the first byte says whether the line was ended; the other lines are written as documents.
pub(crate) fn documents(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let lines = rest.split(|byte| *byte == b'\n');
    lines.for_each(|line| elasticsearch::fuzz_tests::documents(line, first & 1 == 1));
}

/// Texts for people are short and contain no control characters that could move a terminal's cursor.
fn told(verdict: &Verdict) {
    if let Some(answer) = verdict.answer() {
        shown(answer);
    }
    if let Verdict::Stop { hint, .. } | Verdict::Stranger { hint, .. } = verdict {
        shown(hint);
    }
}

fn shown(text: &str) {
    assert!(text.len() < 2048 && !text.contains(char::is_control), "{text}");
}
