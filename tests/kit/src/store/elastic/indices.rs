//! Indices, data streams and templates, restored from the journal after a kill.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::journal::Journal;
use super::error::Error;

/// One change; the unit of the journal.
#[derive(Deserialize, Serialize)]
pub(super) enum Change {
    Template {
        name: String,
        body: Value,
    },
    /// `template`: the one that matched the name when the index was created.
    Index {
        name: String,
        template: Value,
    },
    Stream {
        name: String,
        template: Value,
    },
    Rollover {
        stream: String,
    },
    Block {
        index: String,
        block: String,
        on: bool,
    },
    Closed {
        index: String,
    },
    Write {
        index: String,
        id: String,
        source: String,
    },
    Delete {
        index: String,
        id: String,
    },
    Key {
        id: String,
        secret: String,
        rights: Value,
    },
}

#[derive(Default)]
pub(super) struct Index {
    pub(super) documents: HashMap<String, Document>,
    pub(super) blocks: BTreeSet<String>,
    pub(super) closed: bool,
    pub(super) template: Value,
    written: u64,
}

pub(super) struct Document {
    pub(super) source: String,
    /// The `@timestamp` of the document in milliseconds since 1970.
    pub(super) millis: Option<i64>,
    pub(super) sequence: u64,
    /// Whether a refresh has made it visible to searches.
    pub(super) visible: bool,
}

pub(super) struct Stream {
    /// Backing indices, oldest first. Writes go to the last one.
    pub(super) indices: Vec<String>,
    pub(super) template: Value,
}

pub(super) struct Indices {
    journal: Journal<Vec<Change>>,
    pub(super) all: BTreeMap<String, Index>,
    pub(super) streams: BTreeMap<String, Stream>,
    pub(super) templates: BTreeMap<String, Value>,
    /// Role descriptors of API keys, by id and secret.
    pub(super) keys: BTreeMap<(String, String), Value>,
}

impl Indices {
    pub(super) fn open(path: &Path) -> Self {
        let (journal, records) = Journal::open(path);
        let built_in = json!({"index_patterns": ["logs-*-*"], "priority": 100, "data_stream": {}, "template": {}});
        let templates = BTreeMap::from([("logs".to_owned(), built_in)]);
        let (all, streams, keys) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut opened = Self { journal, all, streams, templates, keys };
        records.into_iter().flatten().for_each(|change| opened.apply(change));
        let all = opened.all.values_mut().flat_map(|index| index.documents.values_mut());
        all.for_each(|document| document.visible = true);
        opened
    }

    /// Makes these changes, after writing them to the journal.
    pub(super) fn change(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.journal.write(&changes);
            for change in changes {
                self.apply(change);
            }
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Template { name, body } => drop(self.templates.insert(name, body)),
            Change::Index { name, template } => {
                self.all.insert(name, Index { template, ..Index::default() });
            }
            Change::Stream { name, template } => {
                self.streams.insert(name.clone(), Stream { indices: Vec::new(), template });
                self.roll(&name);
            }
            Change::Rollover { stream } => self.roll(&stream),
            Change::Block { index, block, on } => {
                let blocks = &mut self.index(&index).blocks;
                if on {
                    blocks.insert(block)
                } else {
                    blocks.remove(&block)
                };
            }
            Change::Closed { index } => self.index(&index).closed = true,
            Change::Write { index, id, source } => self.index(&index).write(id, source),
            Change::Delete { index, id } => drop(self.index(&index).documents.remove(&id)),
            Change::Key { id, secret, rights } => drop(self.keys.insert((id, secret), rights)),
        }
    }

    fn index(&mut self, name: &str) -> &mut Index {
        self.all.get_mut(name).expect("an index is made before it is changed")
    }

    fn roll(&mut self, name: &str) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let index = format!(".ds-{name}-2026.11.21-{:06}", stream.indices.len() + 1);
        stream.indices.push(index.clone());
        let template = stream.template.clone();
        self.all.insert(index, Index { template, ..Index::default() });
    }

    /// The template that applies to a name: of those that match, the one with the highest priority.
    pub(super) fn template(&self, name: &str) -> Option<&Value> {
        let fits = |template: &&Value| {
            let patterns = template["index_patterns"].as_array().into_iter().flatten();
            patterns.filter_map(Value::as_str).any(|pattern| matches(pattern, name))
        };
        let priority = |template: &&Value| template["priority"].as_i64().unwrap_or(0);
        self.templates.values().filter(fits).max_by_key(priority)
    }

    /// Resolves a comma-separated list of names and patterns to indices. A name that matches nothing is an error unless
    /// `lenient` (`ignore_unavailable`); a pattern may match nothing.
    pub(super) fn resolve(&self, target: &str, lenient: bool) -> Result<Vec<&str>, Error> {
        let mut found = BTreeSet::new();
        for name in target.split(',') {
            let before = found.len();
            let streams = self.streams.iter().filter(|(stream, _)| matches(name, stream));
            found.extend(streams.flat_map(|(_, stream)| stream.indices.iter().map(String::as_str)));
            // A hidden index, whose name begins with a dot, matches only its full name.
            let plain = |index: &&String| {
                matches(name, index) && (!index.starts_with('.') || *index == name)
            };
            found.extend(self.all.keys().filter(plain).map(String::as_str));
            if found.len() == before && !lenient && !name.contains('*') {
                return Err(Error::no_index(name));
            }
        }
        Ok(found.into_iter().collect())
    }
}

impl Index {
    fn write(&mut self, id: String, source: String) {
        self.written += 1;
        let millis = super::document::millis(&source);
        let document = Document { source, millis, sequence: self.written, visible: false };
        self.documents.insert(id, document);
    }

    pub(super) fn mappings(&self) -> &Value {
        &self.template["template"]["mappings"]
    }
}

/// Whether a name matches a pattern with `*` wildcards.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
        }),
    }
}
