//! `preview`: prints the events as they would leave the node for one output. It sends nothing, and neither reads nor
//! writes the checkpoint.

use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::path::PathBuf;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::logging::Detail;
use super::outcome::{ExitCode, note};
use super::recorded::{files, read};
use crate::agent::by_name::{log_named, takers};
use crate::agent::parts::{limits, names, telemetry};
use crate::agent::transforms::{NotAccepted, Transforms};
use crate::checkpoint::Store;
use crate::config::{self, Config, FollowedLog, StartAt};
use crate::event::Batch;
use crate::input::{Input, Large, Limits, ReaderItem};
use crate::telemetry::{InputStats, human};
use crate::transform::{ReloadableChain, TransformScratch};

pub(super) mod line;

/// Pause between two looks at the directory of a followed log.
const LOOK: Duration = Duration::from_millis(300);
/// How long an event waits for others before it is printed.
const AGE: Duration = Duration::from_millis(100);

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = super::configured::DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
    /// The input that follows this log, if the configuration has several
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// Show what this output would get, if several take the input
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Show only events for which this CEL expression is true
    #[arg(long = "where", value_name = "EXPR")]
    filter: Option<String>,
    /// Print the events themselves, one a line, instead of who did what
    #[arg(long)]
    json: bool,
    /// Recorded audit logs, compressed or not, or directories of them [default: follow the input's log from now on]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Runs `preview`.
pub(super) fn preview(
    config: &Config,
    arguments: &Arguments,
    detail: Detail,
) -> anyhow::Result<ExitCode> {
    let key = Store::key_of(&config.state_dir);
    let input = log_named(config, arguments.input.as_deref())?;
    let output = output(config, input, arguments.output.as_ref())?;
    let transforms = Transforms::with(config, &key, arguments.filter.as_deref())?;
    let mut shown = Preview {
        chain: transforms.of(&output.name)?,
        scratch: TransformScratch::default(),
        json: arguments.json,
        read: 0,
        left_out: 0,
        out: BufWriter::new(io::stdout().lock()),
    };
    if arguments.paths.is_empty() {
        let log = Input::new(FollowedLog { start_at: StartAt::End, ..input.clone() }, key);
        let stats = telemetry(config, "").input(&input.name);
        return follow(&log, &stats, limits(output, input), &mut shown);
    }
    for path in &arguments.paths {
        for file in files(path, &key)? {
            let each = |batch| shown.batch(batch).is_ok();
            read(&file, each).with_context(|| format!("cannot read {}", file.display()))?;
        }
    }
    // A closed pipe (`| head`) is no error.
    let _ = shown.out.flush();
    if shown.left_out > 0 && arguments.filter.is_none() {
        let [read, left_out] = [shown.read, shown.left_out].map(human::count);
        note(
            detail,
            &format!("the transform drops {left_out} of {read} events for {}", output.name),
        );
    }
    Ok(ExitCode::Done)
}

/// The output asked for, or the only one that takes the input.
fn output<'a>(
    config: &'a Config,
    input: &FollowedLog,
    asked: Option<&String>,
) -> anyhow::Result<&'a config::Output> {
    match &takers(config, input, asked.map_or(&[], slice::from_ref))?[..] {
        [only] => Ok(only),
        all => {
            let names = names(all.iter().map(|output| &output.name));
            Err(NotAccepted::error(format!("which output? Add --output with one of {names}")))
        }
    }
}

/// Prints what is written to the log from now on, until standard output is closed. The look makes no links: those of a
/// running agent are not touched.
fn follow(
    log: &Input,
    stats: &InputStats,
    limits: Limits,
    shown: &mut Preview<'_>,
) -> anyhow::Result<ExitCode> {
    log.look_once(stats).context("cannot follow the log")?;
    let mut reader = log.reader(None, limits, AGE, Large::default());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
                // The next look may succeed; the findings of the first one were printed.
                let _ = log.look_once(stats);
            }
        });
        while let Some(item) = reader.next() {
            let printed = match item {
                ReaderItem::Chunk(chunk) => shown.batch(chunk.batch),
                ReaderItem::Started(_) | ReaderItem::Gap(_) | ReaderItem::Rewound => Ok(()),
            };
            if printed.and_then(|()| shown.out.flush()).is_err() {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    Ok(ExitCode::Done)
}

/// Prints batches.
struct Preview<'a> {
    chain: Arc<ReloadableChain>,
    scratch: TransformScratch,
    json: bool,
    /// Number of events that were read, and of those that the transform left out.
    read: u64,
    left_out: u64,
    out: BufWriter<StdoutLock<'a>>,
}

impl Preview<'_> {
    fn batch(&mut self, mut batch: Batch) -> io::Result<()> {
        let (chain, revision) = self.chain.chain();
        let before = batch.events.len();
        chain.apply(revision, &mut batch, &mut self.scratch);
        self.read += before as u64;
        self.left_out += (before - batch.events.len()) as u64;
        for index in 0..batch.events.len() {
            let record = batch.record(index);
            if self.json {
                self.out.write_all(record.line)?;
            } else {
                self.out.write_all(line::of(&record).as_bytes())?;
            }
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }
}
