//! Follows the paths of the operator's rules through a body.

use super::context::Context;
use super::path::PathMatch;

/// For each path, how many steps of it have matched in each frame.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Rule and number of matched steps; those of the innermost frame are last.
    all: Vec<(usize, usize)>,
    /// The paths that go on below the member of the last step.
    below: Vec<(usize, usize)>,
    /// Where those of the innermost frame begin.
    from: usize,
}

/// The decision of the rules on a value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Ruling {
    #[default]
    None,
    Keep,
    Blank,
    /// Search the value for the pattern of this rule.
    Pattern(usize),
}

impl Steps {
    /// Enters a frame. Returns the value to pass to [`Steps::leave`]. All paths begin at a `root`.
    pub(super) fn enter(&mut self, root: bool, context: &Context<'_>) -> usize {
        let before = self.from;
        self.from = self.all.len();
        self.all.append(&mut self.below);
        if root {
            let paths = context.rules.iter().enumerate().filter(|(_, rule)| rule.path.is_some());
            self.all.extend(paths.map(|(rule, _)| (rule, 0)));
        }
        before
    }

    pub(super) fn leave(&mut self, before: usize) {
        self.all.truncate(self.from);
        self.from = before;
    }

    /// Takes a step to a key, or to an array element (`None`).
    pub(super) fn step(&mut self, context: &Context<'_>, key: Option<&str>) -> Ruling {
        self.below.clear();
        let mut ruling = Ruling::None;
        for (index, done) in &self.all[self.from..] {
            let rule = context.rules[*index];
            let next = rule.path.as_ref().map_or(PathMatch::No, |path| path.next(*done, key));
            let named =
                |wanted: &String| key.is_some_and(|key| super::name_words::same(wanted, key));
            match next {
                PathMatch::No => {}
                PathMatch::On => self.below.push((*index, done + 1)),
                PathMatch::End if !rule.key.as_ref().is_none_or(named) => {}
                PathMatch::End if rule.keep => return Ruling::Keep,
                PathMatch::End if rule.pattern.is_some() => ruling = Ruling::Pattern(*index),
                PathMatch::End => ruling = Ruling::Blank,
            }
        }
        ruling
    }
}
