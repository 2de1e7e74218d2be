//! What the parts of the page share: times, commands, table cells, bars.

use std::time::Duration;

use maud::{Markup, Render, html};

use crate::telemetry::{Snapshot, Time, human};

/// Where the commands look for the configuration by themselves.
const DEFAULT_CONFIG: &str = "/etc/auditrail/auditrail.toml";

/// `2026-11-21 08:00:59 UTC`.
pub(super) fn utc(time: Time) -> String {
    format!("{time:.0}").replace('T', " ").replace('Z', " UTC")
}

/// How long ago, to the second.
pub(super) fn age(time: Time, now: Time) -> String {
    human::duration(Duration::from_secs(now.since(time).as_secs()))
}

/// The age first, since it is read first, and the time below it.
pub(super) fn moment(time: Option<Time>, now: Time) -> Markup {
    html! {
        @match time {
            Some(time) => {
                span.age { (age(time, now)) " ago" }
                " "
                time datetime=(format!("{time:.0}")) { (utc(time)) }
            }
            None => span.none { "never" }
        }
    }
}

/// A command of this agent, ready to be copied.
pub(super) fn command(snapshot: &Snapshot, arguments: &str) -> Markup {
    let file = snapshot.in_force.as_ref().map_or(DEFAULT_CONFIG, |known| &known.file);
    let config =
        if file == DEFAULT_CONFIG { String::new() } else { format!(" -c {}", shell(file)) };
    html! { code.command { "auditrail " (arguments) (config) } }
}

/// What to type next, and why.
pub(super) fn next(snapshot: &Snapshot, arguments: &str, what: &str) -> Markup {
    html! { p.next { (command(snapshot, arguments)) span { (what) } } }
}

/// A word for a POSIX shell.
fn shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A heading of a column. The roles are those that a table has by itself: on a small screen its rows are shown as
/// blocks, and browsers then forget what they are.
pub(super) fn column(name: &str, is_number: bool) -> Markup {
    html! { th.number[is_number] role="columnheader" scope="col" { (name) } }
}

/// A cell of a column.
pub(super) fn cell(column: &str, is_number: bool, content: impl Render) -> Markup {
    html! { td.number[is_number] role="cell" data-label=(column) { span.value { (content) } } }
}

/// A table with these columns (name, whether it has numbers) and rows.
pub(super) fn table(label: &str, columns: &[(&str, bool)], rows: &Markup) -> Markup {
    html! {
        table role="table" aria-label=(label) {
            thead role="rowgroup" {
                tr role="row" { @for (name, is_number) in columns { (column(name, *is_number)) } }
            }
            tbody role="rowgroup" { (rows) }
        }
    }
}

/// How much of a budget is used: a bar, and the words.
pub(super) fn budget(used: u64, most: u64) -> Markup {
    let share = (u128::from(used) * 100).checked_div(u128::from(most)).unwrap_or(0);
    let words = if share == 0 && used > 0 { "<1%".to_owned() } else { format!("{share}%") };
    let mood = match share {
        0..70 => "low",
        70..90 => "high",
        _ => "full",
    };
    html! {
        span.budget {
            svg class={ "bar " (mood) } viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                rect.track width="100" height="6" {}
                rect.fill width=(share.min(100)) height="6" {}
            }
            span { (human::size(used)) " of " (human::size(most)) " (" (words) ")" }
        }
    }
}

/// A state in one word, in its colour.
pub(super) fn badge(mood: &str, word: &str) -> Markup {
    html! { span class={ "badge " (mood) } { (word) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::at;

    #[test]
    fn a_time_says_its_age_first_and_is_utc() {
        assert_eq!(
            moment(Some(at(0)), at(125)).into_string(),
            "<span class=\"age\">2m 5s ago</span> <time datetime=\"2025-11-21T08:00:00Z\">2025-11-21 08:00:00 UTC</time>"
        );
        assert_eq!(moment(None, at(0)).into_string(), "<span class=\"none\">never</span>");
    }

    #[test]
    fn a_path_with_blanks_and_quotes_stays_one_word_in_the_shell() {
        assert_eq!(shell("/etc/auditrail/a-1.toml"), "/etc/auditrail/a-1.toml");
        assert_eq!(shell("/etc/my file"), "'/etc/my file'");
        assert_eq!(shell("a'; rm -rf ~; '"), r"'a'\''; rm -rf ~; '\'''");
        assert_eq!(shell(""), "''");
    }

    #[test]
    fn a_budget_of_nothing_divides_by_nothing_and_a_little_is_not_zero() {
        assert!(budget(5, 0).into_string().contains("5 B of 0 B (&lt;1%)"));
        assert!(budget(1, 1 << 30).into_string().contains("(&lt;1%)"));
        let over = budget(300, 100).into_string();
        assert!(over.contains("(300%)") && over.contains("width=\"100\"") && over.contains("full"));
    }
}
