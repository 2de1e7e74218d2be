//! Reads a log that is not followed to its end, and makes the same batches of it as of a followed log.

use std::io::{self, Read};

use super::assembly::{Assembly, Limits};
use super::large::LARGE;
use super::open::STRIDE;
use crate::event::{Batch, Fingerprint, Nanos, TransformStats};

/// Iterates over the batches of a log. See the header of this file.
#[derive(Debug)]
pub(crate) struct Batches<R> {
    source: R,
    limits: Limits,
    rest: Vec<u8>,
    at: u64,
    time: Option<Nanos>,
    ended: bool,
}

impl<R: Read> Batches<R> {
    /// `source` yields decompressed bytes.
    pub(crate) fn new(source: R, limits: Limits) -> Self {
        Self { source, limits, rest: Vec::new(), at: 0, time: None, ended: false }
    }

    /// The next batch; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Batch>> {
        if self.ended && self.rest.is_empty() {
            return Ok(None);
        }
        let rest = std::mem::take(&mut self.rest);
        let mut assembly = Assembly::new(rest, self.at, self.time, None);
        self.fill(&mut assembly)?;
        self.rest = assembly.bytes.split_off(assembly.done);
        let (start, end) = (self.at, assembly.end());
        (self.at, self.time) = (end, assembly.time);
        Ok(Some(Batch {
            generation: Fingerprint([0; 16]),
            earlier: Vec::new(),
            start,
            end,
            bytes: assembly.bytes,
            events: assembly.events,
            passed: TransformStats::default(),
        }))
    }

    fn fill(&mut self, assembly: &mut Assembly) -> io::Result<()> {
        loop {
            assembly.take_lines(&self.limits);
            let unfinished = assembly.unfinished();
            if assembly.is_full(&self.limits) || (unfinished > LARGE && !assembly.is_empty()) {
                return Ok(());
            }
            if unfinished > self.limits.line_bytes && !assembly.give_up() {
                while !assembly.skim(self.ended) {
                    self.read(assembly)?;
                }
                return Ok(());
            }
            if self.ended {
                assembly.take_tail();
                return Ok(());
            }
            self.read(assembly)?;
        }
    }

    fn read(&mut self, assembly: &mut Assembly) -> io::Result<()> {
        self.ended =
            self.source.by_ref().take(STRIDE as u64).read_to_end(&mut assembly.bytes)? == 0;
        Ok(())
    }
}
