//! Writes an item as a line: holds it until it is known what to put in front, then lets it through.

/// The version of events for which the body names none.
const VERSION: &[u8] = b"audit.k8s.io/v1";

/// An object that is, or may be, an event.
#[derive(Debug, Default)]
pub(super) struct OpenItem {
    /// Place of its `{` in the body.
    pub(super) start: u64,
    /// Whether it may still turn out to be a list.
    pub(super) maybe_list: bool,
    /// Whether it has a member `kind`.
    pub(super) kind: bool,
    /// Whether it has a member `apiVersion`.
    pub(super) version: bool,
    /// Whether its beginning is written, so that nothing is held any more.
    pub(super) decided: bool,
    /// Its bytes until then.
    held: Vec<u8>,
    /// A comma has to follow what was put in front, unless the object is empty.
    comma_due: bool,
    /// The last byte written.
    last: u8,
}

impl OpenItem {
    /// Begins with the next object.
    pub(super) fn begin(&mut self, start: u64, maybe_list: bool) {
        self.held.clear();
        let held = std::mem::take(&mut self.held);
        *self = Self { start, maybe_list, held, ..Self::default() };
    }

    /// The next bytes of it, without blanks.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8], lines: &mut Vec<u8>) {
        if !self.decided {
            self.held.extend_from_slice(bytes);
            return;
        }
        if self.comma_due
            && let Some(first) = bytes.first()
        {
            self.comma_due = false;
            if *first != b'}' {
                lines.push(b',');
            }
        }
        lines.extend_from_slice(bytes);
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    /// Writes what is held, with `kind` and `apiVersion` in front if it lacks them. `version` is that of the list.
    pub(super) fn decide(&mut self, version: &[u8], lines: &mut Vec<u8>) {
        if self.decided {
            return;
        }
        self.decided = true;
        lines.push(b'{');
        self.last = b'{';
        if !self.kind {
            lines.extend_from_slice(br#""kind":"Event""#);
        }
        if !self.version {
            let version = if version.is_empty() { VERSION } else { version };
            let comma: &[u8] = if self.kind { b"" } else { b"," };
            for part in [comma, br#""apiVersion":""#, version, b"\""] {
                lines.extend_from_slice(part);
            }
        }
        self.comma_due = !(self.kind && self.version);
        let held = std::mem::take(&mut self.held);
        self.put(held.get(1..).unwrap_or_default(), lines);
        self.held = held;
        self.held.clear();
    }

    /// Ends the line of a whole item.
    pub(super) fn end(&mut self, lines: &mut Vec<u8>) {
        lines.push(b'\n');
    }

    /// Ends the line of an item that cannot be read further. A reader looks for a whole event at the end of a torn line,
    /// and a client could have put one there: so the line never ends with a bracket.
    pub(super) fn tear(&mut self, lines: &mut Vec<u8>) {
        if self.last == b'}' {
            lines.push(b',');
        }
        lines.push(b'\n');
    }
}
