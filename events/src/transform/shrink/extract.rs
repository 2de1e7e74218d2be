//! Makes the extract that remains of the largest events: the envelope's own fields, with long strings cut. It fits
//! every allowed limit.

use super::cut::cut;
use super::order::ShrinkOrder;
use super::parts::KEPT_ANNOTATIONS;
use crate::json::{Member, skip, string, visit_elements, visit_members};
use crate::transform::cuts::{Cut, Cuts};
use crate::transform::response_name;

/// Strings are never cut shorter than this many bytes, so timestamps and usual ids stay whole.
pub(super) const SMALLEST: usize = 48;

/// How many of the last source addresses are kept. A client can forge all but the very last.
const ADDRESSES: usize = 4;

/// Longest number, in bytes, that an API server writes.
const NUMBER: usize = 24;

/// How much of a member is kept.
enum Keep {
    Scalar,
    Members(&'static [&'static str]),
    Addresses,
}

const USER: Keep = Keep::Members(&["username", "uid"]);
const ENVELOPE: [(&str, Keep); 19] = [
    ("kind", Keep::Scalar),
    ("apiVersion", Keep::Scalar),
    ("level", Keep::Scalar),
    ("auditID", Keep::Scalar),
    ("stage", Keep::Scalar),
    ("requestURI", Keep::Scalar),
    ("verb", Keep::Scalar),
    ("user", USER),
    ("impersonatedUser", USER),
    ("authenticationMetadata", Keep::Members(&["impersonationConstraint"])),
    ("sourceIPs", Keep::Addresses),
    ("userAgent", Keep::Scalar),
    (
        "objectRef",
        Keep::Members(&[
            "resource",
            "namespace",
            "name",
            "uid",
            "apiGroup",
            "apiVersion",
            "resourceVersion",
            "subresource",
        ]),
    ),
    ("responseStatus", Keep::Members(&["status", "message", "reason", "code"])),
    ("requestReceivedTimestamp", Keep::Scalar),
    ("stageTimestamp", Keep::Scalar),
    ("annotations", Keep::Members(&KEPT_ANNOTATIONS)),
    // audit.k8s.io/v1beta1 and v1alpha1.
    ("metadata", Keep::Members(&["creationTimestamp"])),
    ("timestamp", Keep::Scalar),
];

/// Members that earlier steps already report as cut, or that hold nothing, so they are not reported again.
const KNOWN: [&str; 5] = ["requestObject", "responseObject", "extra", "groups", "metadata"];

/// Appends the envelope of an event with its strings cut to `cap` bytes; adds the parts cut to `cuts`.
pub(super) fn extract(
    line: &[u8],
    cap: usize,
    order: ShrinkOrder,
    cuts: &mut Cuts,
    out: &mut Vec<u8>,
) {
    let mut extract = Extract { line, cap, cuts, out };
    let mut seen = 0_u32;
    extract.out.push(b'{');
    visit_members(line, 0, |member| {
        let kept = ENVELOPE.iter().position(|(name, _)| member.is(name));
        match kept.filter(|index| seen >> index & 1 == 0) {
            Some(index) => {
                seen |= 1 << index;
                let (name, keep) = &ENVELOPE[index];
                extract.member(name, member.value, keep);
            }
            None if order == ShrinkOrder::ResponseFirst && member.is("responseObject") => {
                extract.response_name(member.value);
            }
            None => extract.dropped(&member),
        }
        skip(line, member.value)
    });
    extract.out.push(b'}');
}

struct Extract<'a> {
    line: &'a [u8],
    cap: usize,
    cuts: &'a mut Cuts,
    out: &'a mut Vec<u8>,
}

impl Extract<'_> {
    /// Writes a member, or nothing if its value is not of the expected kind.
    fn member(&mut self, name: &str, value: usize, keep: &Keep) {
        let before = self.out.len();
        self.separate();
        self.out.extend_from_slice(format!("\"{name}\":").as_bytes());
        let written = match keep {
            Keep::Scalar => self.scalar(value),
            Keep::Members(names) => self.members(value, names),
            Keep::Addresses => self.addresses(value),
        };
        if !written {
            self.out.truncate(before);
            self.cuts.add(Cut::Rest);
        }
    }

    fn separate(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    fn dropped(&mut self, member: &Member<'_>) {
        if !KNOWN.iter().any(|name| member.is(name)) {
            self.cuts.add(Cut::Rest);
        }
    }

    fn response_name(&mut self, value: usize) {
        if let Some(rest) = response_name::rest(self.line, value) {
            self.separate();
            self.out.extend_from_slice(br#""responseObject":"#);
            self.out.extend_from_slice(&rest);
        }
    }

    fn scalar(&mut self, from: usize) -> bool {
        let line = self.line;
        if let Some(inside) = string(line, from) {
            self.out.push(b'"');
            if cut(&line[inside], self.cap, self.out) {
                self.cuts.add(Cut::Strings);
            }
            self.out.push(b'"');
            return true;
        }
        match skip(line, from) {
            Some(end) if end - from <= NUMBER && !matches!(line[from], b'{' | b'[') => {
                self.out.extend_from_slice(&line[from..end]);
                true
            }
            _ => false,
        }
    }

    fn members(&mut self, from: usize, names: &'static [&'static str]) -> bool {
        let line = self.line;
        if line.get(from) != Some(&b'{') {
            return self.scalar_null(from);
        }
        let mut seen = 0_u32;
        self.out.push(b'{');
        visit_members(line, from, |member| {
            let kept = names.iter().position(|name| member.is(name));
            match kept.filter(|index| seen >> index & 1 == 0) {
                Some(index) => {
                    seen |= 1 << index;
                    self.member(names[index], member.value, &Keep::Scalar);
                }
                // Earlier steps already report other annotations as cut.
                None if names == KEPT_ANNOTATIONS => {}
                None => self.dropped(&member),
            }
            skip(line, member.value)
        });
        self.out.push(b'}');
        true
    }

    fn scalar_null(&mut self, from: usize) -> bool {
        let null = self.line[from..].starts_with(b"null");
        if null {
            self.out.extend_from_slice(b"null");
        }
        null
    }

    fn addresses(&mut self, from: usize) -> bool {
        let line = self.line;
        let mut last = [None; ADDRESSES];
        let mut count = 0_usize;
        let end = visit_elements(line, from, |at| {
            last[count % ADDRESSES] = Some(at);
            count += 1;
            skip(line, at)
        });
        if end.is_none() {
            return self.scalar_null(from);
        }
        self.out.push(b'[');
        let first = count.saturating_sub(ADDRESSES);
        for index in first..count {
            let before = self.out.len();
            self.separate();
            if !last[index % ADDRESSES].is_some_and(|at| self.scalar(at)) {
                self.out.truncate(before);
                self.cuts.add(Cut::Rest);
            }
        }
        if first > 0 {
            self.cuts.add(Cut::Rest);
        }
        self.out.push(b']');
        true
    }
}
