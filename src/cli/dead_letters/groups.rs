//! Groups dead letters by the output's answer, for `dead-letters list`. Memory is bounded, however many there are.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::dead_letters::{DeadLetter, StoredDeadLetter, batch};
use crate::telemetry::{Time, human};

use crate::cli::preview::line;

/// Most groups. A letter with yet another answer is counted with the others of its pair.
const MOST: usize = 200;
/// Examples of each group.
const EXAMPLES: usize = 3;
/// Characters of an answer.
const EXCERPT: usize = 300;

/// The letters of one pair that an output refused with the same answer, but for numbers and quoted texts.
#[derive(Debug)]
struct AnswerGroup {
    input: String,
    output: String,
    /// The answer to the first of them; `None`: more answers than [`MOST`].
    answer: Option<String>,
    count: u64,
    bytes: u64,
    /// When the first one was refused, and when one was refused last.
    first: Time,
    last: Time,
    /// Who did what, and the id.
    examples: Vec<String>,
}

/// All groups so far.
#[derive(Debug, Default)]
pub(super) struct AnswerGroups {
    groups: Vec<AnswerGroup>,
    /// The index of each, by pair and answer.
    places: HashMap<(String, String, String), usize>,
}

impl AnswerGroups {
    /// Counts a letter. Returns whether its event is wanted as an example of its group.
    pub(super) fn count(&mut self, pair: (&str, &str), letter: &DeadLetter, bytes: u64) -> bool {
        let at = self.place(pair, letter);
        let group = &mut self.groups[at];
        group.count += 1;
        group.bytes += bytes;
        group.first = group.first.min(letter.since());
        group.last = group.last.max(letter.refused);
        group.count <= EXAMPLES as u64
    }

    /// Adds an event as an example of its group.
    pub(super) fn example(&mut self, pair: (&str, &str), stored: StoredDeadLetter) {
        let at = self.place(pair, &stored.letter);
        let id = human::line(&stored.letter.id, 64);
        let Some(batch) = batch(vec![stored]) else { return };
        let text = format!("{id}  {}", line::of(&batch.record(0)));
        self.groups[at].examples.push(text);
    }

    /// The index of a letter's group, which is made if it is new.
    fn place(&mut self, (input, output): (&str, &str), letter: &DeadLetter) -> usize {
        let mut key = (input.to_owned(), output.to_owned(), normalised(&letter.answer));
        if self.groups.len() >= MOST && !self.places.contains_key(&key) {
            key.2.clear();
        }
        let others = key.2.is_empty();
        let groups = &mut self.groups;
        *self.places.entry(key).or_insert_with(|| {
            groups.push(AnswerGroup {
                input: human::line(input, 63),
                output: human::line(output, 63),
                answer: (!others).then(|| human::line(&letter.answer, EXCERPT)),
                count: 0,
                bytes: 0,
                first: letter.since(),
                last: letter.refused,
                examples: Vec::new(),
            });
            groups.len() - 1
        })
    }

    /// The groups, the largest first.
    pub(super) fn table(mut self) -> String {
        if self.groups.is_empty() {
            return "there are no dead letters\n".to_owned();
        }
        self.groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        // Writing to a String cannot fail.
        let mut text = String::new();
        for group in &self.groups {
            let AnswerGroup { input, output, answer, count, bytes, first, last, examples } = group;
            let (count, size) = (human::count(*count), human::size(*bytes));
            let answer = answer.as_deref().unwrap_or("other answers");
            let _ = writeln!(text, "{count} of {input} to {output} ({size}): {answer}");
            let _ = writeln!(text, "  first refused {first:.0}, last refused {last:.0}");
            for example in examples {
                let _ = writeln!(text, "  {example}");
            }
            text.push('\n');
        }
        text.truncate(text.len() - 1);
        text
    }
}

/// An answer without what differs from event to event: quoted texts, and words with a digit. The status stays.
fn normalised(answer: &str) -> String {
    let mut key = String::with_capacity(answer.len());
    let answer = unquoted(&human::line(answer, usize::MAX));
    for (at, word) in answer.split([' ', ',', ';', '(', ')', '[', ']', '{', '}']).enumerate() {
        let digits = word.trim_end_matches(':').as_bytes();
        let is_status = at == 0 && digits.len() == 3 && digits.iter().all(u8::is_ascii_digit);
        if !is_status && word.contains(|c: char| c.is_ascii_digit()) {
            key.push('#');
        } else {
            key.push_str(word);
        }
        key.push(' ');
    }
    key
}

/// Leaves out what is between quotes. An apostrophe inside a word is none.
fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut open, mut before) = (None, ' ');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let in_word = before.is_alphanumeric() && chars.peek().is_some_and(|c| c.is_alphanumeric());
        match open {
            None if "\"'`".contains(c) && !before.is_alphanumeric() => {
                open = Some(c);
                out.push(c);
            }
            Some(quote) if quote == c && !in_word => {
                open = None;
                out.push(c);
            }
            None => out.push(c),
            Some(_) => {}
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fingerprint, RecordKind};

    fn letter(answer: &str, at: i64) -> DeadLetter {
        DeadLetter {
            id: "0".repeat(32),
            generation: Fingerprint([7; 16]),
            offset: 5,
            whole: RecordKind::Event,
            time: Time::from_nanos(0),
            refused: Time::from_nanos(at),
            first_refused: None,
            answer: answer.to_owned(),
            scope: String::new(),
        }
    }

    #[test]
    fn answers_that_differ_in_numbers_and_quoted_texts_are_one_group() {
        let same = |one: &str, other: &str| normalised(one) == normalised(other);
        for (one, other) in [
            (
                "400: entry too far behind, entry timestamp is: 2026-11-21T07:30:00Z, oldest: 2026-11-21T09:30:00Z",
                "400: entry too far behind, entry timestamp is: 2026-11-22T08:31:07Z, oldest: 2026-11-23T09:30:00Z",
            ),
            (
                "400 mapper_parsing_exception: failed to parse field [a.b] of type [long] in document with id 'ab1'. \
                 Preview of field's value: 'it is 5 o'clock'",
                "400 mapper_parsing_exception: failed to parse field [a.b] of type [long] in document with id 'xyz'. \
                 Preview of field's value: 'no'",
            ),
            (
                "max entry size 262144 bytes exceeded: \"5\"",
                "max entry size 1 bytes exceeded: \"a b\"",
            ),
        ] {
            assert!(same(one, other), "{}\n{}", normalised(one), normalised(other));
        }
        for (one, other) in [
            ("failed to parse field [a]", "failed to parse field [b]"),
            ("400 no", "413 no"),
            ("400: no", "413: no"),
            ("it's too long", "it's too old"),
        ] {
            assert!(!same(one, other), "{one} / {other}");
        }
    }

    #[test]
    fn a_hundred_thousand_answers_take_no_more_than_their_bound() {
        let mut groups = AnswerGroups::default();
        for at in 0..100_000_u32 {
            // Words of letters only, so that no two answers are the same.
            let word: String = at.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
            let wanted = groups.count(("a", "o"), &letter(&word.repeat(4), at.into()), 10);
            assert!(wanted || at as usize >= MOST);
        }
        assert_eq!((groups.groups.len(), groups.places.len()), (MOST + 1, MOST + 1));
        let table = groups.table();
        assert!(table.starts_with("99,800 of a to o (974 KiB): other answers\n"), "{table:.200}");
    }

    #[test]
    fn a_group_has_its_times_and_a_few_examples_and_no_control_character() {
        let mut groups = AnswerGroups::default();
        let answer = "400 no \u{1b}[2J\u{202e}evil \u{200b}";
        for at in [2_000_000_000, 1_000_000_000, 5_000_000_000, 4_000_000_000] {
            let letter = letter(answer, at);
            if groups.count(("api", "search"), &letter, 512) {
                let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete",
                    "requestReceivedTimestamp":"2026-11-21T07:30:00Z","stageTimestamp":"2026-11-21T07:30:00Z","verb":"get",
                    "user":{"username":"m\u001b[31mal\u202e"},"objectRef":{"resource":"pods"}}"#;
                let line = line.replace('\n', "");
                groups.example(("api", "search"), StoredDeadLetter { letter, line: line.into() });
            }
        }
        let table = groups.table();
        let hidden = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{200b}".contains(c);
        assert!(!table.contains(hidden), "{table:?}");
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "4 of api to search (2 KiB): 400 no  [2J evil");
        assert_eq!(
            lines[1],
            "  first refused 1970-01-01T00:00:01Z, last refused 1970-01-01T00:00:05Z"
        );
        assert_eq!(lines.len(), 2 + EXAMPLES, "{table}");
        assert!(lines[2].contains("  m [31mal ") && lines[2].contains("pods"), "{table}");
    }
}
