//! One rule of a policy and its matching, which follows `pkg/audit/policy/checker.go` of k8s.io/apiserver exactly.

use super::request::PolicyRequest;
use super::stages::Stages;
use super::uri::RequestTarget;
use crate::transform::level::Level;

/// A set of exact strings. An empty set allows everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Names(Box<[Box<[u8]>]>);

impl Names {
    pub(super) fn new(names: &[&str]) -> Self {
        let mut names: Vec<Box<[u8]>> = names.iter().map(|name| name.as_bytes().into()).collect();
        names.sort_unstable();
        names.dedup();
        Self(names.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.0.binary_search_by(|known| (**known).cmp(name)).is_ok()
    }

    fn allow(&self, name: &[u8]) -> bool {
        self.is_empty() || self.has(name)
    }

    /// Whether this set allows everything that `other` allows.
    pub(super) fn cover(&self, other: &Self) -> bool {
        self.is_empty() || !other.is_empty() && other.0.iter().all(|name| self.has(name))
    }
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Rule {
    pub(super) level: Level,
    pub(super) users: Names,
    pub(super) groups: Names,
    pub(super) verbs: Names,
    pub(super) what: RequestPattern,
    /// Includes the stages that the whole policy omits.
    pub(super) omit_stages: Stages,
    pub(super) omit_managed_fields: bool,
}

/// The requests that a rule matches.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum RequestPattern {
    #[default]
    Anything,
    /// Requests that are not for a resource, at any of these paths.
    Paths(Vec<Glob>),
    /// Requests for a resource in any of these namespaces and of any of these kinds; an empty list allows all.
    Resources(Names, Vec<Kinds>),
}

/// A path, or a prefix of paths.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Glob {
    Exactly(Box<[u8]>),
    Below(Box<[u8]>),
}

/// An entry of `resources`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Kinds {
    pub(super) group: Group,
    /// If empty, all resources of the group.
    pub(super) any_of: Vec<ResourcePattern>,
    pub(super) names: Names,
}

/// An API group, or all groups: `*`, which kube-apiserver supports since 1.36.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Group {
    Any,
    Exactly(Box<[u8]>),
}

/// An element of an entry's `resources`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ResourcePattern {
    /// `*`
    All,
    /// `pods` or `pods/log`
    Exactly(Box<[u8]>, Box<[u8]>),
    /// `*/scale`
    Everywhere(Box<[u8]>),
    /// `pods/*`, which includes the resource itself.
    Of(Box<[u8]>),
}

impl Rule {
    pub(super) fn matches(&self, request: &PolicyRequest<'_>) -> bool {
        let nobody = (!self.users.is_empty() || !self.groups.is_empty()) && request.user.is_none();
        !nobody
            && request.user.as_deref().is_none_or(|user| self.users.allow(user))
            && self.verbs.allow(&request.verb)
            // The checks that walk the event come last.
            && self.what.matches(request)
            && (self.groups.is_empty() || request.in_group(|group| self.groups.has(group)))
    }
}

impl RequestPattern {
    fn matches(&self, request: &PolicyRequest<'_>) -> bool {
        match self {
            Self::Anything => true,
            Self::Paths(globs) => {
                request.target().is_none() && globs.iter().any(|glob| glob.matches(request.path))
            }
            Self::Resources(namespaces, kinds) => request.target().is_some_and(|target| {
                namespaces.allow(&target.namespace)
                    && (kinds.is_empty() || kinds.iter().any(|kinds| kinds.matches(target)))
            }),
        }
    }
}

impl Glob {
    pub(super) fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(_) => Self::Below(text.trim_end_matches('*').as_bytes().into()),
            None => Self::Exactly(text.as_bytes().into()),
        }
    }

    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exactly(exact) => **exact == *path,
            Self::Below(start) => path.starts_with(start),
        }
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exactly(exact), Self::Exactly(other)) => exact == other,
            (Self::Exactly(_), Self::Below(_)) => false,
            (Self::Below(start), Self::Exactly(other) | Self::Below(other)) => {
                other.starts_with(start)
            }
        }
    }
}

impl Kinds {
    fn matches(&self, target: &RequestTarget<'_>) -> bool {
        self.group.has(&target.group)
            && (self.any_of.is_empty()
                || self.names.allow(&target.name)
                    && self.any_of.iter().any(|kind| kind.matches(target)))
    }
}

impl Group {
    pub(super) fn new(text: &str) -> Self {
        if text == "*" { Self::Any } else { Self::Exactly(text.as_bytes().into()) }
    }

    fn has(&self, group: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(exact) => **exact == *group,
        }
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        *self == Self::Any || self == other
    }
}

/// The core group, which has no name.
impl Default for Group {
    fn default() -> Self {
        Self::Exactly(Box::default())
    }
}

impl ResourcePattern {
    /// Parses an element of `resources`.
    pub(super) fn new(text: &str) -> Self {
        match text.split_once('/') {
            _ if text == "*" => Self::All,
            Some(("*", subresource)) => Self::Everywhere(subresource.as_bytes().into()),
            Some((resource, "*")) => Self::Of(resource.as_bytes().into()),
            // `pods/` is not `pods`: it matches nothing, because no subresource has an empty name.
            Some((_, "")) => Self::Everywhere(Box::default()),
            Some((resource, subresource)) => {
                Self::Exactly(resource.as_bytes().into(), subresource.as_bytes().into())
            }
            None => Self::Exactly(text.as_bytes().into(), Box::default()),
        }
    }

    fn matches(&self, target: &RequestTarget<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Exactly(resource, subresource) => {
                **resource == *target.resource && **subresource == *target.subresource
            }
            Self::Everywhere(subresource) => {
                !subresource.is_empty() && **subresource == *target.subresource
            }
            Self::Of(resource) => **resource == *target.resource,
        }
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Everywhere(here), Self::Exactly(_, there) | Self::Everywhere(there)) => {
                !here.is_empty() && here == there
            }
            (Self::Of(here), Self::Exactly(there, _) | Self::Of(there)) => here == there,
            _ => self == other,
        }
    }
}
