//! Prints `dead-letters list`: groups by answer, a line for each, some of them in full, or JSON with the events.

use std::cell::RefCell;
use std::io::{BufWriter, Write as _};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::groups::AnswerGroups;
use super::selector::Selector;
use crate::agent::control::pair_matches;
use crate::cli::logging::Detail;
use crate::cli::outcome::{ExitCode, note, print, say};
use crate::config::Config;
use crate::dead_letters::{self, DeadLetter, StoredDeadLetter, StoredPair};
use crate::event::RecordKind;
use crate::telemetry::human;

/// Characters of an answer in the table.
const EXCERPT: usize = 80;

/// What is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ListForm {
    /// Groups by answer; with ids, the letters in full.
    Groups,
    /// A line for each letter.
    Each,
    Json,
}

pub(super) fn list(
    config: &Config,
    which: &Selector,
    form: ListForm,
    detail: Detail,
) -> anyhow::Result<ExitCode> {
    let mut all = dead_letters::look(&config.state_dir).context("cannot read the dead letters")?;
    all.retain(|found| pair_matches((&which.input, &which.output), &found.input, &found.output));
    for found in &all {
        if found.count.damaged > 0 {
            say(&format!(
                "{} to {}: {} stretches of the segments are damaged and cannot be shown",
                found.input, found.output, found.count.damaged
            ));
        }
    }
    if let Some(id) = unknown(config, &all, &which.ids)? {
        bail!("there is no dead letter {id}");
    }
    match form {
        ListForm::Groups if which.ids.is_empty() => {
            let groups = grouped(config, &all)?;
            print(&groups.table());
            if !all.is_empty() {
                note(
                    detail,
                    "\nAdd --each for a line of each dead letter, or an id for all of one.",
                );
            }
            return Ok(ExitCode::Done);
        }
        ListForm::Each if all.is_empty() => print("there are no dead letters\n"),
        ListForm::Each => print(&row(&all, TITLES.map(str::to_owned))),
        ListForm::Groups | ListForm::Json => {}
    }
    // A closed pipe (`| head`) is no error.
    let mut out = BufWriter::new(std::io::stdout().lock());
    for found in &all {
        let wanted =
            |letter: &DeadLetter, _| which.ids.is_empty() || which.ids.contains(&letter.id);
        let take = |kept: StoredDeadLetter| {
            let text = match form {
                ListForm::Groups => whole(found, &kept),
                ListForm::Each => one(&all, found, &kept),
                ListForm::Json => as_json(found, &kept),
            };
            out.write_all(&text).is_ok()
        };
        dead_letters::each(&config.state_dir, found, wanted, take)
            .context("cannot read the dead letters")?;
    }
    let _ = out.flush();
    Ok(ExitCode::Done)
}

/// The first id that no dead letter has.
fn unknown(config: &Config, all: &[StoredPair], ids: &[String]) -> anyhow::Result<Option<String>> {
    let mut unknown = ids.to_vec();
    for found in all {
        let seen = |letter: &DeadLetter, _| {
            unknown.retain(|id| *id != letter.id);
            false
        };
        if !ids.is_empty() {
            dead_letters::each(&config.state_dir, found, seen, |_| true)
                .context("cannot read the dead letters")?;
        }
    }
    Ok(unknown.into_iter().next())
}

fn grouped(config: &Config, all: &[StoredPair]) -> anyhow::Result<AnswerGroups> {
    // Letters are counted and read in turn, one segment after the other.
    let groups = RefCell::new(AnswerGroups::default());
    for found in all {
        let pair = (found.input.as_str(), found.output.as_str());
        let counted = |letter: &DeadLetter, bytes| groups.borrow_mut().count(pair, letter, bytes);
        let example = |stored| {
            groups.borrow_mut().example(pair, stored);
            true
        };
        dead_letters::each(&config.state_dir, found, counted, example)
            .context("cannot read the dead letters")?;
    }
    Ok(groups.into_inner())
}

const TITLES: [&str; 6] = ["ID", "EVENT TIME", "INPUT", "OUTPUT", "SIZE", "ANSWER"];

/// A line of the table. The widths do not depend on the letters, so that nobody has to hold them all.
fn row(all: &[StoredPair], [id, time, input, output, size, answer]: [String; 6]) -> String {
    let widest = |name: fn(&StoredPair) -> &str| {
        all.iter().map(|found| name(found).chars().count()).max().unwrap_or(0).max(6)
    };
    let (inputs, outputs) = (widest(|found| &found.input), widest(|found| &found.output));
    format!("{id:<32}  {time:<24}  {input:<inputs$}  {output:<outputs$}  {size:>8}  {answer}\n")
}

fn one(all: &[StoredPair], found: &StoredPair, stored: &StoredDeadLetter) -> Vec<u8> {
    let StoredDeadLetter { letter, line } = stored;
    let cells = [
        human::line(&letter.id, 64),
        format!("{:.3}", letter.time),
        human::line(&found.input, 63),
        human::line(&found.output, 63),
        human::size(line.len() as u64),
        human::line(&letter.answer, EXCERPT),
    ];
    row(all, cells).into_bytes()
}

/// For people: the facts about it, an empty line, and the event as it was.
fn whole(found: &StoredPair, StoredDeadLetter { letter, line }: &StoredDeadLetter) -> Vec<u8> {
    let DeadLetter { id, generation, offset, whole, time, refused, answer, scope, .. } = letter;
    let since = letter.since();
    let whole = match whole {
        RecordKind::Event => "",
        RecordKind::Torn => ", torn",
        RecordKind::Gap => ", a gap",
        RecordKind::Heartbeat => ", a heartbeat",
    };
    let mut text = format!(
        "id         {id}\ninput      {}\noutput     {} ({})\nevent time {time}\nrefused    {refused}\n\
         kept since {since}\nstood      at {offset} of generation {generation}{whole}\nanswer     {}\n\n",
        found.input, found.output, human::line(scope, 300), human::line(answer, 1000)
    )
    .into_bytes();
    text.extend(
        String::from_utf8_lossy(line)
            .chars()
            .filter(|c| !human::is_hidden(*c) || *c == '\t')
            .collect::<String>()
            .into_bytes(),
    );
    text.push(b'\n');
    text
}

fn as_json(found: &StoredPair, StoredDeadLetter { letter, line }: &StoredDeadLetter) -> Vec<u8> {
    let DeadLetter { id, generation, offset, whole, time, refused, answer, scope, .. } = letter;
    let mut value = serde_json::json!({
        "id": id, "input": found.input, "output": found.output, "generation": generation, "offset": offset, "whole": whole,
        "time": time, "refused": refused, "since": letter.since(), "answer": answer, "scope": scope,
    });
    match std::str::from_utf8(line) {
        Ok(line) => value["line"] = line.into(),
        Err(_) => value["line_base64"] = STANDARD.encode(line).into(),
    }
    format!("{value}\n").into_bytes()
}
