//! Redacts lines of `--audit-log-format=legacy`. They have no bodies, only a URI and texts that the client chose.

use std::ops::Range;

use super::Redaction;
use super::context::Context;
use crate::event::Record;
use crate::json::{self, escape_go};
use crate::transform::edit::Edits;

impl Redaction {
    /// Collects the edits of a line; `None` if it cannot be parsed.
    pub(super) fn legacy(&self, record: &Record<'_>, edits: &mut Edits) -> Option<()> {
        let context = Context::new(self, &[], "", "", Vec::new());
        let line = record.line;
        let mut at = memchr::memmem::find(line, b" AUDIT: ")? + 8;
        while at < line.len() {
            let equals = at + memchr::memchr(b'=', &line[at..])?;
            line.get(equals + 1).filter(|byte| **byte == b'"')?;
            let close = crate::json::string_end(line, equals + 2)?;
            self.field(line, at..equals, equals + 2..close, &context, edits);
            at = close + 2;
        }
        Some(())
    }

    fn field(
        &self,
        line: &[u8],
        key: Range<usize>,
        value: Range<usize>,
        context: &Context<'_>,
        edits: &mut Edits,
    ) {
        let text = json::unescape_go(&line[value.clone()]);
        let masked = match &line[key] {
            b"uri" => self.uri(&text, !self.screen.hits(text.as_bytes()).is_empty(), context),
            b"user-agent" => self.user_agent(&text, context),
            b"id" => self.audit_id(&text, context),
            b"user" | b"as" if !text.starts_with('<') => {
                self.pseudonym(&text).map(std::borrow::Cow::into_owned)
            }
            b"groups" | b"asgroups" if self.pseudonymise_users && text.starts_with('"') => {
                Some(self.mode.token(text.as_bytes()).into_owned())
            }
            _ => self.masked(&text, context),
        };
        if let Some(masked) = masked {
            let mut out = Vec::new();
            escape_go(&masked, &mut out);
            edits.replace(value, &out);
        }
    }
}
