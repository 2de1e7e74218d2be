//! The agent itself: its last errors, its disk, its configuration, and the other pages.

use maud::{Markup, html};

use super::words::{budget, cell, moment, next, table};
use crate::telemetry::{ErrorSeen, InForce, OutputInForce, Snapshot, human};

const ERROR_COLUMNS: [(&str, bool); 4] =
    [("Last seen", false), ("Times", true), ("Where", false), ("What", false)];

const OUTPUT_COLUMNS: [(&str, bool); 5] = [
    ("Output", false),
    ("Sends to", false),
    ("Policy", false),
    ("Filter", false),
    ("Redaction", false),
];

pub(super) fn errors(snapshot: &Snapshot) -> Markup {
    let rows = html! { @for error in &snapshot.errors { (error_row(snapshot, error)) } };
    html! {
        section aria-labelledby="errors" {
            h2 id="errors" { "Last errors" }
            @if snapshot.errors.is_empty() {
                p.nothing { "None since the start." }
            } @else {
                (table("Last errors", &ERROR_COLUMNS, &rows))
                (next(snapshot, "status", "shows the words of a store's answers"))
            }
        }
    }
}

fn error_row(snapshot: &Snapshot, error: &ErrorSeen) -> Markup {
    let lasted = error.last.since(error.first);
    html! {
        tr role="row" {
            (cell("Last seen", false, moment(Some(error.last), snapshot.taken)))
            (cell("Times", true, html! {
                (human::count(error.times))
                @if error.times > 1 { span.sub { "in " (human::duration(lasted)) } }
            }))
            (cell("Where", false, &error.at))
            (cell("What", false, &error.what))
        }
    }
}

pub(super) fn disk(snapshot: &Snapshot) -> Markup {
    let disk = &snapshot.disk;
    let known = snapshot.in_force.as_ref();
    html! {
        section aria-labelledby="disk" {
            h2 id="disk" { "Disk and memory" }
            dl.pairs {
                div {
                    dt { "State directory" }
                    dd {
                        @match known {
                            Some(known) => (budget(disk.state_bytes, known.disk_max_bytes))
                            None => (human::size(disk.state_bytes))
                        }
                    }
                }
                @if disk.free_bytes > 0 {
                    div {
                        dt { "Free on its file system" }
                        dd {
                            (human::size(disk.free_bytes))
                            @if let Some(known) = known { span.sub { "at least " (known.disk_min_free) " stays free" } }
                        }
                    }
                }
                div {
                    dt { "Checkpoint saved" }
                    dd { (moment(disk.checkpoint_saved, snapshot.taken)) }
                }
                div {
                    dt { "Memory" }
                    dd { "at most " (human::size(snapshot.memory_bound_bytes)) }
                }
            }
        }
    }
}

pub(super) fn configuration(snapshot: &Snapshot) -> Markup {
    let Some(known) = &snapshot.in_force else { return html! {} };
    let rows = html! { @for output in &known.outputs { (output_row(output)) } };
    html! {
        section aria-labelledby="configuration" {
            h2 id="configuration" { "Configuration in force" }
            (files(known))
            (table("Outputs in force", &OUTPUT_COLUMNS, &rows))
            (next(snapshot, "check", "tests the file as it is now"))
        }
    }
}

fn files(known: &InForce) -> Markup {
    html! {
        dl.pairs {
            div { dt { "File" } dd { span.path { (known.file) } } }
            div { dt { "State directory" } dd { span.path { (known.state_dir) } } }
            @for input in &known.inputs {
                div {
                    dt { "Hold of " (input.name) }
                    dd {
                        @if input.hold_max_bytes == 0 { "off" } @else {
                            "up to " (human::size(input.hold_max_bytes))
                            span.sub { "at least " (input.hold_min_free) " of the disk stays free" }
                        }
                    }
                }
            }
        }
    }
}

fn output_row(output: &OutputInForce) -> Markup {
    html! {
        tr role="row" {
            th role="rowheader" scope="row" { (output.name) span.sub { (output.kind) } }
            (cell("Sends to", false, html! { @for endpoint in &output.endpoints { span.path { (endpoint) } " " } }))
            (cell("Policy", false, html! {
                @match &output.policy_file {
                    Some(file) => span.path { (file) }
                    None => span.none { "none: each event as it was written" }
                }
            }))
            (cell("Filter", false, html! {
                @if output.is_filtered { "set with " code { "where" } } @else { span.none { "none" } }
            }))
            (cell("Redaction", false, html! {
                @if output.redaction == "off" { span.said.warn { "off" } } @else { (output.redaction) }
                @if let Some(most) = output.max_event_bytes {
                    span.sub { "events over " (human::size(most as u64)) " are shortened" }
                }
            }))
        }
    }
}

pub(super) fn footer(snapshot: &Snapshot) -> Markup {
    html! {
        footer {
            nav aria-label="Other pages" {
                a href="metrics" { "metrics" }
                a href="readyz?verbose" { "readyz" }
                a href="livez" { "livez" }
                a href="status" { "status as JSON" }
            }
            p { "auditrail " (snapshot.version) }
        }
    }
}
