//! Follows the paths of the operator's rules through a body.

use super::context::Context;
use super::path::Next;

/// How far each path has come, in each frame.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Rule and steps done; those of the innermost frame last.
    all: Vec<(usize, usize)>,
    /// What goes on below the member that was asked for last.
    below: Vec<(usize, usize)>,
    /// Where those of the innermost frame begin.
    from: usize,
}

/// What the rules say of a value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Ruling {
    #[default]
    None,
    Keep,
    Blank,
    /// This rule's pattern is to be looked for in it.
    Pattern(usize),
}

impl Steps {
    /// Begins a frame; answers what [`Steps::leave`] wants to know. At a `root` all paths begin.
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

    /// Takes a step, to a key or (`None`) to an element.
    pub(super) fn step(&mut self, context: &Context<'_>, key: Option<&str>) -> Ruling {
        self.below.clear();
        let mut ruling = Ruling::None;
        for (index, done) in &self.all[self.from..] {
            let rule = context.rules[*index];
            let next = rule.path.as_ref().map_or(Next::No, |path| path.next(*done, key));
            let named =
                |wanted: &String| key.is_some_and(|key| super::name_words::same(wanted, key));
            match next {
                Next::No => {}
                Next::On => self.below.push((*index, done + 1)),
                Next::End if !rule.key.as_ref().is_none_or(named) => {}
                Next::End if rule.keep => return Ruling::Keep,
                Next::End if rule.pattern.is_some() => ruling = Ruling::Pattern(*index),
                Next::End => ruling = Ruling::Blank,
            }
        }
        ruling
    }
}
