//! The only way out of this room for words: what an output says of answers leaves it without credentials.
//!
//! The methods of the back ends that answer with texts are open to this room alone, and `mod.rs` passes what they say
//! through [`Texts`]. A new variant with a text is not compiled before it is listed here.

use super::finding::Finding;
use super::secrets::Secrets;
use super::{Answer, Held, LookUp, ScanPage, Verdict};

/// What holds texts for people.
pub(super) trait Texts: Sized {
    /// Shows each text to `change`.
    fn each(&mut self, change: &mut dyn FnMut(&mut String));

    /// The same without credentials; most answers have no text and need none.
    fn shown(mut self, secrets: impl Fn() -> Option<Secrets>) -> Self {
        let (mut known, mut last) = (None, (String::new(), String::new()));
        self.each(&mut |text| {
            let Some(secrets) = known.get_or_insert_with(&secrets) else { return };
            // Thousands of events may have one answer.
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

impl Texts for LookUp {
    fn each(&mut self, change: &mut dyn FnMut(&mut String)) {
        match self {
            Self::Found(_) => {}
            Self::Unavailable { answer } | Self::Retry { answer, after: _, reason: _ } => {
                change(answer);
            }
        }
    }
}

impl Texts for Held {
    fn each(&mut self, change: &mut dyn FnMut(&mut String)) {
        match self {
            Self::Yes | Self::No => {}
            Self::Unavailable { answer } | Self::Retry { answer, after: _, reason: _ } => {
                change(answer);
            }
        }
    }
}

impl Texts for ScanPage {
    fn each(&mut self, change: &mut dyn FnMut(&mut String)) {
        match self {
            Self::Page(_) | Self::End => {}
            Self::Unavailable { answer } | Self::Retry { answer, after: _, reason: _ } => {
                change(answer);
            }
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

/// An answer that the log quotes.
impl Texts for String {
    fn each(&mut self, change: &mut dyn FnMut(&mut String)) {
        change(self);
    }
}
