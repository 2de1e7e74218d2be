//! Finds shadowed rules: rules that no request reaches, because an earlier rule matches all their requests.
//!
//! Every finding is certain, but not every shadowed rule is found: each rule is compared with one earlier rule at a
//! time.

use super::findings::Findings;
use super::rule::{Kinds, Names, RequestPattern, ResourcePattern, Rule};
use super::typed::Typed;

pub(super) fn check(typed: &[Typed], rules: &[Rule], findings: &mut Findings) {
    for (at, (later, rule)) in typed.iter().zip(rules).enumerate().skip(1) {
        let shadow = |rule: &Rule| {
            let found = rules[..at].iter().position(|earlier| covers(earlier, rule))?;
            Some(format!(
                "rules[{found}] in line {} takes all that it could match",
                typed[found].line
            ))
        };
        if let Some(by) = shadow(rule) {
            let what = format!("can never match, since {by}: move it up, or remove it");
            findings.trap(later, what);
            continue;
        }
        let part = |what: RequestPattern| Rule { what, ..rule.clone() };
        if let RequestPattern::Paths(globs) = &rule.what {
            for (word, glob) in later.urls.iter().zip(globs) {
                if let Some(by) = shadow(&part(RequestPattern::Paths(vec![glob.clone()]))) {
                    findings.warn(word, format!("is never reached, since {by}"));
                }
            }
        }
        if let RequestPattern::Resources(namespaces, entries) = &rule.what {
            for (typed, entry) in later.kinds.iter().zip(entries) {
                for (word, kind) in typed.kinds.iter().zip(&entry.any_of) {
                    let one = Kinds { any_of: vec![kind.clone()], ..entry.clone() };
                    if let Some(by) =
                        shadow(&part(RequestPattern::Resources(namespaces.clone(), vec![one])))
                    {
                        findings.warn(word, format!("is never reached, since {by}"));
                    }
                }
            }
        }
    }
}

/// Whether `earlier` matches every request that `later` matches.
pub(super) fn covers(earlier: &Rule, later: &Rule) -> bool {
    earlier.users.cover(&later.users)
        && earlier.groups.cover(&later.groups)
        && earlier.verbs.cover(&later.verbs)
        && match (&earlier.what, &later.what) {
            (RequestPattern::Anything, _) => true,
            (RequestPattern::Paths(here), RequestPattern::Paths(there)) => {
                there.iter().all(|glob| here.iter().any(|wider| wider.covers(glob)))
            }
            (
                RequestPattern::Resources(namespaces, here),
                RequestPattern::Resources(other, there),
            ) => namespaces.cover(other) && all_covered(here, there),
            _ => false,
        }
}

fn all_covered(here: &[Kinds], there: &[Kinds]) -> bool {
    here.is_empty() || !there.is_empty() && there.iter().all(|entry| entry_covered(here, entry))
}

fn entry_covered(here: &[Kinds], entry: &Kinds) -> bool {
    let wider = || here.iter().filter(|wider| wider.group.covers(&entry.group));
    if entry.any_of.is_empty() {
        return wider().any(takes_all);
    }
    entry.any_of.iter().all(|kind| {
        wider().any(|wider| {
            wider.any_of.is_empty()
                || wider.names.cover(&entry.names)
                    && wider.any_of.iter().any(|one| one.covers(kind))
        })
    })
}

/// Whether an entry matches everything in its group.
fn takes_all(entry: &Kinds) -> bool {
    entry.any_of.is_empty()
        || entry.names == Names::default() && entry.any_of.contains(&ResourcePattern::All)
}
