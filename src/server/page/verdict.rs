//! The top of the page: whose it is, the verdict, and four answers.

use maud::{Markup, html};

use super::words::{age, command, next, utc};
use crate::telemetry::{
    InputView, Point, Snapshot, Time, TrailState, TrailVerdict, Writing, human,
};

/// The state of the trail. A snapshot of this version always has one.
pub(super) fn state(snapshot: &Snapshot) -> TrailState {
    snapshot.verdict.as_ref().map_or(TrailState::Stopped, |verdict| verdict.state)
}

/// The verdict in one word.
pub(super) fn word(snapshot: &Snapshot) -> &'static str {
    match state(snapshot) {
        TrailState::Whole => "Whole",
        TrailState::Behind => "Behind",
        TrailState::Holes => "Holes",
        TrailState::Stopped => "Stopped",
    }
}

pub(super) fn header(snapshot: &Snapshot) -> Markup {
    html! {
        header {
            h1 { span.product { "auditrail" } " " span.node { (snapshot.node) } }
            ul.facts aria-label="This agent" {
                @if let Some(cluster) = &snapshot.cluster { li { "cluster " (cluster) } }
                li { "version " (snapshot.version) }
                li { "up " (human::duration(snapshot.taken.since(snapshot.started))) }
            }
            p.updated {
                "as of "
                time datetime=(format!("{:.0}", snapshot.taken)) { (utc(snapshot.taken)) }
                " "
                a href="" { "Reload" }
                " "
                button id="pause" type="button" hidden { "Pause" }
            }
        }
    }
}

/// Only the word is a live region: a screen reader says it when it changes, and stays silent about the rest.
pub(super) fn verdict(snapshot: &Snapshot) -> Markup {
    let state = state(snapshot);
    let (sentence, icon) = match state {
        TrailState::Whole => ("No event is known to be missing.", "M3.5 8.5l3 3 6-7"),
        TrailState::Behind => ("Events arrive late.", "M8 3.5v5l3 2"),
        TrailState::Holes => {
            ("A part of the log is missing in a store.", "M2 8h3.5M10.5 8H14M6 4.5v7M10 4.5v7")
        }
        TrailState::Stopped => ("Some events do not arrive.", "M4.5 4.5l7 7M11.5 4.5l-7 7"),
    };
    html! {
        section class={ "verdict " (state.to_string()) } data-state=(state.to_string()) aria-labelledby="verdict" {
            svg.sign viewBox="0 0 16 16" aria-hidden="true" { path d=(icon) {} }
            div role="status" id="told" {
                h2 id="verdict" { strong { (word(snapshot)) } " " span { (sentence) } }
            }
            @if let Some(verdict) = &snapshot.verdict {
                @if let Some(since) = verdict.since { p.since { (since_words(verdict, since, snapshot.taken)) } }
                p.why { (capital(&verdict.why)) }
                (others(snapshot, verdict))
            }
            (what_next(snapshot, state))
        }
    }
}

fn since_words(verdict: &TrailVerdict, since: Time, now: Time) -> Markup {
    let lead = match verdict.state {
        TrailState::Behind => "Delivered up to ",
        _ => "Since ",
    };
    html! {
        (lead)
        time datetime=(format!("{since:.0}")) { (utc(since)) }
        span.age { " (" (age(since, now)) " ago)" }
    }
}

/// The other reasons why the agent is not ready, and what is odd beside the verdict.
fn others(snapshot: &Snapshot, verdict: &TrailVerdict) -> Markup {
    let forged = snapshot.disk.checkpoint_forged.as_ref();
    let forged =
        forged.map(|what| format!("a checkpoint failed authentication and was not used: {what}"));
    let reasons = snapshot.reasons.iter().filter(|reason| **reason != verdict.why);
    let all: Vec<_> = reasons.chain(&forged).chain(&snapshot.reload_problem).collect();
    html! {
        @if !all.is_empty() {
            ul.also aria-label="Also" { @for one in all { li { (capital(one)) } } }
        }
    }
}

fn what_next(snapshot: &Snapshot, state: TrailState) -> Markup {
    match state {
        TrailState::Stopped => next(snapshot, "check", "tests each part and says how to fix it"),
        TrailState::Holes => {
            next(snapshot, "verify", "compares the disk with the store, event by event")
        }
        TrailState::Behind => {
            next(snapshot, "status", "shows the lag with the words of the store's answers")
        }
        TrailState::Whole => html! {},
    }
}

/// A sentence as people write it: from an upper-case letter to a full stop.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let stop = if sentence.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).chain(stop.chars()).collect()
    })
}

/// Four questions that everybody asks next.
pub(super) fn answers(snapshot: &Snapshot, hour: &[Point]) -> Markup {
    html! {
        section.answers aria-label="Answers" {
            dl {
                (writing(snapshot))
                (lag(snapshot))
                (loss(snapshot))
                (delivered(snapshot, hour))
            }
        }
    }
}

fn answer(question: &str, mood: &str, answer: &str, more: &Markup) -> Markup {
    html! {
        div {
            dt { (question) }
            dd { span class={ "said " (mood) } { (answer) } span.more { (more) } }
        }
    }
}

/// The judgement on one input: its mood, the answer, and the words behind it.
pub(super) fn judged(input: &InputView, now: Time) -> (&'static str, &'static str, String) {
    let age = input.last_write.map(|last| age(last, now)).unwrap_or_default();
    match input.writing(now) {
        Writing::Active => ("good", "Yes", format!("last write {age} ago")),
        Writing::Quiet => {
            ("good", "Quiet", format!("last write {age} ago; normal if the policy records little"))
        }
        Writing::Silent => (
            "warn",
            "No",
            format!("nothing written for {age}: see that kube-apiserver runs, with an audit log"),
        ),
        Writing::Unknown => {
            ("bad", "Unknown", "the log is not there, or cannot be looked at".into())
        }
    }
}

/// Is the API server still writing? Of several logs, the one that was written to longest ago.
fn writing(snapshot: &Snapshot) -> Markup {
    let question = "Is the API server still writing?";
    let Some(input) = snapshot.inputs.iter().min_by_key(|input| input.last_write) else {
        return answer(question, "warn", "Unknown", &html! { "no input" });
    };
    let (mood, said, why) = judged(input, snapshot.taken);
    let more = html! {
        (why)
        @if snapshot.inputs.len() > 1 { " (" (input.name) ")" }
    };
    answer(question, mood, said, &more)
}

fn lag(snapshot: &Snapshot) -> Markup {
    let question = "How late is delivery?";
    let late = snapshot.pairs.iter().filter(|pair| pair.lag_bytes > 0);
    match late.max_by(|one, other| one.lag_seconds.total_cmp(&other.lag_seconds)) {
        None => answer(question, "good", "Not at all", &html! { "every event is acknowledged" }),
        Some(pair) => {
            let mood = if state(snapshot) == TrailState::Whole { "good" } else { "warn" };
            let more = html! { (human::size(pair.lag_bytes)) " wait for " (pair.output) };
            answer(question, mood, &super::super::view::lag(pair), &more)
        }
    }
}

fn loss(snapshot: &Snapshot) -> Markup {
    let question = "Is the next event at risk?";
    let at_risk = snapshot.pairs.iter().filter(|pair| pair.time_to_loss_seconds.is_some());
    match at_risk.min_by(|a, b| {
        a.time_to_loss_seconds.unwrap_or(0.0).total_cmp(&b.time_to_loss_seconds.unwrap_or(0.0))
    }) {
        None => answer(question, "good", "No", &html! { "no backup waits to be delivered" }),
        Some(pair) => {
            let said = format!("Lost in {}", super::super::view::loss_in(pair));
            let more = html! { "a backup that " (pair.output) " still needs is deleted then" };
            answer(question, "warn", &said, &more)
        }
    }
}

fn delivered(snapshot: &Snapshot, hour: &[Point]) -> Markup {
    let events = hour.iter().fold(0_u64, |sum, point| sum.saturating_add(point.events));
    let all: u64 = snapshot.pairs.iter().map(|pair| pair.delivered).sum();
    let more = html! { "of " (human::count(all)) " events since the start" };
    answer("Delivered in the last hour", "plain", &human::count(events), &more)
}

/// What `status` would say on the node, for an output whose answer is shown by its class only.
pub(super) fn whole_answer(snapshot: &Snapshot) -> Markup {
    html! { p.next { (command(snapshot, "status")) span { "shows the words of the answer" } } }
}
