//! The progress of an earlier run of the same command at one output.

use std::collections::{BTreeMap, HashSet};

use crate::checkpoint::{ALL, Loaded, Origin, Pair};
use crate::event::{Cursor, FileMark, Fingerprint, IdScheme, Progress};
use crate::input::Listed;

/// The progress of an earlier run of the same command at one output.
#[derive(Default)]
pub(super) struct EarlierRun {
    pub(super) generations: BTreeMap<Fingerprint, Progress>,
    reserved: u64,
    pub(super) scopes: Vec<String>,
    pub(super) ids: Vec<IdScheme>,
    pub(super) file: Option<FileMark>,
}

impl EarlierRun {
    /// At one output, as the checkpoint has it.
    pub(super) fn of(loaded: &Loaded, output: &str) -> Self {
        let mut known = Self::default();
        let is_lane = |pair: &&Pair| {
            pair.output.strip_prefix(output).is_some_and(|rest| rest.starts_with('/'))
        };
        for pair in loaded.state.pairs.iter().filter(is_lane) {
            known.generations.extend(pair.cursor.generations.clone());
            known.reserved = known.reserved.max(pair.reserved);
            known.scopes.extend(pair.scopes.iter().cloned());
            let new: Vec<_> =
                pair.ids.iter().filter(|ids| !known.ids.contains(ids)).cloned().collect();
            known.ids.extend(new);
            known.file = pair.file.or(known.file);
        }
        if matches!(loaded.origin, Origin::Previous(_) | Origin::Lost(_) | Origin::Restored(_)) {
            known.reserved = ALL;
        }
        known
    }

    /// It may have been killed, so its requests may still be in flight.
    pub(super) fn maybe_killed(&self) -> bool {
        self.reserved > 0
    }

    /// The state of one lane before this run.
    pub(super) fn pair(
        &self,
        input: &str,
        output: String,
        cursor: Cursor,
        scopes: &[String],
    ) -> Pair {
        Pair {
            input: input.to_owned(),
            output,
            cursor,
            scopes: scopes.to_vec(),
            ids: self.ids.clone(),
            file: self.file,
            ..Pair::default()
        }
    }

    /// The files that it has shipped.
    pub(super) fn complete(&self) -> HashSet<Fingerprint> {
        let complete = self.generations.iter().filter(|(_, progress)| progress.complete);
        complete.map(|(fingerprint, _)| *fingerprint).collect()
    }

    /// How far it has shipped these files.
    pub(super) fn cursor_of(&self, files: &[Listed]) -> Cursor {
        let of = |file: &Listed| {
            Some((file.fingerprint(), self.generations.get(&file.fingerprint())?.clone()))
        };
        Cursor { generations: files.iter().filter_map(of).collect(), since: None, watched: None }
    }
}
