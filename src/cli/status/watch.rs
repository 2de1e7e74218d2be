//! `status --watch`: shows the status again and again, until Ctrl-C or until nobody reads it any more.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use console::{Term, truncate_str};
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::parts;
use crate::cli::outcome::ExitCode;

/// Shows what `look` returns each `interval`. The exit code is that of the last look.
///
/// On a terminal each status replaces the one before. Elsewhere they follow one another, as `look` ends them.
pub(super) fn watch(
    interval: Duration,
    mut look: impl FnMut() -> (String, ExitCode),
) -> anyhow::Result<ExitCode> {
    parts::runtime(1)?.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
        let mut output = WatchedOutput::new();
        loop {
            let (text, code) = look();
            // A closed pipe (`| head`), or a terminal that is gone, is no error.
            if output.show(&text).is_err() {
                return Ok(code);
            }
            if tokio::time::timeout(interval, interrupted.recv()).await.is_ok() {
                return Ok(code);
            }
        }
    })
}

/// Where the status is shown.
enum WatchedOutput {
    /// `true`: nothing was drawn yet.
    Terminal(Term, bool),
    Stream,
}

impl WatchedOutput {
    fn new() -> Self {
        let is_terminal = io::stdout().is_terminal();
        if is_terminal { Self::Terminal(Term::buffered_stdout(), true) } else { Self::Stream }
    }

    fn show(&mut self, text: &str) -> io::Result<()> {
        let Self::Terminal(terminal, is_first) = self else {
            let mut out = io::stdout().lock();
            return out.write_all(text.as_bytes()).and_then(|()| out.flush());
        };
        if std::mem::take(is_first) {
            terminal.clear_screen()?;
        }
        terminal.move_cursor_to(0, 0)?;
        let (rows, columns) = terminal.size();
        for line in fitting(text, rows.into(), columns.into()) {
            terminal.write_str(&line)?;
            // What an earlier status wrote behind it.
            terminal.write_str("\x1b[K\n")?;
        }
        terminal.clear_to_end_of_screen()?;
        terminal.flush()
    }
}

/// As much of the text as the terminal shows above its last row, so that it never scrolls.
fn fitting(text: &str, rows: usize, columns: usize) -> Vec<String> {
    let room = rows.saturating_sub(1).max(1);
    let mut lines: Vec<_> =
        text.lines().map(|line| truncate_str(line, columns, "…").into_owned()).collect();
    if lines.len() > room {
        lines.truncate(room - 1);
        lines.push("…".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn what_does_not_fit_is_cut_at_the_edges_of_the_terminal() {
        let text = "one\ntwo, longer\n\nfour\n";
        assert_eq!(fitting(text, 5, 20), ["one", "two, longer", "", "four"]);
        assert_eq!(fitting(text, 4, 5), ["one", "two,…", "…"]);
        assert_eq!(fitting(text, 0, 1), ["…"]);
        // A wide character takes two columns.
        assert_eq!(fitting("日本語", 9, 5), ["日本…"]);
    }
}
