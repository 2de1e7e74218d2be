//! A policy as it is written, with the line and the place of everything in it.

use super::findings::FieldPlace;
use super::rule::{Glob, Group, Kinds, Names, RequestPattern, ResourcePattern, Rule};
use super::stages::Stages;
use super::table::TypedWords;
use crate::transform::level::Level;

/// A policy as it is written.
#[derive(Debug)]
pub(super) struct TypedPolicy {
    pub(super) line: u64,
    /// The line of the key `omitStages`, or of the policy.
    pub(super) omit_line: u64,
    pub(super) omit_stages: Stages,
    pub(super) omit_managed_fields: bool,
    pub(super) rules: Vec<Typed>,
}

/// A rule as it is written.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) line: u64,
    pub(super) place: String,
    pub(super) level: Level,
    pub(super) users: TypedWords,
    pub(super) groups: TypedWords,
    pub(super) verbs: TypedWords,
    pub(super) namespaces: TypedWords,
    pub(super) kinds: Vec<TypedKinds>,
    pub(super) urls: TypedWords,
    pub(super) omit_stages: Stages,
    pub(super) omit_managed_fields: Option<bool>,
}

/// An entry of `resources`, as it is written.
#[derive(Debug)]
pub(super) struct TypedKinds {
    pub(super) line: u64,
    pub(super) place: String,
    pub(super) group: String,
    pub(super) kinds: TypedWords,
    pub(super) names: TypedWords,
}

impl<'a> From<&'a Typed> for FieldPlace<'a> {
    fn from(rule: &'a Typed) -> Self {
        (rule.line, &rule.place).into()
    }
}

impl TypedPolicy {
    /// The rules, ready to be matched.
    pub(super) fn built(&self) -> Vec<Rule> {
        let build = |typed: &Typed| Rule {
            level: typed.level,
            users: Names::new(&typed.users.texts()),
            groups: Names::new(&typed.groups.texts()),
            verbs: Names::new(&typed.verbs.texts()),
            what: what(typed),
            omit_stages: typed.omit_stages.and(self.omit_stages),
            omit_managed_fields: typed.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        };
        self.rules.iter().map(build).collect()
    }
}

fn what(typed: &Typed) -> RequestPattern {
    if !typed.namespaces.is_empty() || !typed.kinds.is_empty() {
        let kinds = typed.kinds.iter().map(|typed| Kinds {
            group: Group::new(&typed.group),
            any_of: typed.kinds.texts().into_iter().map(ResourcePattern::new).collect(),
            names: Names::new(&typed.names.texts()),
        });
        RequestPattern::Resources(Names::new(&typed.namespaces.texts()), kinds.collect())
    } else if typed.urls.is_empty() {
        RequestPattern::Anything
    } else {
        RequestPattern::Paths(typed.urls.texts().into_iter().map(Glob::new).collect())
    }
}
