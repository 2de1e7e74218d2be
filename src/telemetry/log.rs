//! The log on standard error: text for people, JSON lines for machines.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt as lines, registry};

/// The value of `--log-format`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    /// One object per line: `timestamp`, `level`, `target`, and `fields`, which include the message.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The text is neither a level nor a list of targets with levels.
    #[error(
        "{source_of} `{text}` is not a log level: write error, warn, info, debug, trace or off, or a list such as \
         `info,auditrail::input=debug`"
    )]
    Level {
        /// The flag or variable that held it.
        source_of: &'static str,
        text: String,
    },
    /// [`init`] was called twice in one process.
    #[error("logging was set up before")]
    Twice,
}

/// Sets up logging for the rest of the process. `level` is `--log-level`; it wins over `AUDITRAIL_LOG`, which wins
/// over `info`.
pub(crate) fn init(format: LogFormat, level: Option<&str>) -> Result<(), LogError> {
    let variable = std::env::var("AUDITRAIL_LOG").ok();
    let wanted = targets(level, variable.as_deref())?;
    // <https://no-color.org>: the variable counts if it is set and not empty, whatever its value.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = !plain && io::stderr().is_terminal();
    let journal = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    subscriber(format, wanted, colour, journal, || Stderr).try_init().map_err(|_| LogError::Twice)
}

/// A progress bar on the terminal to which the log goes too.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// From now on `bar` is hidden while a log line is written; `None` ends that.
pub(crate) fn step_aside(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Standard error, shared with a progress bar.
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match bar {
            Some(bar) => bar.suspend(|| io::stderr().write_all(bytes)),
            None => io::stderr().write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn targets(flag: Option<&str>, variable: Option<&str>) -> Result<Targets, LogError> {
    let (source_of, text) = match (flag, variable.filter(|text| !text.is_empty())) {
        (Some(text), _) => ("--log-level", text),
        (None, Some(text)) => ("AUDITRAIL_LOG", text),
        (None, None) => ("the default", "info"),
    };
    // The text may be a password that somebody put there by mistake, so only plain short text is shown.
    let plain = |c: char| c.is_ascii_lowercase() || "=,:_- ".contains(c);
    let shown = if text.len() <= 64 && text.chars().all(plain) { text } else { "…" };
    let wrong = || LogError::Level { source_of, text: shown.into() };
    // `Targets` takes a lone word that is not a level for the name of a target, and would then log nothing at all.
    let known = |word: &str| {
        word.contains('=') || word.trim().parse::<tracing::level_filters::LevelFilter>().is_ok()
    };
    if !text.split(',').all(known) {
        return Err(wrong());
    }
    text.replace(' ', "").parse().map_err(|_| wrong())
}

fn subscriber<W>(
    format: LogFormat,
    wanted: Targets,
    colour: bool,
    journal: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = lines::layer().with_ansi(colour).with_writer(writer);
    let json = || lines::format().json().with_current_span(false).with_span_list(false);
    match (format, journal) {
        (LogFormat::Text, false) => Box::new(registry().with(wanted).with(layer)),
        (LogFormat::Text, true) => {
            let text = lines::format().without_time().with_level(false).with_ansi(false);
            Box::new(registry().with(wanted).with(layer.event_format(WithPriority(text))))
        }
        (LogFormat::Json, false) => {
            let layer = layer.event_format(json()).fmt_fields(JsonFields::new());
            Box::new(registry().with(wanted).with(layer))
        }
        (LogFormat::Json, true) => {
            let layer = layer.event_format(WithPriority(json())).fmt_fields(JsonFields::new());
            Box::new(registry().with(wanted).with(layer))
        }
    }
}

/// Whether standard error goes to the journal, which adds the time itself and understands a priority.
/// `JOURNAL_STREAM` names the device and inode of the stream that systemd connected; after a redirection they differ.
fn is_journal(stream: Option<&str>) -> bool {
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    stream.is_some_and(|stream| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Starts each line with its priority, as `sd-daemon(3)` describes.
struct WithPriority<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithPriority<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str) -> String {
        logged_to(format, level, false)
    }

    fn logged_to(format: LogFormat, level: &str, journal: bool) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            subscriber(format, targets(Some(level), None).unwrap(), false, journal, move || {
                writer.clone()
            });
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "auditrail::input", path = "/var/log/audit.log", bytes = 7, "backup lost");
            tracing::info!(target: "hyper", "noise");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_json_line_has_time_level_target_and_fields() {
        let text = logged(LogFormat::Json, "warn,auditrail=info");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["fields", "level", "target", "timestamp"]);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "auditrail::input");
        let fields =
            serde_json::json!({"message": "backup lost", "path": "/var/log/audit.log", "bytes": 7});
        assert_eq!(line["fields"], fields);
    }

    #[test]
    fn text_without_colour_has_no_escape_codes_and_a_level_silences_what_is_below() {
        let text = logged(LogFormat::Text, "info");
        assert!(
            text.contains("auditrail::input: backup lost path=\"/var/log/audit.log\" bytes=7\n"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
        assert_eq!(text.lines().count(), 2);
        assert_eq!(logged(LogFormat::Text, "error"), "");
    }

    #[test]
    fn the_journal_gets_a_priority_and_no_second_time() {
        let text = logged_to(LogFormat::Text, "warn,auditrail=info", true);
        assert_eq!(text, "<6>auditrail::input: backup lost path=\"/var/log/audit.log\" bytes=7\n");
        let json = logged_to(LogFormat::Json, "warn,auditrail=info", true);
        let line: serde_json::Value =
            serde_json::from_str(json.strip_prefix("<6>").unwrap()).unwrap();
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode_of_standard_error() {
        let stat = rustix::fs::fstat(io::stderr()).unwrap();
        assert!(is_journal(Some(&format!("{}:{}", stat.st_dev, stat.st_ino))));
        for other in [None, Some(""), Some("1:2"), Some("nonsense")] {
            assert!(!is_journal(other), "{other:?}");
        }
    }

    #[test]
    fn a_misspelt_level_is_an_error_that_names_where_it_was_written() {
        let error = targets(None, Some("debgu")).unwrap_err().to_string();
        assert!(error.starts_with("AUDITRAIL_LOG `debgu` is not a log level"), "{error}");
        assert!(
            targets(Some("auditrail=loud"), Some("info"))
                .unwrap_err()
                .to_string()
                .starts_with("--log-level")
        );
        assert!(targets(Some("info, auditrail::input=debug"), None).is_ok());
        assert!(targets(None, Some("")).is_ok());
    }
}
