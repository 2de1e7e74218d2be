//! Prints `dead-letters list`: a line for each, one of them in full, or JSON with the events.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::selector::Selector;
use crate::agent::control::pair_matches;
use crate::cli::outcome::{ExitCode, say};
use crate::config::Config;
use crate::dead_letters::{self, DeadLetter, StoredDeadLetter, StoredPair};
use crate::event::RecordKind;
use crate::server;
use crate::telemetry::human;

/// Characters of an answer in the table.
const EXCERPT: usize = 80;

pub(super) fn list(config: &Config, which: &Selector, json: bool) -> anyhow::Result<ExitCode> {
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
    if let Some(id) = which.ids.iter().find(|id| !all.iter().any(|found| has(found, id))) {
        bail!("there is no dead letter {id}");
    }
    // A closed pipe (`| head`) is no error.
    let mut out = std::io::stdout().lock();
    if !json && which.ids.is_empty() {
        let _ = out.write_all(table(&all).as_bytes());
        return Ok(ExitCode::Done);
    }
    for found in &all {
        let wanted = |letter: &DeadLetter| which.ids.is_empty() || which.ids.contains(&letter.id);
        let take = |kept: StoredDeadLetter| {
            let text = if json { as_json(found, &kept) } else { whole(found, &kept) };
            out.write_all(&text).is_ok()
        };
        dead_letters::each(&config.state_dir, found, wanted, take)
            .context("cannot read the dead letters")?;
    }
    Ok(ExitCode::Done)
}

fn has(found: &StoredPair, id: &str) -> bool {
    found.letters.iter().any(|(letter, _)| letter.id == id)
}

fn table(all: &[StoredPair]) -> String {
    let letters = all.iter().flat_map(|found| found.letters.iter().map(move |one| (found, one)));
    let rows: Vec<_> = letters
        .map(|(found, (letter, size))| {
            [
                letter.id.clone(),
                format!("{:.3}", letter.time),
                found.input.clone(),
                found.output.clone(),
                human::size(*size),
                human::line(&letter.answer, EXCERPT),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "there are no dead letters\n".to_owned();
    }
    server::columns(&["ID", "EVENT TIME", "INPUT", "OUTPUT", "SIZE", "ANSWER"], rows)
}

/// For people: the facts about it, an empty line, and the event as it was.
fn whole(found: &StoredPair, StoredDeadLetter { letter, line }: &StoredDeadLetter) -> Vec<u8> {
    let DeadLetter { id, generation, offset, whole, time, refused, answer, scope, .. } = letter;
    let since = letter.since();
    let whole = match whole {
        RecordKind::Event => "",
        RecordKind::Torn => ", torn",
        RecordKind::Gap => ", a gap",
    };
    let mut text = format!(
        "id         {id}\ninput      {}\noutput     {} ({})\nevent time {time}\nrefused    {refused}\n\
         kept since {since}\nstood      at {offset} of generation {generation}{whole}\nanswer     {answer}\n\n",
        found.input, found.output, human::line(scope, 300)
    )
    .into_bytes();
    text.extend(
        String::from_utf8_lossy(line)
            .chars()
            .filter(|c| !c.is_control() || *c == '\t')
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
