//! Replays standard input. It cannot be read twice, so it is written to files of some megabytes; each is shipped like
//! any other file and removed. Its events have no positions in the API server's log.

use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::Job;
use super::summary::Summary;
use crate::agent::transforms::NotAccepted;
use crate::checkpoint::{Budget, Store};
use crate::cli::open_log::{STEP, unpacked};
use crate::disk;
use crate::input::spooled;

/// Approximate bytes of one file: it ends at the end of a line.
const PIECE: usize = 32 << 20;

/// Ships standard input piece by piece, and adds the results to the summary.
pub(super) async fn ship(job: &Job, summary: &mut Summary) -> anyhow::Result<()> {
    // Starts over: it is unknown how much of the input is the same as before.
    job.store.forget().context("cannot forget an earlier run")?;
    let budget = Budget::new(&job.config.state_dir, job.config.disk);
    let stdin = BufReader::with_capacity(STEP, io::stdin().lock());
    let mut input =
        tokio::task::block_in_place(|| unpacked(stdin)).context("cannot read standard input")?;
    for number in 1_u64.. {
        let path = job.store.directory().join("piece");
        let written = tokio::task::block_in_place(|| piece(&mut *input, &path, &budget));
        if written.context("cannot read standard input")? == 0 || *job.stopped.borrow() {
            break;
        }
        let name = format!("standard input, part {number}");
        let file = spooled(&path, &name, number, &job.key)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if let Some(file) = file {
            if number == 1
                && let Some(format) = file.foreign()
            {
                let (name, way_out) = (format.name(), format.way_out().replace(" FILE", ""));
                remove(&path)?;
                return Err(NotAccepted::error(format!(
                    "nothing was sent: standard input is {name}; {way_out}"
                )));
            }
            // Reloads the position in the file of a file output.
            let loaded = Store::load(job.store.directory())?;
            summary.add(job.ship(&[file], &loaded).await?);
        }
        if *job.stopped.borrow() {
            break;
        }
    }
    remove(&job.store.directory().join("piece"))
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match disk::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
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
