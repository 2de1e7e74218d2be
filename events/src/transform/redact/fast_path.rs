//! The fast path: most events need no walk, because the prefilter has no hits in them, or only hits that mean nothing
//! where they are.

use super::Redaction;
use super::context::{Context, PLAIN_CODES};
use super::envelope::{AUDIT_ID, USER_AGENT};
use super::flags::Flags;
use super::prefilter_cache::Scratch;
use super::rules::ConfigMaps;
use super::uri::plain_uri;
use super::walk::Walk;
use crate::event::{Record, Span};
use crate::transform::edit::Edits;

impl Redaction {
    /// Handles an event without hits, or with hits that can be judged without the rest of the event. Returns whether
    /// it did; if not, the event needs a walk.
    pub(super) fn quick(
        &self,
        record: &Record<'_>,
        edits: &mut Edits,
        scratch: &mut Scratch,
    ) -> bool {
        if !self.plain(record) {
            return false;
        }
        let (fields, hits) = (&record.event.fields, &scratch.hits);
        if hits.is_empty() {
            return true;
        }
        let users = [fields.user, fields.impersonated_user].map(|at| hits.within(at.range()).len());
        let object = hits.within(fields.object_ref.range()).len();
        let resource = record.raw(fields.resource).unwrap_or_default();
        let code = record.raw(fields.code).unwrap_or_default();
        // The kind of object matters for bodies and messages, and for its name if the name is a token.
        let body = !fields.request_object.is_empty()
            || !fields.response_object.is_empty() && !says_status_again(record);
        let named = resource.starts_with(b"oauth") || resource.starts_with(b"useroauth");
        let says = str::from_utf8(code).is_ok_and(|code| {
            code.is_empty() || code.starts_with('2') || PLAIN_CODES.contains(&code)
        });
        if object + users[0] + users[1] < hits.len() || object > 0 && (body || named || !says) {
            return false;
        }
        if users == [0, 0] {
            return true;
        }
        scratch.user(edits, |hits, edits| {
            let context = Context::default();
            let mut walk = Walk::new(self, &context, (record.line, hits), edits, 0);
            let mut all = [fields.user, fields.impersonated_user].into_iter().zip(users);
            all.all(|(at, count)| count == 0 || walk.user(&at.range(), Flags::NONE).is_some())
        })
    }

    /// Whether only a hit can make it necessary to change the event. This holds for most events.
    fn plain(&self, record: &Record<'_>) -> bool {
        let fields = &record.event.fields;
        let short = |at: Span, limit: usize| at.range().len() <= limit;
        let uri = record.raw(fields.request_uri).unwrap_or_default();
        // Without `objectRef`, the object may be in the URI.
        let object = !fields.resource.is_empty()
            || [&b"/secrets"[..], b"/oauth", b"/useroauth"]
                .iter()
                .all(|name| memchr::memmem::find(uri, name).is_none());
        object
            && self.rules.is_empty()
            && !self.pseudonymise_users
            && short(fields.user_agent, USER_AGENT)
            && short(fields.audit_id, AUDIT_ID)
            && plain_uri(uri)
            && self.config_maps != ConfigMaps::All
    }
}

/// Whether a body is the API server's answer to a failed request, which repeats the status with `kind` and
/// `apiVersion` before it. Its text leaves the node in the status anyway.
fn says_status_again(record: &Record<'_>) -> bool {
    let fields = &record.event.fields;
    let status = record.raw(fields.response_status).and_then(|status| status.strip_prefix(b"{"));
    let body = record.raw(fields.response_object);
    let body = body.and_then(|body| body.strip_prefix(br#"{"kind":"Status","apiVersion":"v1","#));
    status.is_some() && status == body
}
