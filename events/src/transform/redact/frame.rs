//! The state of a walk through a body: one frame for each open object or array.

use super::command_line::CommandLine;
use super::flags::Flags;
use super::secret_names::Name;
use super::waiting::WaitingMark;

/// The meaning of the `path` of a JSON Patch for the `value` beside it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PatchTarget {
    Plain,
    /// Its strings are secrets.
    Suspicious(Name),
    /// All of it is a secret; `data` says that it is base64.
    Secret {
        data: bool,
    },
}

/// What is read so far of an object that may be an operation of a JSON Patch.
#[derive(Clone, Debug, Default)]
pub(super) struct PatchOperation {
    /// It has an `op`; with a `path` it is an operation.
    pub(super) op: bool,
    /// The meaning of its `path`.
    pub(super) target: Option<PatchTarget>,
}

/// An open object or array.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The place of its bracket.
    pub(super) start: usize,
    pub(super) flags: Flags,
    pub(super) object: bool,
    /// A member or element was already read.
    pub(super) begun: bool,
    /// Its `kind` says that it is a Secret, or a list of Secrets.
    pub(super) secret: bool,
    /// The judgement on its `name` or `key`; if suspicious, its `value` is a secret.
    pub(super) named: Name,
    pub(super) operation: PatchOperation,
    /// State of the command line in this array, such as a preceding flag that takes a secret.
    pub(super) command: CommandLine,
    pub(super) waiting: WaitingMark,
    /// The number of steps of paths when the frame was opened.
    pub(super) steps: usize,
}

impl Frame {
    pub(super) fn new(start: usize, object: bool, flags: Flags) -> Self {
        Self {
            start,
            flags,
            object,
            begun: false,
            secret: false,
            named: Name::Plain,
            operation: PatchOperation::default(),
            command: CommandLine::default(),
            waiting: WaitingMark::default(),
            steps: 0,
        }
    }

    /// Whether nothing that was read so far matters for members and elements without hits.
    pub(super) fn is_plain(&self) -> bool {
        !self.flags.everything()
            && !self.secret
            && !self.command.is_open()
            && !self.named.is_any()
            && matches!(self.operation.target, None | Some(PatchTarget::Plain))
    }

    /// Whether the `value` of this object is a secret, judged by the members read so far.
    pub(super) fn verdict(&self) -> PatchTarget {
        match self.operation.target {
            Some(target) if self.operation.op => target,
            _ if self.named.is_any() => PatchTarget::Suspicious(self.named),
            _ => PatchTarget::Plain,
        }
    }
}
