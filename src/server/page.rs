//! The page at `/`: the status for people. One verdict first, then what is behind it, each part with the command to type
//! next.
//!
//! `maud` escapes every value; only the markup of this folder, `style.css` and `update.js` are trusted, and the browser
//! is told so by their hashes ([`POLICY`]). The page loads nothing. Its script asks the same address for the
//! [`fragment`] every few seconds and changes only what differs, so scroll, focus and selection stay. Without scripts a
//! browser reloads the page.
//!
//! `verdict.rs` is the top, `hour.rs` the chart, `outputs.rs` and `inputs.rs` what flows, `losses.rs` gaps and dead
//! letters, `agent.rs` errors, disk and configuration. `words.rs` has what they share.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::telemetry::{Point, Snapshot, TrailState};

mod agent;
mod hour;
mod inputs;
mod losses;
mod outputs;
mod verdict;
mod words;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/update.js");

/// Seconds between two reloads where no script runs.
const RELOAD: u8 = 15;

/// The content security policy: the browser runs this script, applies this style sheet, asks this server, and does
/// nothing else.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    format!(
        "default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// Tells a page that is open that another version of the agent answers, so that it loads itself again.
static BUILD: LazyLock<String> = LazyLock::new(|| hash(&[STYLE, SCRIPT].concat()));

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// What the page shows.
pub(super) struct PageData<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// The last hour.
    pub(super) hour: &'a [Point],
}

/// The whole page.
pub(super) fn document(data: &PageData<'_>) -> String {
    let colour = match verdict::state(data.snapshot) {
        TrailState::Whole => "%231a7f4b",
        TrailState::Behind => "%23a86400",
        TrailState::Holes | TrailState::Stopped => "%23c22f2f",
    };
    let icon = format!(
        "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='{colour}'/></svg>"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                noscript { meta http-equiv="refresh" content=(RELOAD); }
                title { (title(data.snapshot)) }
                link id="icon" rel="icon" href=(icon);
                style { (PreEscaped(STYLE)) }
            }
            body {
                (content(data))
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// The part of the page that changes.
pub(super) fn fragment(data: &PageData<'_>) -> String {
    content(data).into_string()
}

fn title(snapshot: &Snapshot) -> String {
    format!("{}: {} · auditrail", verdict::word(snapshot), snapshot.node)
}

fn content(data: &PageData<'_>) -> Markup {
    let snapshot = data.snapshot;
    html! {
        div id="page" data-build=(*BUILD) data-title=(title(snapshot)) {
            (verdict::header(snapshot))
            main {
                (verdict::verdict(snapshot))
                (verdict::answers(snapshot, data.hour))
                (outputs::section(snapshot))
                (inputs::section(snapshot))
                (hour::section(data.hour))
                (losses::gaps(snapshot))
                (losses::dead_letters(snapshot))
                (agent::errors(snapshot))
                (agent::disk(snapshot))
                (agent::configuration(snapshot))
            }
            (agent::footer(snapshot))
        }
    }
}

#[cfg(test)]
mod tests;
