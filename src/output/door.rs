//! The only way out of this module for texts: redacts credentials in everything that an output reports about an
//! answer.
//!
//! The methods of the back ends that return texts are private to this module. `mod.rs` and `queryable.rs` pass their
//! results through [`Texts`]. A new variant with a text does not compile before it is listed here.

use super::finding::Finding;
use super::secrets::Secrets;
use super::{Answer, QueryError, Verdict};

/// A value that contains texts for people.
pub(super) trait Texts: Sized {
    /// Calls `change` with each text.
    fn each(&mut self, change: &mut dyn FnMut(&mut String));

    /// The same value with all credentials redacted. The secrets are fetched only if there is a text; most answers have
    /// none.
    fn shown(mut self, secrets: impl Fn() -> Option<Secrets>) -> Self {
        let (mut known, mut last) = (None, (String::new(), String::new()));
        self.each(&mut |text| {
            let Some(secrets) = known.get_or_insert_with(&secrets) else { return };
            // Thousands of events may share one answer: redact it once.
            if last.0 != *text {
                last = (text.clone(), secrets.blank(text));
            }
            last.1.clone_into(text);
        });
        self
    }
}

impl Texts for Verdict {
    fn each(&mut self, change: &mut dyn FnMut(&mut String)) {
        match self {
            Self::Delivered => {}
            Self::Retry { answer, after: _, reason: _ }
            | Self::Doubt { answer, reason: _ }
            | Self::Split { answer, own: _ }
            | Self::TooLarge { answer, own: _ }
            | Self::UseFallbackForm { answer }
            | Self::Refuse { answer }
            | Self::OutOfRange { answer }
            | Self::Taken { answer } => change(answer),
            Self::Wait { answer, hint }
            | Self::Stop { answer, hint }
            | Self::Stranger { answer, hint } => {
                change(answer);
                change(hint);
            }
        }
    }
}

impl Texts for Answer {
    fn each(&mut self, change: &mut dyn FnMut(&mut String)) {
        match self {
            Self::Whole(verdict) => verdict.each(change),
            Self::Each(verdicts) => verdicts.iter_mut().for_each(|verdict| verdict.each(change)),
        }
    }
}

impl<T> Texts for Result<T, QueryError> {
    fn each(&mut self, change: &mut dyn FnMut(&mut String)) {
        match self {
            Ok(_) => {}
            Err(
                QueryError::Unavailable { answer }
                | QueryError::Retry { answer, after: _, reason: _ },
            ) => change(answer),
        }
    }
}

impl Texts for Vec<Finding> {
    fn each(&mut self, change: &mut dyn FnMut(&mut String)) {
        for Finding { state: _, what, hint } in self {
            change(what);
            change(hint);
        }
    }
}

/// The text of an answer that is quoted in the log.
impl Texts for String {
    fn each(&mut self, change: &mut dyn FnMut(&mut String)) {
        change(self);
    }
}
