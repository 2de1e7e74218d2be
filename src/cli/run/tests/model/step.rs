//! What can happen: to the log, to the agent, to the back ends. A script of it, made at random or written by hand.

use std::fmt;

use proptest::prelude::*;
use rustix::io::Errno;

use crate::disk::FaultKind;
use Kind::{Archive, Elasticsearch, Loki};

/// One thing that happens. Numbers that pick one of several count on from the oldest and start again at the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// The API server writes so many events; the first finishes a line that was begun.
    Append(u8),
    /// An event that no HTTP output takes.
    Venom,
    /// The first half of an event.
    Begin,
    /// The server dies within a line: what comes next is glued to it.
    Tear,
    /// The server renames its log and opens a new one.
    Rotate,
    /// It compresses a backup, up to here.
    Compress(u8, Gz),
    /// A backup is moved away and comes back compressed, its first half first.
    Return(u8),
    /// Of what the agent, if it runs, has seen.
    Delete(u8),
    /// Before anybody can have seen it.
    Snatch(u8),
    /// Somebody copies the log and truncates it under the server.
    CopyTruncate,
    Start,
    /// SIGKILL, on the arrival of the n-th request from now.
    Kill(u8),
    /// SIGTERM.
    Stop,
    /// The state directory and the log are saved; an agent that runs is killed for it.
    Snapshot,
    /// The state directory becomes what it was at the last snapshot, and so does the log, or not. The back ends do not.
    RollBack(Back),
    /// Elasticsearch writes to another index from now on, which knows no id of the last.
    Rollover,
    /// The last checkpoint is damaged while no agent runs: the one before it counts, if there is one.
    Spoil,
    /// Time passes: until so many requests have arrived, or none comes.
    Await(u8),
    /// A back end does this with the next n requests to write; 0: from now on.
    Weather(Kind, Weather, u8),
    /// A back end cannot be asked what it holds, n times.
    Deaf(Kind, u8),
    /// The agent's disk: so many of its steps, or of its reads, go well, and then so many fail.
    Fault(FaultKind, Wrong, u8, u8),
}

/// What a disk says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wrong {
    Io,
    Full,
    ReadOnly,
    /// No descriptor is left.
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

/// What is rolled back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Back {
    State,
    StateAndLog,
}

/// How far the compression of a backup comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gz {
    /// An empty file, with the backup beside it.
    Begun,
    Half,
    Whole,
    /// The backup itself is gone.
    Done,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Loki,
    Elasticsearch,
    Archive,
}

/// What a back end does with requests to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Weather {
    Fair,
    /// Stores nothing and says so.
    Busy,
    /// Breaks the connection; nothing is stored.
    Broken,
    /// Stores, and breaks the connection.
    Mute,
    /// Breaks the connection, and stores a little later.
    Late,
    /// Stores and answers a little later.
    Slow,
    /// Never answers, and stores nothing.
    Hung,
    /// Stores, and says that something went wrong.
    Confused,
    /// Stores every other event and says that there were too many.
    Half,
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
    /// As Rust, one step a line: to be read, and to be pasted among those that were found.
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
    // Most agents were there before.
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

    /// Whether the agent may end by itself, with an error.
    pub(super) fn has_faults(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Fault(..)))
    }

    /// A file that is cut back to what an old checkpoint knew, and dead letters that are gone with their directory, are not
    /// what a back end holds: where something is rolled back there are none.
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

/// Events that went to the back ends after a snapshot, and others that come in their place.
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

/// A disk that fails while events come in, or while the agent starts.
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

/// A kill while requests are under way.
fn killed() -> impl Strategy<Value = [Step; 5]> {
    (back_end(), weather(), 1..3_u8, 1..6_u8).prop_map(|(of, weather, requests, events)| {
        let weather = Step::Weather(of, weather, requests);
        [Step::Start, weather, Step::Append(events), Step::Kill(requests), Step::Start]
    })
}

/// A backup is deleted that one output has not read, or has not said that it has, while the others go on past it; then
/// the agent is killed: only a link keeps it.
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
