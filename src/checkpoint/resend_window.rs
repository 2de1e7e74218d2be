//! The resend window: from which cursor an output is sent to again after its back end was away. Only for an output that
//! acknowledges what it has queued in memory, such as Falco: what stood in that queue is lost if the back end dies.
//!
//! The window begins at a cursor of the past, which the checkpoint holds. So files that it needs are kept, and it
//! survives a restart of the agent, which may be a restart of the whole machine.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::event::Cursor;

/// The window never holds fewer requests than this: Falco queues 50 and reads one, however slow it is.
const FEWEST: u64 = 64;
/// Into so many steps the window is divided.
const STEPS: u32 = 60;

/// The cursors of the past, oldest first.
pub(super) struct ResendWindow {
    length: Duration,
    /// How often the cursor has moved.
    moves: u64,
    marks: VecDeque<PastCursor>,
}

struct PastCursor {
    at: Instant,
    moves: u64,
    cursor: Cursor,
}

impl ResendWindow {
    /// `start`: where the window of an earlier process began, or the present cursor.
    pub(super) fn new(length: Duration, start: Cursor, now: Instant) -> Self {
        let mut window = Self { length, moves: 0, marks: VecDeque::new() };
        window.restart(start, now);
        window
    }

    /// The window begins here: everything after it is sent again.
    pub(super) fn restart(&mut self, start: Cursor, now: Instant) {
        self.marks.clear();
        self.marks.push_back(PastCursor { at: now, moves: self.moves, cursor: start });
    }

    /// The cursor has moved to here.
    pub(super) fn note(&mut self, cursor: &Cursor, now: Instant) {
        self.moves += 1;
        let last = self.marks.back().map(|mark| mark.at);
        if last.is_none_or(|last| now.saturating_duration_since(last) >= self.length / STEPS) {
            let cursor = cursor.clone();
            self.marks.push_back(PastCursor { at: now, moves: self.moves, cursor });
        }
        let is_past = |mark: &PastCursor| {
            now.saturating_duration_since(mark.at) >= self.length
                && self.moves - mark.moves >= FEWEST
        };
        while self.marks.get(1).is_some_and(is_past) {
            self.marks.pop_front();
        }
    }

    /// Where it begins.
    pub(super) fn start(&self) -> Option<&Cursor> {
        self.marks.front().map(|mark| &mark.cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fingerprint, Progress};

    fn cursor(offset: u64) -> Cursor {
        let progress = Progress { offset, ..Progress::default() };
        Cursor { generations: [(Fingerprint([1; 16]), progress)].into(), ..Cursor::default() }
    }

    fn start(window: &ResendWindow) -> u64 {
        window.start().unwrap().generations[&Fingerprint([1; 16])].offset
    }

    #[test]
    fn it_holds_a_minute_and_never_fewer_requests_than_falco_queues() {
        let now = Instant::now();
        let mut window = ResendWindow::new(Duration::from_mins(1), cursor(0), now);
        // One request a second: the 64 requests take longer than a minute.
        for second in 1..=200_u64 {
            window.note(&cursor(second), now + Duration::from_secs(second));
        }
        assert_eq!(start(&window), 136);
        // Ten in a second: a minute holds more. A window begins at a step, so it may be a second longer.
        for tenth in 1..=2000_u64 {
            let at = now + Duration::from_secs(200) + Duration::from_millis(tenth * 100);
            window.note(&cursor(200 + tenth), at);
        }
        assert!((1580..=1600).contains(&start(&window)), "{}", start(&window));
        assert!(window.marks.len() <= 62);
        window.restart(cursor(7), now);
        assert_eq!(start(&window), 7);
    }

    #[test]
    fn it_does_not_grow_old_while_nothing_is_acknowledged() {
        let now = Instant::now();
        let mut window = ResendWindow::new(Duration::from_secs(1), cursor(0), now);
        for second in 1..=50_u64 {
            window.note(&cursor(second), now + Duration::from_hours(second));
        }
        assert_eq!(start(&window), 0, "Falco's queue may still hold all of it");
    }
}
