//! How outputs differ.

/// How an output differs from others. Other rooms ask for this and not for the kind of output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Capabilities {
    /// It keeps events in the order in which they are sent. So the pipeline makes one delivery at a time, and sends a
    /// gap before the events after it.
    pub(crate) ordered: bool,
    /// It can refuse an event for its content, so an input may have dead letters for it.
    pub(crate) refuses: bool,
    /// A look-up recognises an event by its position in the log, and not by its content.
    pub(crate) by_position: bool,
    pub(crate) takes: TakenLines,
    pub(crate) deduplication: Deduplication,
    pub(crate) comparable: Comparable,
}

impl Capabilities {
    /// Those of a store that takes any line, and can be asked which events it holds.
    pub(super) const STORE: Self = Self {
        ordered: false,
        refuses: true,
        by_position: false,
        takes: TakenLines::Any,
        deduplication: Deduplication::LookUp,
        comparable: Comparable::Yes,
    };
}

/// Which lines an output takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TakenLines {
    Any,
    /// It drops others without a word, so the transform completes each event for it.
    WholeEvents,
}

/// What keeps an event from being there twice after a lost answer or a kill.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Deduplication {
    /// The agent asks the store what it holds.
    LookUp,
    /// The agent cuts the output back at the start to what the checkpoint covers.
    CutBack,
    /// Nothing. So the agent saves the cursor after each request, and sends at most one request twice.
    None,
}

/// Whether `verify` can compare what an output holds with the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Comparable {
    No,
    Yes,
    /// Yes, but queries show several events of the same time, stream and line as one.
    HidesRepeats,
}
