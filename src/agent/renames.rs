//! Finds tables of the configuration that were renamed since the checkpoint was written.
//!
//! The checkpoint identifies everything by the names of an input and an output. So a table with a new name would ship
//! its whole log again. An old name that is gone and a new one belong to the same table if nothing else changed: the
//! log, by its path or its content; or the type, endpoint and destination of the output. Then the new table takes
//! over the cursor, the dead letters and the links. If more than one table fits, the agent does not guess.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::parts::{NotTakenOver, output};
use crate::checkpoint::{Pair, Seen, State};
use crate::config::{self, Config, FollowedLog};
use crate::dead_letters;
use crate::event::{Key, Sightings};
use crate::input;

/// Renames the state of renamed tables.
///
/// # Errors If more than one table fits an old name, if the cluster has another name, or if files cannot be renamed.
pub(super) fn take_over(
    config: &Config,
    node: &str,
    key: &Key,
    state: &mut State,
) -> anyhow::Result<()> {
    same_cluster(config, state)?;
    let names = config.outputs.iter().map(|output| &*output.name);
    let known = state.pairs.iter().map(|pair| &*pair.output);
    let (gone, new) = differences(known, names);
    let is_same = |from: &str, to: &str| {
        let output = config.outputs.iter().find(|output| *output.name == *to);
        let mut pairs = state.pairs.iter().filter(|pair| pair.output == from);
        output.is_some_and(|output| pairs.any(|pair| same_place(config, output, node, pair)))
    };
    for (from, to) in matches("outputs", &gone, &new, is_same)? {
        tracing::info!(from, to, "an output was renamed and continues where it stopped");
        for pair in state.pairs.iter_mut().filter(|pair| pair.output == from) {
            rename_letters(config, (&pair.input, &from), (&pair.input, &to))?;
            pair.output.clone_from(&to);
        }
    }
    let names = config.logs().map(|input| &*input.name);
    let known = state.pairs.iter().map(|pair| &*pair.input);
    let known = known.chain(state.inputs.iter().map(|seen| &*seen.input));
    let (gone, new) = differences(known, names);
    let is_same = |from: &str, to: &str| {
        let input = config.logs().find(|input| *input.name == *to);
        input.is_some_and(|input| same_log(input, key, from, state))
    };
    for (from, to) in matches("inputs", &gone, &new, is_same)? {
        tracing::info!(from, to, "an input was renamed and continues where it stopped");
        for pair in state.pairs.iter_mut().filter(|pair| pair.input == from) {
            rename_letters(config, (&from, &pair.output), (&to, &pair.output))?;
            pair.input.clone_from(&to);
        }
        state
            .inputs
            .iter_mut()
            .filter(|seen| seen.input == from)
            .for_each(|seen| seen.input.clone_from(&to));
        if let Some(input) = config.logs().find(|input| *input.name == *to) {
            input::rename_links(&input.hold.dir, key, &from, &to).with_context(|| {
                format!(
                    "cannot rename the links in {}: make it writable by the agent's user",
                    input.hold.dir.display()
                )
            })?;
        }
    }
    Ok(())
}

/// Notes the path of each input's log in the state.
pub(super) fn note_paths(config: &Config, state: &mut State) {
    for input in config.logs() {
        let path = Some(input.path.clone());
        if let Some(seen) = state.inputs.iter_mut().find(|seen| *seen.input == *input.name) {
            seen.path = path;
        } else {
            let input = input.name.to_string();
            state.inputs.push(Seen { input, path, generations: Sightings::default() });
        }
    }
}

/// Refuses another cluster name: it is a label of every delivered event, and part of the ids.
fn same_cluster(config: &Config, state: &mut State) -> Result<(), NotTakenOver> {
    let now = config.cluster.clone().unwrap_or_default();
    if let Some(kept) = state.cluster.as_ref().filter(|kept| **kept != now) {
        let set = if kept.is_empty() {
            "take `cluster` out".to_owned()
        } else {
            format!("set `cluster = {kept:?}`")
        };
        return Err(NotTakenOver(format!(
            "`cluster` is {now:?}, but this state directory was begun as {kept:?}, which is a label of everything delivered so far: \
             {set}, or give the agent a new `state_dir`, and it sends what is on disk under the new name"
        )));
    }
    state.cluster = Some(now);
    Ok(())
}

/// Names that are known but no longer configured, and names that are configured but not known.
fn differences<'a>(
    known: impl Iterator<Item = &'a str>,
    names: impl Iterator<Item = &'a str>,
) -> (Vec<String>, Vec<String>) {
    let (known, names): (BTreeSet<_>, BTreeSet<_>) = (known.collect(), names.collect());
    let owned = |name: &&str| (*name).to_owned();
    (known.difference(&names).map(owned).collect(), names.difference(&known).map(owned).collect())
}

/// Which old name has become which new one.
fn matches(
    table: &str,
    gone: &[String],
    new: &[String],
    is_same: impl Fn(&str, &str) -> bool,
) -> Result<Vec<(String, String)>, NotTakenOver> {
    let all = gone.iter().flat_map(|from| new.iter().map(move |to| (from, to)));
    let same: Vec<_> = all.filter(|(from, to)| is_same(from, to)).collect();
    for (from, to) in &same {
        let alike: Vec<_> = same.iter().filter(|(f, t)| f == from || t == to).collect();
        if alike.len() > 1 {
            let each = alike.iter().map(|(from, to)| format!("`{table}.{from}` as `{table}.{to}`"));
            return Err(NotTakenOver(format!(
                "a table seems to have a new name, but it is not certain which: {}. Give the tables their former names again and rename them \
                 one at a time, with a start in between, or give the agent a new `state_dir`, and it sends all that is on disk again",
                each.collect::<Vec<_>>().join(", or ")
            )));
        }
    }
    Ok(same.into_iter().map(|(from, to)| (from.clone(), to.clone())).collect())
}

/// Whether the events of a pair went to the destination of this output.
fn same_place(config: &Config, output_config: &config::Output, node: &str, pair: &Pair) -> bool {
    if pair.to.as_ref().is_some_and(|to| *to != output_config.kind.destination()) {
        return false;
    }
    let input = pair.input.as_str().into();
    match output(config, output_config, node, &input, &[]) {
        // Only the path identifies a file output; an earlier version did not record it.
        Ok(made) if made.scope().is_empty() => pair.to.is_some(),
        Ok(made) => pair.scopes.contains(&made.scope()),
        Err(_) => false,
    }
}

/// Whether an input follows the log that was known under another name.
fn same_log(input: &FollowedLog, key: &Key, from: &str, state: &State) -> bool {
    let seen = state.inputs.iter().find(|seen| seen.input == from);
    if seen.is_some_and(|seen| seen.path.as_deref() == Some(&input.path)) {
        return true;
    }
    let beside: Vec<PathBuf> = input.path.parent().map(PathBuf::from).into_iter().collect();
    let Ok(files) = input::list(&beside, &input.path, key) else { return false };
    files.iter().any(|file| {
        let mut pairs = state.pairs.iter().filter(|pair| pair.input == from);
        pairs.any(|pair| pair.cursor.generations.contains_key(&file.fingerprint()))
            || seen.is_some_and(|seen| seen.generations.contains_key(&file.fingerprint()))
    })
}

fn rename_letters(config: &Config, from: (&str, &str), to: (&str, &str)) -> anyhow::Result<()> {
    dead_letters::rename(&config.state_dir, from, to).with_context(|| {
        let directory: &Path = &config.state_dir;
        format!(
            "cannot rename the dead letters below {}: make it writable by the agent's user",
            directory.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(
        gone: &[&str],
        new: &[&str],
        same: &[(&str, &str)],
    ) -> Result<Vec<(String, String)>, String> {
        let owned =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let is_same = |from: &str, to: &str| same.contains(&(from, to));
        matches("inputs", &owned(gone), &owned(new), is_same).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_is_taken_over_only_where_one_table_fits_one_former_name() {
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(matched(&["a"], &["b"], &[]), Ok(Vec::new()));
        assert_eq!(matched(&["a"], &["b", "c"], &[("a", "c")]), Ok(vec![pair("a", "c")]));
        assert_eq!(
            matched(&["a", "b"], &["c", "d"], &[("a", "d"), ("b", "c")]),
            Ok(vec![pair("a", "d"), pair("b", "c")])
        );
        for same in [[("a", "c"), ("a", "d")], [("a", "c"), ("b", "c")]] {
            let error = matched(&["a", "b"], &["c", "d"], &same).unwrap_err();
            let named = same
                .iter()
                .all(|(from, to)| error.contains(&format!("`inputs.{from}` as `inputs.{to}`")));
            assert!(named && error.contains("one at a time"), "{error}");
        }
    }

    #[test]
    fn what_is_still_configured_is_neither_gone_nor_new() {
        let found = differences(["a", "b", "b"].into_iter(), ["b", "c"].into_iter());
        assert_eq!(found, (vec!["a".to_owned()], vec!["c".to_owned()]));
    }
}
