//! The word lists of `names.txt`, by which names and values are judged.

use std::sync::LazyLock;

/// The lists, each under its name in the file.
///
/// Many fields: one for each list of the file.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) word: Vec<&'static str>,
    pub(super) password: Vec<&'static str>,
    pub(super) whole: Vec<&'static str>,
    pub(super) end: Vec<&'static str>,
    pub(super) last: Vec<&'static str>,
    pub(super) any: Vec<&'static str>,
    pub(super) weak: Vec<&'static str>,
    pub(super) no_key: Vec<&'static str>,
    pub(super) no_pass: Vec<&'static str>,
    pub(super) connection: Vec<&'static str>,
    pub(super) hook: Vec<&'static str>,
    pub(super) harmless_end: Vec<&'static str>,
    pub(super) harmless_last: Vec<&'static str>,
    pub(super) prose: Vec<&'static str>,
    pub(super) file: Vec<&'static str>,
    pub(super) measure: Vec<&'static str>,
    pub(super) harmless: Vec<&'static str>,
    pub(super) other: Vec<&'static str>,
    pub(super) beside: Vec<&'static str>,
    pub(super) directive: Vec<&'static str>,
    pub(super) sure_directive: Vec<&'static str>,
    pub(super) object: Vec<&'static str>,
    pub(super) literal: Vec<&'static str>,
    pub(super) root: Vec<&'static str>,
    pub(super) unit: Vec<&'static str>,
    pub(super) key_name: Vec<&'static str>,
    pub(super) scheme: Vec<&'static str>,
    pub(super) parameter: Vec<&'static str>,
    pub(super) proxied: Vec<&'static str>,
    pub(super) sentence: Vec<&'static str>,
    pub(super) no_name: Vec<&'static str>,
    pub(super) noun: Vec<&'static str>,
}

/// The lists; the file explains each of them.
pub(super) fn lists() -> &'static Lists {
    static LISTS: LazyLock<Lists> = LazyLock::new(|| Lists::read(include_str!("names.txt")));
    &LISTS
}

impl Lists {
    fn read(text: &'static str) -> Self {
        let mut lists = Self::default();
        let mut name = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(next) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                name = next;
            } else if let Some(list) = lists.named(name) {
                list.extend(line.split_whitespace());
            }
        }
        lists
    }

    fn named(&mut self, name: &str) -> Option<&mut Vec<&'static str>> {
        Some(match name {
            "word" => &mut self.word,
            "password" => &mut self.password,
            "whole" => &mut self.whole,
            "end" => &mut self.end,
            "last" => &mut self.last,
            "any" => &mut self.any,
            "weak" => &mut self.weak,
            "no-key" => &mut self.no_key,
            "no-pass" => &mut self.no_pass,
            "connection" => &mut self.connection,
            "hook" => &mut self.hook,
            "harmless-end" => &mut self.harmless_end,
            "harmless-last" => &mut self.harmless_last,
            "prose" => &mut self.prose,
            "file" => &mut self.file,
            "measure" => &mut self.measure,
            "harmless" => &mut self.harmless,
            "other" => &mut self.other,
            "beside" => &mut self.beside,
            "directive" => &mut self.directive,
            "sure-directive" => &mut self.sure_directive,
            "object" => &mut self.object,
            "literal" => &mut self.literal,
            "root" => &mut self.root,
            "unit" => &mut self.unit,
            "key-name" => &mut self.key_name,
            "scheme" => &mut self.scheme,
            "parameter" => &mut self.parameter,
            "proxied" => &mut self.proxied,
            "sentence" => &mut self.sentence,
            "no-name" => &mut self.no_name,
            "noun" => &mut self.noun,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_of_the_file_is_read_and_has_words() {
        let text = include_str!("names.txt");
        let mut lists = Lists::read(text);
        for line in text.lines().filter(|line| line.starts_with('[')) {
            let list = lists.named(line.trim_matches(['[', ']']));
            assert!(list.is_some_and(|list| !list.is_empty()), "{line}");
        }
    }
}
