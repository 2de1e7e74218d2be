//! Why events are lost, and why they are sent again: closed sets of words that metrics, JSON and the log share.

/// The members of a closed set of label values.
pub trait Label: Copy + 'static {
    /// Every member, in the order of their indexes.
    const ALL: &'static [Self];
    /// The text of the label value.
    fn text(self) -> &'static str;
    /// Its place in [`Label::ALL`].
    fn index(self) -> usize;
}

/// Defines an enum that is a set of label values: each member has a text, used in metrics and in JSON.
#[macro_export]
macro_rules! labels {
    ($(#[$about:meta])* $visible:vis $name:ident { $($(#[$doc:meta])* $member:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
        $visible enum $name { $($(#[$doc])* #[serde(rename = $text)] $member,)* }

        impl $crate::event::Label for $name {
            const ALL: &'static [Self] = &[$(Self::$member,)*];
            fn text(self) -> &'static str { match self { $(Self::$member => $text,)* } }
            fn index(self) -> usize { self as usize }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::event::Label::text(*self))
            }
        }
    };
}
pub use labels;

labels! {
    /// Why a stretch of the log can no longer be read.
    pub GapReason {
        /// A backup was deleted before all of it was delivered.
        BackupGone = "backup_gone",
        /// The hold budget had no room for a backup that was deleted before all of it was delivered.
        BudgetSpent = "budget_spent",
        /// A member of a `.gz` cannot be decompressed.
        DamagedGzip = "damaged_gzip",
        /// A torn line: the end of an event was never written.
        TornLine = "torn_line",
        /// NUL bytes in place of data that a crash lost.
        NulHole = "nul_hole",
        /// A line longer than `max_line_bytes`.
        OverLongLine = "over_long_line",
        /// The file was truncated or replaced by a shorter one, below the offset that had been read.
        Truncated = "truncated",
        /// A long file without any event; the rest of it is not read.
        NoEvents = "no_events",
    }
}

labels! {
    /// Why a request is retried.
    pub RetryReason {
        /// No connection, so nothing was sent.
        Connect = "connect",
        /// No answer in time.
        Timeout = "timeout",
        /// The connection ended before the answer did.
        ConnectionLost = "connection_lost",
        /// The back end throttles: it answered 429 and asks for a pause.
        Throttled = "throttled",
        /// 5xx.
        ServerError = "server_error",
        /// The answer cannot be parsed.
        BadAnswer = "bad_answer",
        /// An earlier process ended before the answer arrived.
        Restart = "restart",
    }
}
