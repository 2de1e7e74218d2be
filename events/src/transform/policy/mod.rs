//! Applies an `audit.k8s.io/v1` Policy, the file that the API server reads, to events already written.
//!
//! [`Policy::parse`] is stricter than the API server: a misspelt key, or a rule that no request can ever reach, is an
//! error here, where the server ignores it silently. [`Policy::decide`] returns the decision that the server would
//! have made under this policy; `tests/differential.rs` compares the two. The caller applies the decision; it only
//! ever lowers a level.
//!
//! Lines of the legacy text format are matched too, by their URI. They hold no more than Metadata, so only level None
//! and omitted stages make a difference. Records that are not events of an API server (remains of torn lines, and the
//! agent's own gap records) are kept unchanged.
//!
//! `yaml.rs` parses the text, `load.rs` reads the policy as it is written (`typed.rs`), `lint.rs` and `shadow.rs` look
//! for traps in it.
//! `request.rs` rebuilds the request that the server saw, with `uri.rs` and `selector.rs`, and `rule.rs` matches it.

use std::path::Path;
use std::sync::Arc;

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
mod stages;
mod table;
#[cfg(test)]
mod tests;
mod typed;
mod uri;
mod yaml;

use super::level::Level;
use super::lower::lower;
use super::step::{EventWork, TransformAction, TransformStep};
use findings::Findings;
pub(super) use findings::PolicyError;
use request::PolicyRequest;
use rule::Rule;
use stages::Stages;
pub(super) use uri::RequestTarget;

/// Calls `with` with the resource that the request of an event is for, if it is for one.
pub(super) fn with_target(record: &Record<'_>, with: impl FnOnce(&RequestTarget<'_>)) {
    let Some(path) = request::path(record) else { return };
    if let Some(target) = PolicyRequest::new(record, &path).target() {
        with(target);
    }
}

/// The decision of a policy on one event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    /// The highest level to keep. An event with a lower level keeps its own.
    pub level: Level,
    /// The event is dropped because of its stage.
    pub stage_omitted: bool,
    /// Remove `metadata.managedFields` from both bodies.
    pub omit_managed_fields: bool,
}

impl Decision {
    /// For records that a policy does not apply to.
    const KEEP: Self =
        Self { level: Level::RequestResponse, stage_omitted: false, omit_managed_fields: false };
}

/// A parsed policy without known traps.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    rules: Vec<Rule>,
    /// Used where no rule matches.
    omit_stages: Stages,
    omit_managed_fields: bool,
    warnings: Vec<String>,
}

impl Policy {
    /// Parses a policy from YAML or JSON. `name` is the name of its file, for errors.
    pub fn parse(text: &str, name: &Path) -> Result<Self, PolicyError> {
        let (policy, findings) = Self::read(text);
        match (policy, findings.errors.is_empty()) {
            (Some(policy), true) => Ok(Self { warnings: findings.warnings(name), ..policy }),
            _ => Err(findings.into_error(name)),
        }
    }

    /// The policy as the API server would read it (`None` if it would refuse it), and the errors and warnings about it.
    fn read(text: &str) -> (Option<Self>, Findings) {
        let mut findings = Findings::default();
        let policy = load::policy(text, &mut findings).map(|typed| {
            lint::policy(&typed, &mut findings);
            let rules = typed.built();
            // A rule with a mistyped key may seem to shadow all rules after it, so this check waits until there are
            // no errors.
            if findings.errors.is_empty() {
                shadow::check(&typed.rules, &rules, &mut findings);
            }
            let (omit_stages, omit_managed_fields) = (typed.omit_stages, typed.omit_managed_fields);
            Self { rules, omit_stages, omit_managed_fields, warnings: Vec::new() }
        });
        (policy.filter(|_| findings.readable()), findings)
    }

    /// Warnings about the policy: things that are odd but may be intended. One line each, with file and line.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The decision that the API server would have made on the event under this policy.
    pub fn decide(&self, record: &Record<'_>) -> Decision {
        let Some(path) = request::path(record) else { return Decision::KEEP };
        let request = PolicyRequest::new(record, &path);
        let (level, omit_stages, omit_managed_fields) = match self.rule_for(&request) {
            Some(rule) => (rule.level, rule.omit_stages, rule.omit_managed_fields),
            None => (Level::None, self.omit_stages, self.omit_managed_fields),
        };
        let stage = stage(record, record.event.fields.stage);
        Decision { level, stage_omitted: omit_stages.has(stage), omit_managed_fields }
    }

    /// The first rule that matches.
    fn rule_for(&self, request: &PolicyRequest<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(request))
    }
}

impl TransformStep for Arc<Policy> {
    const ACTIONS: &'static [TransformAction] = &[
        TransformAction::new(Some("policy_dropped"), "dropped: policy level None"),
        TransformAction::new(Some("policy_dropped"), "dropped: stage omitted"),
        TransformAction::new(Some("lowered"), "lowered to Metadata"),
        TransformAction::new(Some("lowered"), "lowered to Request"),
    ];

    fn keeps(&self, work: &mut EventWork<'_>) -> bool {
        let decision = self.decide(work.record);
        if decision.level == Level::None {
            work.did(0);
            return false;
        }
        if decision.stage_omitted {
            work.did(1);
            return false;
        }
        work.lower_to = lower_to(work.record, decision.level);
        work.omit_managed_fields = decision.omit_managed_fields;
        true
    }

    fn edit(&self, work: &mut EventWork<'_>) {
        if let Some(to) = work.lower_to {
            lower(work.record, to, work.edits);
            work.did(if to == Level::Metadata { 2 } else { 3 });
            work.done.parse_again = true;
        }
    }
}

/// The level to lower the event to; `None` if the level of the event is not higher.
fn lower_to(record: &Record<'_>, to: Level) -> Option<Level> {
    let level = Level::parse(&record.text(record.event.fields.level)?)?;
    (to < level).then_some(to)
}

fn stage(record: &Record<'_>, span: Span) -> Stages {
    record.text(span).map_or(Stages::default(), |name| Stages::of(&name))
}
