//! Describes missing events: reads their lines again and applies the transform, so that nothing is shown that would
//! not be sent.

use std::collections::HashSet;

use super::job::{Compared, Job, Pair};
use crate::event::{Batch, Record, Span};
use crate::telemetry::human;
use crate::transform::TransformScratch;
use crate::verify::{Fault, Noted};

/// Longest field, in characters.
const LONGEST: usize = 80;

/// The fields that identify an event for people, without control characters for the terminal.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Description {
    #[serde(skip_serializing_if = "Option::is_none")]
    verb: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subresource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl Description {
    fn of(record: Record<'_>) -> Self {
        let fields = &record.event.fields;
        let text = |span: Span| record.text(span).map(|text| human::line(&text, LONGEST));
        Self {
            verb: text(fields.verb),
            user: text(fields.username),
            resource: text(fields.resource),
            subresource: text(fields.subresource),
            namespace: text(fields.namespace),
            name: text(fields.name),
            code: text(fields.code),
        }
    }
}

impl std::fmt::Display for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, user, resource, subresource, namespace, name, code } = self;
        f.write_str(verb.as_deref().unwrap_or("not readable"))?;
        let of = [resource, subresource].map(Option::as_deref);
        let of: Vec<_> = of.into_iter().flatten().collect();
        if !of.is_empty() {
            write!(f, " {}", of.join("/"))?;
        }
        let place = [namespace, name].map(Option::as_deref);
        let place: Vec<_> = place.into_iter().flatten().collect();
        if !place.is_empty() {
            write!(f, " {}", place.join("/"))?;
        }
        if let Some(user) = user {
            write!(f, " by {user}")?;
        }
        code.iter().try_for_each(|code| write!(f, ", {code}"))
    }
}

/// Passes each missing event to `take`, by file and position, with its description, until `take` returns false.
pub(super) fn each(
    job: &Job<'_>,
    pair: &Pair<'_>,
    compared: &Compared,
    mut take: impl FnMut(&Noted, &Description) -> bool,
) -> anyhow::Result<()> {
    let findings = &compared.findings;
    let mut missing = findings.each(Fault::Missing)?;
    let mut concerned = HashSet::new();
    while let Some(noted) = missing.next()? {
        concerned.insert(findings.generations[noted.generation as usize].fingerprint);
    }
    let files: Vec<_> = compared
        .files
        .iter()
        .filter(|file| concerned.contains(&file.fingerprint()))
        .cloned()
        .collect();
    let mut missing = findings.each(Fault::Missing)?;
    let mut next = missing.next()?;
    let (chain, revision) = job.chain(pair)?;
    let (mut more, mut kept) = (true, TransformScratch::default());
    job.each(pair, &files, |_, batch: &mut Batch| {
        let is_here = |noted: &Noted| {
            let fingerprint = findings.generations[noted.generation as usize].fingerprint;
            fingerprint == batch.generation && noted.offset < batch.end
        };
        if !next.as_ref().is_some_and(is_here) {
            return Ok(next.is_some());
        }
        let (fingerprint, end) = (batch.generation, batch.end);
        chain.apply(revision, batch, &mut kept);
        while let Some(noted) = next.filter(|noted| {
            findings.generations[noted.generation as usize].fingerprint == fingerprint
                && noted.offset < end
        }) {
            let found = batch.events.binary_search_by_key(&noted.offset, |event| event.offset);
            let description = found.map(|at| Description::of(batch.record(at)));
            more = take(&noted, &description.unwrap_or_default());
            if !more {
                return Ok(false);
            }
            next = missing.next()?;
        }
        Ok(next.is_some())
    })?;
    // The file is gone or has changed since: the events are listed without a description.
    while let Some(noted) = next.filter(|_| more) {
        more = take(&noted, &Description::default());
        next = missing.next()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_one_line_and_says_what_is_known() {
        let text = |text: &str| Some(text.to_owned());
        let mut description = Description {
            verb: text("create"),
            user: text("alice"),
            resource: text("pods"),
            subresource: text("exec"),
            namespace: text("default"),
            name: text("web-1"),
            code: text("101"),
        };
        assert_eq!(description.to_string(), "create pods/exec default/web-1 by alice, 101");
        (description.subresource, description.namespace, description.code) = (None, None, None);
        assert_eq!(description.to_string(), "create pods web-1 by alice");
        assert_eq!(Description::default().to_string(), "not readable");
    }
}
