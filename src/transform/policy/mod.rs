//! An `audit.k8s.io/v1` Policy, the file that the API server reads, applied to events already written.
//!
//! [`Policy::parse`] reads it more strictly than the server does: what the server would pass over in silence, a key with
//! a typing mistake or a rule that no request can ever reach, is an error here. [`Policy::decide`] answers what the server
//! would have answered, had it been given this policy; `tests/differential.rs` compares the two. What is done about the
//! answer is the caller's business: levels are only ever lowered.
//!
//! Lines of the text format are judged too, from their URI; they hold no more than Metadata, so that only None and omitted
//! stages make a difference. What is no event of an API server is left alone: remains of torn lines, and our own gaps.
//!
//! `yaml.rs` reads the text, `load.rs` makes rules of it, `lint.rs` and `shadow.rs` look for traps in them; `request.rs`
//! rebuilds what the server saw, with `uri.rs` and `selector.rs`, and `rule.rs` matches it.

use std::path::Path;

use crate::event::{Record, Span};

mod findings;
mod kinds;
mod known;
mod lint;
mod load;
mod request;
mod rule;
mod selector;
mod shadow;
mod table;
#[cfg(test)]
mod tests;
mod uri;
mod yaml;

use super::level::Level;
pub(crate) use findings::PolicyError;
use request::Request;
use rule::Rule;

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Stages(u8);

impl Stages {
    const NAMES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
    const ALL: Self = Self(0b1111);

    /// The stage of this name, none for a name that is no stage.
    fn of(name: &str) -> Self {
        Self(Self::NAMES.iter().position(|known| *known == name).map_or(0, |bit| 1 << bit))
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a policy says about an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Decision {
    /// The most that may be kept; an event that has less keeps what it has.
    pub(crate) level: Level,
    /// The event is dropped for its stage.
    pub(crate) stage_omitted: bool,
    /// `metadata.managedFields` goes from both bodies.
    pub(crate) omit_managed_fields: bool,
}

impl Decision {
    /// About what a policy says nothing of.
    const KEEP: Self =
        Self { level: Level::RequestResponse, stage_omitted: false, omit_managed_fields: false };
}

/// A policy that has no known trap in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Policy {
    rules: Vec<Rule>,
    /// What counts where no rule matches.
    omit_stages: Stages,
    omit_managed_fields: bool,
    warnings: Vec<String>,
}

impl Policy {
    /// Reads a policy from YAML, or JSON. `name` is the file's, for errors.
    pub(crate) fn parse(text: &str, name: &Path) -> Result<Self, PolicyError> {
        let (policy, findings) = load::policy(text);
        match (policy, findings.errors.is_empty()) {
            (Some(policy), true) => Ok(Self { warnings: findings.warnings(name), ..policy }),
            _ => Err(findings.into_error(name)),
        }
    }

    /// What is odd about the policy, though it may be meant: a line each, with file and line.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the API server would have made of the event under this policy.
    pub(crate) fn decide(&self, record: &Record<'_>) -> Decision {
        let Some(path) = request::path(record) else { return Decision::KEEP };
        let request = Request::new(record, &path);
        let (level, omit_stages, omit_managed_fields) = match self.rule_for(&request) {
            Some(rule) => (rule.level, rule.omit_stages, rule.omit_managed_fields),
            None => (Level::None, self.omit_stages, self.omit_managed_fields),
        };
        let stage = stage(record, record.event.fields.stage);
        Decision { level, stage_omitted: omit_stages.has(stage), omit_managed_fields }
    }

    /// The first rule that matches.
    fn rule_for(&self, request: &Request<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(request))
    }
}

fn stage(record: &Record<'_>, span: Span) -> Stages {
    record.text(span).map_or(Stages::default(), |name| Stages::of(&name))
}
