//! Steps of a script: events for the log, the agent and the back ends. A script is random or written by hand.

use std::fmt;
use std::time::Duration;

use kit::store::Do;
use proptest::prelude::*;
use rustix::io::Errno;

use crate::disk::FaultKind;
use Kind::{Archive, Elasticsearch, Loki};

/// One step. A number that selects one of several counts from the oldest and wraps around.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// The API server writes this many events; the first one finishes a line that was begun.
    Append(u8),
    /// An event that every HTTP output refuses.
    Venom,
    /// The first half of an event.
    Begin,
    /// The API server dies within a line: the next event is glued to it.
    Tear,
    /// The API server renames its log and opens a new one.
    Rotate,
    /// The API server compresses a backup, up to this point.
    Compress(u8, Gz),
    /// A backup is moved away and comes back compressed, its first half first.
    Return(u8),
    /// Deletes a backup that the agent, if it runs, has seen.
    Delete(u8),
    /// Deletes a backup before the agent can have seen it.
    Snatch(u8),
    /// Somebody copies the log and truncates it while the API server has it open.
    CopyTruncate,
    Start,
    /// SIGKILL, on the arrival of the n-th request from now.
    Kill(u8),
    /// SIGTERM.
    Stop,
    /// Saves the state directory and the log; a running agent is killed first.
    Snapshot,
    /// Rolls the state directory back to the last snapshot, with or without the log. The back ends keep their events.
    RollBack(Back),
    /// Elasticsearch writes to another index from now on, which has none of the earlier ids.
    Rollover,
    /// Damages the last checkpoint while no agent runs: the one before it is used, if there is one.
    Spoil,
    /// Waits until this many requests have arrived, or none comes.
    Await(u8),
    /// A back end handles the next n writes like this; 0: all from now on.
    Weather(Kind, Weather, u8),
    /// The next n look-ups of a back end fail.
    Deaf(Kind, u8),
    /// The agent's disk: this many changes or reads succeed, then this many fail.
    Fault(FaultKind, Wrong, u8, u8),
}

/// The error of a disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wrong {
    Io,
    Full,
    ReadOnly,
    /// No file descriptor is left.
    Spent,
    Interrupted,
}

impl Wrong {
    pub(super) fn errno(self) -> Errno {
        match self {
            Self::Io => Errno::IO,
            Self::Full => Errno::NOSPC,
            Self::ReadOnly => Errno::ROFS,
            Self::Spent => Errno::MFILE,
            Self::Interrupted => Errno::INTR,
        }
    }
}

/// What a rollback covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Back {
    State,
    StateAndLog,
}

/// How far the compression of a backup gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gz {
    /// An empty file, with the backup beside it.
    Begun,
    Half,
    Whole,
    /// The backup itself is deleted.
    Done,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Loki,
    Elasticsearch,
    Archive,
}

/// How a back end handles writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Weather {
    Fair,
    /// Stores nothing and says so.
    Busy,
    /// Breaks the connection and stores nothing.
    Broken,
    /// Stores, then breaks the connection.
    Mute,
    /// Breaks the connection, and stores a little later.
    Late,
    /// Stores and answers a little later.
    Slow,
    /// Never answers and stores nothing.
    Hung,
    /// Stores, and answers with an error.
    Confused,
    /// Stores every other event and answers that there were too many.
    Half,
}

impl Weather {
    pub(super) fn act(self) -> Do {
        /// The delay of slow and late answers: well within the time-out of a request.
        const LATE: Duration = Duration::from_millis(45);
        match self {
            Self::Fair => Do::Take,
            Self::Busy => Do::Answer(503, "busy"),
            Self::Broken => Do::Break,
            Self::Mute => Do::TakeAndBreak,
            Self::Late => Do::BreakAndTakeLater(LATE),
            Self::Slow => Do::TakeAfter(LATE),
            Self::Hung => Do::Hang,
            Self::Confused => Do::TakeAndAnswer(500, "confused"),
            Self::Half => Do::TakeHalf,
        }
    }
}

/// A whole play.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) outputs: Vec<Kind>,
    /// `batch.max_events` and `in_flight`.
    pub(super) batch: u8,
    pub(super) in_flight: u8,
    pub(super) steps: Vec<Step>,
}

impl fmt::Display for Script {
    /// As Rust code, one step a line, to be pasted into `found.rs`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outputs, batch, in_flight, steps } = self;
        writeln!(f, "Script {{\n    outputs: vec!{outputs:?},")?;
        writeln!(f, "    batch: {batch},\n    in_flight: {in_flight},\n    steps: vec![")?;
        steps.iter().try_for_each(|step| writeln!(f, "        {step:?},"))?;
        f.write_str("    ],\n}")
    }
}

pub(super) fn script() -> impl Strategy<Value = Script> {
    let outputs = prop::sample::subsequence(vec![Loki, Elasticsearch, Archive], 1..=3);
    // Most agents run before the log exists.
    let first = prop::sample::select(vec![Step::Append(1), Step::Start, Step::Start]);
    let steps = prop::collection::vec(steps(), 1..25);
    (outputs, 1..5_u8, 1..4_u8, first, steps).prop_map(
        |(outputs, batch, in_flight, first, steps)| {
            let steps = std::iter::once(first).chain(steps.into_iter().flatten()).collect();
            Script { outputs, batch, in_flight, steps }.made_possible()
        },
    )
}

impl Script {
    pub(super) fn rolls_back(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::RollBack(_)))
    }

    /// Whether the agent may end with an error.
    pub(super) fn has_faults(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Fault(..)))
    }

    /// With a rollback there is no file output and no venom. A file is truncated to the length in an old checkpoint,
    /// and dead letters are lost with the state directory, so the model could not predict them.
    fn made_possible(mut self) -> Self {
        if self.rolls_back() {
            self.outputs.retain(|kind| *kind != Archive);
            if self.outputs.is_empty() {
                self.outputs.push(Elasticsearch);
            }
            for step in &mut self.steps {
                if *step == Step::Venom {
                    *step = Step::Append(1);
                }
            }
        }
        self
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        36 => step().prop_map(|step| vec![step]),
        6 => killed().prop_map(|steps| steps.to_vec()),
        3 => kept().prop_map(|steps| steps.to_vec()),
        3 => (0..4_u8).prop_map(|requests| vec![Step::Kill(requests), Step::Spoil]),
        1 => rolled_back().prop_map(|steps| steps.to_vec()),
        4 => failing().prop_map(|steps| steps.to_vec()),
    ]
}

/// Events that are sent after a snapshot, and others that replace them.
fn rolled_back() -> impl Strategy<Value = [Step; 9]> {
    use Step::{Append, Await, RollBack, Snapshot, Start};
    let back = prop::sample::select(vec![Back::State, Back::StateAndLog]);
    let between =
        prop::sample::select(vec![Step::Rotate, Step::Rollover, Append(1), Step::Kill(1)]);
    (back, 1..6_u8, 1..6_u8, between).prop_map(|(back, before, after, between)| {
        let wait = Await(2);
        [
            Start,
            Append(before),
            wait,
            Snapshot,
            Start,
            Append(after),
            between,
            RollBack(back),
            Append(after),
        ]
    })
}

/// A disk that fails while events are written, or while the agent starts.
fn failing() -> impl Strategy<Value = [Step; 5]> {
    use Step::{Append, Await, Start};
    let between = prop::sample::select(vec![Step::Rotate, Step::Kill(1), Step::Stop, Append(1)]);
    (fault(), 1..6_u8, between)
        .prop_map(|(fault, events, between)| [fault, Start, Append(events), between, Await(2)])
}

fn fault() -> impl Strategy<Value = Step> {
    use Wrong::{Full, Interrupted, Io, ReadOnly, Spent};
    let kind = prop::sample::select(vec![FaultKind::Change, FaultKind::Change, FaultKind::Read]);
    let wrong = prop::sample::select(vec![Io, Full, ReadOnly, Spent, Interrupted]);
    let count = prop::sample::select(vec![1, 1, 1, 2, 3, 12]);
    (kind, wrong, 0..30_u8, count)
        .prop_map(|(kind, wrong, before, count)| Step::Fault(kind, wrong, before, count))
}

/// A kill while requests are in flight.
fn killed() -> impl Strategy<Value = [Step; 5]> {
    (back_end(), weather(), 1..3_u8, 1..6_u8).prop_map(|(of, weather, requests, events)| {
        let weather = Step::Weather(of, weather, requests);
        [Step::Start, weather, Step::Append(events), Step::Kill(requests), Step::Start]
    })
}

/// One output has not read a backup, or its answer is missing, and the others go past it. The backup is deleted and
/// the agent is killed: only a link keeps the backup.
fn kept() -> impl Strategy<Value = [Step; 10]> {
    use Step::{Append, Await, Rotate, Start};
    let weather = prop::sample::select(vec![Weather::Busy, Weather::Half, Weather::Hung]);
    (back_end(), weather, 1..6_u8, 0..4_u8).prop_map(|(of, weather, events, which)| {
        let (weather, delete) = (Step::Weather(of, weather, 0), Step::Delete(which));
        let (write, more, wait) = (Append(events), Append(1), Await(3));
        [Start, weather, write, Rotate, more, wait, delete, more, wait, Step::Kill(0)]
    })
}

fn back_end() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Loki), Just(Elasticsearch)]
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0..4_u8;
    prop_oneof![
        10 => (1..6_u8).prop_map(Step::Append),
        1 => Just(Step::Venom),
        2 => Just(Step::Begin),
        1 => Just(Step::Tear),
        5 => Just(Step::Rotate),
        4 => (which(), gz()).prop_map(|(which, gz)| Step::Compress(which, gz)),
        1 => which().prop_map(Step::Return),
        3 => which().prop_map(Step::Delete),
        1 => which().prop_map(Step::Snatch),
        1 => Just(Step::CopyTruncate),
        1 => Just(Step::Rollover),
        6 => Just(Step::Start),
        5 => (0..4_u8).prop_map(Step::Kill),
        1 => Just(Step::Stop),
        3 => (1..4_u8).prop_map(Step::Await),
        4 => (back_end(), weather(), 0..4_u8).prop_map(|(of, kind, times)| Step::Weather(of, kind, times)),
        1 => (back_end(), 1..4_u8).prop_map(|(of, times)| Step::Deaf(of, times)),
        2 => fault(),
    ]
}

fn gz() -> impl Strategy<Value = Gz> {
    prop_oneof![
        1 => Just(Gz::Begun),
        1 => Just(Gz::Half),
        1 => Just(Gz::Whole),
        4 => Just(Gz::Done),
    ]
}

fn weather() -> impl Strategy<Value = Weather> {
    use Weather::{Broken, Busy, Confused, Fair, Half, Hung, Late, Mute, Slow};
    prop::sample::select(vec![Fair, Busy, Broken, Mute, Late, Slow, Hung, Confused, Half])
}
