//! Stream labels and stream selectors (as in `LogQL`), as far as tests use them.

use std::collections::BTreeMap;

use regex::Regex;

/// Sorted by name, as in Loki.
pub(super) type Labels = BTreeMap<String, String>;

/// One matcher of a selector or, with `=`, one label of a stream.
struct Term {
    name: String,
    comparison: String,
    value: String,
}

/// Parses stream labels. Also returns a label name that occurs twice, if there is one. `Err` says why the text does not
/// parse.
pub(super) fn parse(text: &str) -> Result<(Labels, Option<String>), String> {
    let mut labels = Labels::new();
    let mut twice = None;
    for term in terms(text)? {
        if labels.insert(term.name.clone(), term.value).is_some() {
            twice = Some(term.name);
        }
    }
    Ok((labels, twice))
}

/// A stream selector.
pub(super) struct Selector(Vec<Matcher>);

struct Matcher {
    name: String,
    negated: bool,
    value: Regex,
}

impl Selector {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let matcher = |term: Term| {
            let text = match term.comparison.as_str() {
                "=" | "!=" => regex::escape(&term.value),
                _ => term.value,
            };
            let value = Regex::new(&format!("^(?s:{text})$")).map_err(|error| error.to_string())?;
            let negated = term.comparison.starts_with('!');
            Ok(Matcher { name: term.name, negated, value })
        };
        terms(text)?.into_iter().map(matcher).collect::<Result<_, String>>().map(Self)
    }

    /// Whether the selector matches these labels. A missing label counts as an empty one.
    pub(super) fn finds(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| {
            let value = labels.get(&matcher.name).map_or("", String::as_str);
            matcher.value.is_match(value) != matcher.negated
        })
    }
}

fn terms(text: &str) -> Result<Vec<Term>, String> {
    let mut reader = Reader { text, at: 0 };
    let mut terms = Vec::new();
    reader.expect('{')?;
    loop {
        if reader.skip('}') {
            return Ok(terms);
        }
        let name = reader.name()?;
        let comparison = reader.comparison()?;
        let value = reader.quoted()?;
        terms.push(Term { name, comparison, value });
        if !reader.skip(',') && !reader.rest().starts_with('}') {
            return Err(reader.unexpected());
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The rest of the text, after skipping blanks.
    fn rest(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        &self.text[self.at..]
    }

    fn skip(&mut self, wanted: char) -> bool {
        let there = self.rest().starts_with(wanted);
        self.at += if there { wanted.len_utf8() } else { 0 };
        there
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.skip(wanted) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&mut self) -> String {
        match self.rest().chars().next() {
            Some(c) => {
                format!("1:{}: parse error: unexpected character inside braces: '{c}'", self.at + 1)
            }
            None => {
                format!("1:{}: parse error: unexpected end of input inside braces", self.at + 1)
            }
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let inside = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let length = rest.find(|c| !inside(c)).unwrap_or(rest.len());
        if length == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.unexpected());
        }
        let name = rest[..length].to_owned();
        self.at += length;
        Ok(name)
    }

    fn comparison(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let known = ["=~", "!~", "!=", "="].into_iter().find(|known| rest.starts_with(known));
        let known = known.ok_or_else(|| self.unexpected())?;
        self.at += known.len();
        Ok(known.to_owned())
    }

    /// A string in double quotes, escaped as in Go, or in backquotes without escapes.
    fn quoted(&mut self) -> Result<String, String> {
        if self.skip('`') {
            let end = self.text[self.at..].find('`').ok_or_else(|| self.unexpected())?;
            let value = self.text[self.at..self.at + end].to_owned();
            self.at += end + 1;
            return Ok(value);
        }
        self.expect('"')?;
        let mut value = String::new();
        let mut chars = self.text[self.at..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(value);
                }
                '\\' => value.push(unescaped(&mut chars).ok_or("invalid escape")?),
                c => value.push(c),
            }
        }
        Err("literal not terminated".to_owned())
    }
}

fn unescaped(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    let digits = match chars.next()?.1 {
        'n' => return Some('\n'),
        't' => return Some('\t'),
        'r' => return Some('\r'),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        other => return Some(other),
    };
    let mut number = 0;
    for _ in 0..digits {
        number = number * 16 + chars.next()?.1.to_digit(16)?;
    }
    char::from_u32(number)
}
