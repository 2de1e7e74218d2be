//! Reads maps and lists of strings from the YAML tree, with an error for everything that the API server ignores
//! silently.

use std::collections::BTreeSet;

use super::findings::{FieldPlace, Findings, list, nearest};
use super::yaml::{Node, Value};

/// Keys of other formats and their names here, which a comparison of spelling would not find.
const ELSEWHERE: &[(&str, &str)] = &[
    ("apigroup", "group"),
    ("apigroups", "group"),
    ("groups", "userGroups"),
    ("name", "resourceNames"),
    ("names", "resourceNames"),
    ("serviceaccounts", "users"),
    ("stages", "omitStages"),
    ("urls", "nonResourceURLs"),
];

/// A map whose keys are all known.
pub(super) struct YamlTable<'n> {
    pub(super) line: u64,
    pub(super) place: String,
    entries: Vec<(&'static str, &'n Node)>,
    /// Known keys that a misspelt key certainly meant.
    meant: Vec<&'static str>,
}

/// A list of strings.
#[derive(Clone, Debug, Default)]
pub(super) struct TypedWords {
    pub(super) line: u64,
    pub(super) place: String,
    pub(super) list: Vec<TypedWord>,
}

#[derive(Clone, Debug)]
pub(super) struct TypedWord {
    pub(super) line: u64,
    pub(super) place: String,
    pub(super) text: String,
}

impl<'n> YamlTable<'n> {
    /// Opens a node; reports an error and returns `None` if it is not a map.
    pub(super) fn open(
        node: &'n Node,
        place: String,
        known: &[&'static str],
        findings: &mut Findings,
    ) -> Option<Self> {
        let Value::Map(pairs) = &node.value else {
            let file = if place.is_empty() { "the file " } else { "" };
            let kind = node.value.kind();
            let what = format!("{file}is {kind}, where keys are expected: {}", list(known));
            findings.error((node.line, &place), what);
            return None;
        };
        let mut table = Self { line: node.line, place, entries: Vec::new(), meant: Vec::new() };
        for (key, value) in pairs {
            let name = key.name.as_str();
            match known.iter().find(|known| **known == name) {
                Some(known) if table.get(known).is_some() => {
                    let what = format!("`{known}` is given twice: put both into one");
                    findings.error((key.line, &table.place), what);
                }
                Some(known) => table.entries.push((known, value)),
                None => table.unknown(name, key.line, known, findings),
            }
        }
        Some(table)
    }

    fn unknown(&mut self, name: &str, line: u64, known: &[&'static str], findings: &mut Findings) {
        let lower = name.to_ascii_lowercase();
        let elsewhere = ELSEWHERE.iter().find(|(other, _)| *other == lower);
        let meant = elsewhere.and_then(|(_, here)| known.iter().copied().find(|key| key == here));
        let near = meant.or_else(|| {
            nearest(name, known).and_then(|near| known.iter().copied().find(|key| *key == near))
        });
        let way_out = match near {
            Some(near) if near.eq_ignore_ascii_case(name) => {
                format!("write `{near}`, case matters")
            }
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", list(known)),
        };
        self.meant.extend(near);
        let what = format!(
            "unknown key `{}`, which the API server passes over: {way_out}",
            name.escape_debug()
        );
        findings.trap((line, &self.place), what);
    }

    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(name, _)| *name == key).map(|(_, node)| *node)
    }

    /// A required key. `example` is a line that would do.
    pub(super) fn need(
        &self,
        key: &'static str,
        example: &str,
        findings: &mut Findings,
    ) -> Option<&'n Node> {
        let found = self.get(key);
        let (line, is) = match found {
            Some(node) if !matches!(node.value, Value::Null) => return found,
            Some(node) => (node.line, "empty"),
            None => (self.line, "missing"),
        };
        // If the key is misspelt, that was already reported.
        if !self.meant.contains(&key) {
            let what = format!("`{key}` is {is}: write a line such as `{example}`");
            findings.error((line, &self.place), what);
        }
        None
    }

    /// The place of a key, for messages.
    pub(super) fn at(&self, key: &str) -> String {
        if self.place.is_empty() { key.into() } else { format!("{}.{key}", self.place) }
    }

    /// A list that restricts what a rule matches. Reports an empty one, because it restricts nothing.
    pub(super) fn bound(&self, key: &'static str, findings: &mut Findings) -> TypedWords {
        let words = self.words(key, findings);
        if let Some(node) = self.get(key) {
            match &node.value {
                Value::Null => findings.trap(
                    (node.line, &words.place),
                    "is empty, so it sets no bound: name what is meant, or remove the key",
                ),
                Value::List(items) if items.is_empty() => findings.warn(
                    (node.line, &words.place),
                    "is an empty list, so it sets no bound: remove it if that is meant",
                ),
                _ => {}
            }
        }
        words
    }

    /// A list of strings; empty if the key is missing.
    pub(super) fn words(&self, key: &'static str, findings: &mut Findings) -> TypedWords {
        let place = self.at(key);
        let Some(node) = self.get(key) else {
            return TypedWords { line: self.line, place, list: Vec::new() };
        };
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Null => &[],
            other => {
                let what = format!(
                    "is {}, where a list is expected: write `{key}: [\"…\"]`",
                    other.kind()
                );
                findings.error((node.line, &place), what);
                &[]
            }
        };
        let list = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| word(item, format!("{place}[{index}]"), findings))
            .collect();
        let words = TypedWords { line: node.line, place, list };
        words.tell_repeats(findings);
        words
    }
}

/// An element of a list of strings.
fn word(node: &Node, place: String, findings: &mut Findings) -> Option<TypedWord> {
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Null => {
            findings.trap(
                (node.line, &place),
                "is nothing, which the API server reads as `\"\"`: write that, or remove it",
            );
            String::new()
        }
        Value::Bool(_) | Value::Number(_) => {
            findings.error(
                (node.line, &place),
                format!("is {}, where a text is expected: put it in quotes", node.value.kind()),
            );
            return None;
        }
        Value::List(_) | Value::Map(_) => {
            findings.error(
                (node.line, &place),
                format!("is {}, where a text is expected", node.value.kind()),
            );
            return None;
        }
    };
    if text.trim() != text {
        let what = format!(
            "`{}` has blanks around it, and nothing is called that: remove them",
            text.escape_debug()
        );
        findings.trap((node.line, &place), what);
    }
    Some(TypedWord { line: node.line, place, text })
}

impl<'a> From<&'a TypedWord> for FieldPlace<'a> {
    fn from(word: &'a TypedWord) -> Self {
        (word.line, &word.place).into()
    }
}

impl<'a> From<&'a TypedWords> for FieldPlace<'a> {
    fn from(words: &'a TypedWords) -> Self {
        (words.line, &words.place).into()
    }
}

impl TypedWords {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TypedWord> {
        self.list.iter()
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.list.iter().map(|word| word.text.as_str()).collect()
    }

    fn tell_repeats(&self, findings: &mut Findings) {
        let mut seen = BTreeSet::new();
        for word in self.iter().filter(|word| !seen.insert(word.text.as_str())) {
            let what = format!("`{}` is listed twice: once is enough", word.text.escape_debug());
            findings.warn(word, what);
        }
    }
}
