//! Hides the wording of a back end's answers from the pages that are served over TCP, where clients are not
//! authenticated.

use super::pair_state::PairState;
use crate::event::Label as _;

impl PairState {
    /// The state as anybody may see it: with the class of an answer in place of its wording. A back end may repeat in
    /// its answer what it was sent (credentials in a header or a URL), and anything may pose as the back end.
    pub(super) fn public(self) -> Self {
        match self {
            Self::Retrying { since, reason, answer } => {
                let answer = class(&answer).unwrap_or_else(|| reason.text().replace('_', " "));
                Self::Retrying { since, reason, answer }
            }
            Self::Stopped { since, answer, hint } => Self::Stopped {
                since,
                answer: class(&answer).unwrap_or_else(|| "not accepted".to_owned()),
                hint: public_hint(hint),
            },
            other => other,
        }
    }
}

/// The class to show for an answer that contains these words. The words are the agent's own, or the operating
/// system's.
const CLASSES: [(&str, &str); 11] = [
    ("connection refused", "connection refused"),
    ("no connection within", "no connection in time"),
    ("no answer within", "no answer in time"),
    ("cannot be resolved", "name not resolved"),
    ("no route to this host", "no route to host"),
    ("certificate", "TLS certificate not accepted"),
    ("closed the connection", "connection closed"),
    ("no room is left for dead letters", "no room is left for dead letters"),
    ("No space left on device", "No space left on device"),
    ("Permission denied", "Permission denied"),
    ("Read-only file system", "Read-only file system"),
];

/// The class of an answer: `HTTP 503` for `503 upstream connect error`, or one of [`CLASSES`].
fn class(answer: &str) -> Option<String> {
    let status = answer.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    if status.len() == 3 && !status.starts_with('0') {
        return Some(format!("HTTP {status}"));
    }
    let known = CLASSES.iter().find(|(words, _)| answer.contains(words));
    known.map(|(_, class)| (*class).to_owned())
}

/// Hints are the agent's own words, except for the target of a redirect, which is removed.
fn public_hint(hint: String) -> String {
    if hint.contains("redirects to") {
        return "the endpoint redirects, and redirects are not followed: `auditrail status` on this node shows where to"
            .to_owned();
    }
    hint
}

#[cfg(test)]
mod tests {
    use super::super::Time;
    use super::*;
    use crate::event::RetryReason;

    #[test]
    fn of_an_answer_everybody_sees_its_class_and_none_of_its_words() {
        let since = Time::from_nanos(0);
        for (answer, reason, expected) in [
            ("503 upstream: Authorization: Basic c2VjcmV0", RetryReason::ServerError, "HTTP 503"),
            ("401", RetryReason::BadAnswer, "HTTP 401"),
            ("4010 what", RetryReason::BadAnswer, "bad answer"),
            (
                "http://u:p@10.0.0.7/x: connection refused: nothing listens there",
                RetryReason::Connect,
                "connection refused",
            ),
            ("Set-Cookie: a=secret", RetryReason::ConnectionLost, "connection lost"),
            ("", RetryReason::Timeout, "timeout"),
        ] {
            let state = PairState::Retrying { since, reason, answer: answer.into() };
            let public = PairState::Retrying { since, reason, answer: expected.into() };
            assert_eq!(state.public(), public, "{answer}");
        }
        let stopped = |answer: &str, hint: &str| PairState::Stopped {
            since,
            answer: answer.into(),
            hint: hint.into(),
        };
        let seen =
            stopped("302 <a>", "the endpoint redirects to https://x/?apikey=s, and").public();
        let PairState::Stopped { answer, hint, .. } = seen else { panic!("{seen:?}") };
        assert_eq!(answer, "HTTP 302");
        assert!(!hint.contains("apikey") && hint.contains("redirects"), "{hint}");
        assert_eq!(
            stopped("index_closed_exception: x", "open the index").public(),
            stopped("not accepted", "open the index")
        );
        assert_eq!(PairState::Draining.public(), PairState::Draining);
    }
}
