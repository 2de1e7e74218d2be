//! Replays standard input. It cannot be read twice, so it is written to files of some megabytes; each is shipped like
//! any other file and removed.
//!
//! Not promised: that Elasticsearch recognises the events that it holds already. It identifies an event by its position
//! in the server's log, which standard input does not show.

use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::job::Job;
use super::open_log::{STEP, unpacked};
use super::summary::Summary;
use crate::agent::transforms::NotAccepted;
use crate::checkpoint::{Budget, Store};
use crate::disk;
use crate::input::{Listed, list};
use crate::output::Capabilities;

/// Approximate bytes of one file: it ends at the end of a line.
const PIECE: usize = 32 << 20;

/// The name of a piece, in the directory of the replay.
const NAME: &str = "standard-input";

/// Ships standard input piece by piece, and adds the results to the summary.
pub(super) async fn ship(job: &Job, summary: &mut Summary) -> anyhow::Result<()> {
    // Starts over: it is unknown how much of the input is the same as before.
    job.store.forget().context("cannot forget an earlier run")?;
    for output in
        job.config.outputs.iter().filter(|output| Capabilities::of(&output.kind).by_position)
    {
        tracing::warn!(
            output = &*output.name,
            "standard input does not show the positions of its events in the server's log: events that this output holds already are stored again"
        );
    }
    let path = job.store.directory().join(NAME);
    let shipped = pieces(job, &path, summary).await;
    match disk::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            shipped.and(Err(error).with_context(|| format!("cannot remove {}", path.display())))
        }
        _ => shipped,
    }
}

async fn pieces(job: &Job, path: &Path, summary: &mut Summary) -> anyhow::Result<()> {
    let budget = Budget::new(&job.config.state_dir, job.config.disk);
    let stdin = BufReader::with_capacity(STEP, io::stdin().lock());
    let mut input =
        tokio::task::block_in_place(|| unpacked(stdin)).context("cannot read standard input")?;
    for number in 1_u64.. {
        let written = tokio::task::block_in_place(|| piece(&mut *input, path, &budget));
        if written.context("cannot read standard input")? == 0 || *job.stopped.borrow() {
            break;
        }
        let name = format!("standard input, part {number}");
        let files = list(&[path.to_owned()], &job.log.input.path, &job.log.key)?;
        let files: Vec<_> = files.into_iter().map(|file| file.without_positions(&name)).collect();
        if let Some(format) = files.first().filter(|_| number == 1).and_then(Listed::foreign) {
            let (name, way_out) = (format.name(), format.way_out().replace(" FILE", ""));
            return Err(NotAccepted::error(format!(
                "nothing was sent: standard input is {name}; {way_out}"
            )));
        }
        // Reloads the position in the file of a file output. What is known of one piece says nothing about another one,
        // even if both begin alike.
        let mut loaded = Store::load(job.store.directory())?;
        loaded.state.pairs.iter_mut().for_each(|pair| pair.cursor.generations.clear());
        summary.add(super::ship::ship(job, &files, &loaded).await?);
        // Not after the next piece: a pipe may be silent for long.
        if *job.stopped.borrow() {
            break;
        }
    }
    Ok(())
}

/// Writes the next whole lines to a file; returns the number of bytes.
fn piece(input: &mut dyn BufRead, path: &Path, budget: &Budget) -> anyhow::Result<usize> {
    let mut file =
        disk::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let (mut written, mut looked) = (0, None);
    let mut bytes = Vec::with_capacity(STEP);
    loop {
        bytes.clear();
        if written < PIECE {
            input.take(STEP as u64).read_to_end(&mut bytes)?;
        } else {
            input.take(STEP as u64).read_until(b'\n', &mut bytes)?;
        }
        if looked.is_none_or(|at| written - at >= PIECE) {
            looked = Some(written);
            if let Err(spent) = budget.room(PIECE as u64)? {
                bail!("no room for a piece of it: {spent}");
            }
        }
        file.write_all(&bytes).with_context(|| format!("cannot write {}", path.display()))?;
        written += bytes.len();
        let ended = bytes.is_empty() || (written > PIECE && bytes.last() == Some(&b'\n'));
        if ended {
            return Ok(written);
        }
    }
}
