//! Handles events that the output refused: a pipeline writes them to the dead letters, and a resend of dead letters
//! only notes each result. Also notes delivered events.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::circuit::Circuit;
use super::reporter::Reporter;
use crate::dead_letters::{DeadLetters, LettersError};
use crate::event::{Batch, Position};
use crate::output::EventRef;

/// The handling of refused and delivered events.
pub(super) enum RefusalHandling {
    Keep { letters: DeadLetters, circuit: Circuit },
    Note(Mutex<ResendResults>),
}

/// The results of dead letters that were sent again.
#[derive(Debug, Default)]
pub(super) struct ResendResults {
    pub(super) delivered: HashSet<Position>,
    pub(super) refused: HashMap<Position, String>,
}

/// The events do not become dead letters; the output stops.
pub(super) struct NotStored {
    pub(super) answer: String,
    pub(super) hint: String,
    /// The operator may store them as dead letters all the same.
    pub(super) aside: bool,
}

impl RefusalHandling {
    pub(super) fn keep(letters: DeadLetters) -> Self {
        Self::Keep { letters, circuit: Circuit::default() }
    }

    pub(super) fn note() -> Self {
        Self::Note(Mutex::default())
    }

    /// Takes what was noted since the last call.
    pub(super) fn noted(&self) -> ResendResults {
        match self {
            Self::Keep { .. } => ResendResults::default(),
            Self::Note(noted) => std::mem::take(&mut *held(noted)),
        }
    }

    pub(super) fn delivered(&self, batch: &Batch, picks: &[EventRef]) {
        match self {
            Self::Keep { circuit, .. } => circuit.delivered(),
            Self::Note(noted) => {
                let positions = picks.iter().map(|pick| batch.position(pick.event as usize));
                held(noted).delivered.extend(positions);
            }
        }
    }

    /// `scope`: where the output would have stored the events. `beside`: it took other events of the same request.
    /// Blocks on the disk.
    pub(super) fn refused(
        &self,
        reporter: &Reporter,
        scope: &str,
        batch: &Batch,
        events: &[(u32, &str)],
        beside: bool,
    ) -> Result<(), NotStored> {
        let (letters, circuit) = match self {
            Self::Keep { letters, circuit } => (letters, circuit),
            Self::Note(noted) => {
                let refused = events
                    .iter()
                    .map(|(event, answer)| (batch.position(*event as usize), (*answer).to_owned()));
                held(noted).refused.extend(refused);
                return Ok(());
            }
        };
        let answer = events.first().map_or("", |(_, answer)| answer);
        if !beside && !circuit.admits(events.len()) {
            let hint = "the output refuses every event, so the events are probably not the cause: check the mapping, template or \
                 limits of the store, and the path of the endpoint; to store the events as dead letters, run `auditrail dead-letters set-aside`";
            let (answer, hint) = (answer.to_owned(), hint.to_owned());
            return Err(NotStored { answer, hint, aside: true });
        }
        let (what, hint) = match letters.record(batch, events, scope) {
            Ok(()) => {
                reporter.refused(batch, events.len(), answer, letters.count());
                return Ok(());
            }
            Err(LettersError::Full(hint)) => ("no room is left for dead letters".to_owned(), hint),
            Err(LettersError::Io(error)) => (
                format!("cannot write dead letters: {error}"),
                "check that the disk of `state_dir` has room and can be written to".to_owned(),
            ),
        };
        reporter.budget_spent(&hint);
        Err(NotStored { answer: what, hint, aside: false })
    }
}

fn held(noted: &Mutex<ResendResults>) -> MutexGuard<'_, ResendResults> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}
