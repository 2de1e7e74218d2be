//! Checks whether a file holds audit events at all, before any of it is sent.

use super::super::pulse::Pulse;
use super::listed::Listed;
use super::same::beginning;
use crate::event::{Format, Record};
use crate::input::file::source::{Source, Trouble};
use crate::input::read::assembly::{Assembly, Limits};

/// Bytes at the beginning in which the format is detected.
const BEGINNING: usize = 64 << 10;
const LIMITS: Limits = Limits { bytes: 1 << 20, events: 5000, line_bytes: 100 << 20 };

impl Listed {
    /// The format of a file that holds text but no audit event; `None` for other files. An unreadable or damaged file
    /// is `None` too: whoever reads it reports that.
    pub(crate) fn foreign(&self) -> Option<Format> {
        let bytes = beginning(self, BEGINNING).ok()?;
        Format::of_bytes(&bytes).or_else(|| {
            let lines = self.count().ok()?;
            (!lines.events && (lines.foreign > 0 || lines.passed_over > 0))
                .then(|| Format::of_text(&bytes))
        })
    }

    /// Counts lines up to the first event.
    fn count(&self) -> Result<Counted, Trouble> {
        let generation = &self.generation;
        let mut source = Source::open(generation.open()?, 0, &generation.probe, &Pulse::default())?;
        let mut counted = Counted::default();
        let (mut rest, mut ended) = (Vec::new(), false);
        while !ended {
            let mut assembly = Assembly::new(rest, 0, None, None);
            loop {
                assembly.take_lines(&LIMITS);
                // Whoever ships such an over-long line shortens it.
                ended = assembly.unfinished() > LIMITS.line_bytes;
                if ended || assembly.is_full(&LIMITS) {
                    break;
                }
                match source.read(&mut assembly.bytes, LIMITS.bytes) {
                    Ok(0) | Err(Trouble::Damaged { .. }) => {
                        assembly.take_tail();
                        ended = true;
                        break;
                    }
                    Ok(_) => {}
                    Err(other) => return Err(other),
                }
            }
            counted.add(&assembly);
            if counted.events {
                break;
            }
            rest = assembly.bytes.split_off(assembly.done);
        }
        Ok(counted)
    }
}

/// The lines counted.
#[derive(Default)]
struct Counted {
    events: bool,
    foreign: u64,
    passed_over: u64,
}

impl Counted {
    fn add(&mut self, assembly: &Assembly) {
        self.passed_over += u64::from(assembly.told.passed_over);
        for event in &assembly.events {
            let record = Record { event, line: &assembly.bytes[event.line.range()] };
            self.events |= record.is_event();
            self.foreign += u64::from(!record.is_event() && !record.is_torn_event());
        }
    }
}
