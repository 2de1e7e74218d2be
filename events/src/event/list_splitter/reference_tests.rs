//! A slow splitter for tests and fuzzing: it has `serde_json` parse the body, and looks at single bytes for the rest.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ListSplitter;

/// What the tests compare: the lines, the number of events, and the place of the first fault.
#[derive(Debug, Default, Eq, PartialEq)]
pub(in crate::event) struct SplitFound {
    pub(in crate::event) lines: Vec<u8>,
    pub(in crate::event) events: u64,
    pub(in crate::event) fault: Option<u64>,
}

/// The first two bytes choose how the rest is cut into pieces. However it is cut, the splitter has to find what the
/// slow one finds. Returns what that is.
pub(in crate::event) fn compare(data: &[u8]) -> Option<SplitFound> {
    let ([most, seed], body) = data.split_first_chunk()?;
    let expected = slowly(body);
    let most = usize::from(*most) + 1;
    assert_eq!(fast(body, |_| body.len().max(1)), expected, "{}", String::from_utf8_lossy(body));
    assert_eq!(
        fast(body, |index| 1 + (index + 1).wrapping_mul(usize::from(*seed) * 2 + 1) % most),
        expected,
        "{}",
        String::from_utf8_lossy(body)
    );
    for line in expected.lines.split_inclusive(|byte| *byte == b'\n') {
        let Some((b'\n', text)) = line.split_last() else { panic!("a line without an end") };
        assert!(text.starts_with(b"{") && !text.iter().any(|byte| *byte < b' '));
    }
    Some(expected)
}

/// What the splitter finds if piece number `n` has `length(n)` bytes.
pub(super) fn fast(body: &[u8], length: impl Fn(usize) -> usize) -> SplitFound {
    let (mut splitter, mut all, mut lines) = (ListSplitter::default(), Vec::new(), Vec::new());
    let (mut rest, mut index) = (body, 0);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(length(index).min(rest.len()));
        splitter.push(piece, &mut lines);
        if index % 3 == 0 {
            all.append(&mut lines);
        }
        (rest, index) = (behind, index + 1);
    }
    let split = splitter.finish(&mut lines);
    all.append(&mut lines);
    SplitFound { lines: all, events: split.events, fault: split.unreadable.map(|fault| fault.at) }
}

/// What the splitter should find.
pub(super) fn slowly(body: &[u8]) -> SplitFound {
    // `serde_json` refuses broken UTF-8, which the splitter accepts. A letter instead makes no other difference.
    let text: String =
        body.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { 'x' }).collect();
    let mut slow = SlowSplitter { body, readable: body.len(), found: SplitFound::default() };
    let begin = text.len() - text.trim_start_matches(BLANKS).len();
    if !text[begin..].starts_with(['{', '[']) {
        return SplitFound { fault: Some(begin as u64), ..SplitFound::default() };
    }
    if serde_json::from_str::<&RawValue>(&text).is_ok() {
        slow.document(&text);
        return slow.found;
    }
    // The longest beginning that some continuation makes valid.
    let (mut good, mut bad) = (begin + 1, text.len() + 1);
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        let whole = completed(&text[..middle]);
        *if serde_json::from_str::<&RawValue>(&whole).is_ok() { &mut good } else { &mut bad } =
            middle;
    }
    slow.readable = good;
    slow.document(&completed(&text[..good]));
    slow.fault(good);
    slow.found
}

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];
const DECIDED_AFTER: usize = 1 << 16;
const LONGEST_NAME: usize = 64;
const VERSION: &[u8] = b"audit.k8s.io/v1";

struct SlowSplitter<'a> {
    body: &'a [u8],
    /// How many bytes of it are readable. What was added behind them counts for nothing.
    readable: usize,
    found: SplitFound,
}

impl<'a> SlowSplitter<'a> {
    fn document(&mut self, text: &str) {
        // A piece of the text says by its address where it is.
        let place = |value: &str| value.as_ptr() as usize - text.as_ptr() as usize;
        let value = text.trim_matches(BLANKS);
        if value.starts_with('{') {
            self.object(value, &place);
        } else {
            for element in elements(value) {
                if element.get().starts_with('{') {
                    self.object(element.get(), &place);
                } else {
                    self.fault(place(element.get()));
                }
            }
        }
    }

    fn object(&mut self, object: &str, place: &impl Fn(&str) -> usize) {
        let start = place(object);
        let (mut kind, mut version, mut list, mut event) = (false, false, false, false);
        let mut of_list = VERSION.to_vec();
        for (key, value) in &members(object) {
            let (key, value) = (key.get(), value.get());
            let early = |at: usize| at - start <= DECIDED_AFTER;
            let place_of_quote = place(key) + key.len() - 1;
            let key = name(key);
            let value_end = place(value) + value.len() - 1;
            let string = value.starts_with('"');
            if key == "kind" {
                kind |= early(place_of_quote);
            } else if key == "apiVersion" {
                version |= early(place_of_quote);
            }
            if !list && !event {
                match key.as_str() {
                    "kind" if string && early(value_end) && value != "\"\"" => {
                        list = name(value) == "EventList";
                        event = !list;
                    }
                    "items" if early(place(value)) => {
                        list = value.starts_with(['[', 'n']);
                        event = !list;
                    }
                    _ => {}
                }
            }
            if key == "apiVersion" && string && (list || early(value_end)) {
                let inside = self.original(place(value) + 1..value_end);
                let given = !inside.is_empty() && inside.len() <= LONGEST_NAME;
                of_list = if given { inside } else { VERSION }.to_vec();
            } else if list && key == "items" && value.starts_with('[') {
                for element in elements(value) {
                    if element.get().starts_with('{') {
                        self.listed(element.get(), &of_list, place);
                    } else {
                        self.fault(place(element.get()));
                    }
                }
            } else if list && key == "items" && !value.starts_with('n') {
                self.fault(place(value));
            }
        }
        if !list {
            self.line(start..start + object.len(), kind, version, VERSION);
        }
    }
    /// An item of a list with this version.
    fn listed(&mut self, item: &str, version: &[u8], place: &impl Fn(&str) -> usize) {
        let start = place(item);
        let has = |wanted: &str| {
            members(item).iter().any(|(key, _)| {
                let quote = place(key.get()) + key.get().len() - 1;
                name(key.get()) == wanted && quote - start <= DECIDED_AFTER
            })
        };
        self.line(start..start + item.len(), has("kind"), has("apiVersion"), version);
    }

    /// The item at this place of the body becomes a line.
    fn line(&mut self, at: Range<usize>, kind: bool, version: bool, of_list: &[u8]) {
        let whole = at.end <= self.readable;
        let item = compacted(self.original(at.start..at.end.min(self.readable)));
        let mut front = Vec::new();
        if !kind {
            front.push([br#""kind":"Event""#, &b""[..]].concat());
        }
        if !version {
            front.push([br#""apiVersion":""#, of_list, b"\""].concat());
        }
        if item.len() > 1 && item[1] != b'}' {
            front.push(item[1..].to_vec());
        }
        let mut line = [b"{", front.join(&b","[..]).as_slice()].concat();
        if item == b"{}" {
            line.push(b'}');
        }
        self.found.events += u64::from(whole);
        if !whole && line.ends_with(b"}") {
            line.push(b',');
        }
        self.found.lines.extend_from_slice(&line);
        self.found.lines.push(b'\n');
    }

    /// A fault at this place; the first one counts.
    fn fault(&mut self, at: usize) {
        if at <= self.readable {
            let at = at as u64;
            self.found.fault = Some(self.found.fault.map_or(at, |first| first.min(at)));
        }
    }

    fn original(&self, at: Range<usize>) -> &'a [u8] {
        self.body.get(at).unwrap_or_default()
    }
}

/// The text of a string with quotes; empty if its escapes are no Unicode.
fn name(string: &str) -> String {
    let short = string.len() <= LONGEST_NAME + 2;
    short.then(|| serde_json::from_str(string).ok()).flatten().unwrap_or_default()
}

/// Without the blanks between tokens.
fn compacted(text: &[u8]) -> Vec<u8> {
    let (mut string, mut escaped) = (false, false);
    let keep = |byte: &&u8| {
        let escape = std::mem::take(&mut escaped);
        match byte {
            b'"' if !escape => string = !string,
            b'\\' if string => escaped = !escape,
            _ => {}
        }
        string || !b" \t\n\r".contains(byte)
    };
    text.iter().filter(keep).copied().collect()
}

/// Something valid that begins with the text, if there is anything. What is added never completes a name.
fn completed(text: &str) -> String {
    let mut walk = Completion::default();
    let mut begin = None;
    for (at, byte) in text.bytes().enumerate() {
        let scalar = walk.string.is_none() && !b" \t\n\r{}[]:,\"".contains(&byte);
        begin = if scalar { begin.or(Some(at)) } else { None };
        walk.step(byte);
    }
    let mut whole = text.to_owned();
    if let Some(string) = walk.string {
        whole += match string {
            InString::Plain => "~\"",
            InString::Escape => "n~\"",
            InString::Digits(4) => "0000~\"",
            InString::Digits(3) => "000~\"",
            InString::Digits(2) => "00~\"",
            InString::Digits(_) => "0~\"",
        };
    }
    if let Some(begin) = begin {
        let scalar = &text[begin..];
        let word = ["true", "false", "null"].into_iter().find(|word| word.starts_with(scalar));
        match word {
            Some(word) => whole += &word[scalar.len()..],
            None if scalar.ends_with(['-', '+', '.', 'e', 'E']) => whole.push('0'),
            None => {}
        }
    }
    whole += match walk.next {
        Expected::Key => "\"~\":0",
        Expected::Colon => ":0",
        Expected::Value => "0",
        Expected::End => "",
    };
    whole.extend(walk.open.iter().rev());
    whole
}

/// Where a text that may be continued stands.
#[derive(Default)]
struct Completion {
    string: Option<InString>,
    /// The brackets that have to follow, innermost last.
    open: Vec<char>,
    next: Expected,
}

#[derive(Clone, Copy)]
enum InString {
    Plain,
    Escape,
    /// So many digits have to follow.
    Digits(u8),
}

/// What has to come before the next closing bracket.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Expected {
    Key,
    Colon,
    Value,
    #[default]
    End,
}

impl Completion {
    fn step(&mut self, byte: u8) {
        if let Some(string) = self.string {
            self.string = match (string, byte) {
                (InString::Plain, b'"') => None,
                (InString::Plain, b'\\') => Some(InString::Escape),
                (InString::Escape, b'u') => Some(InString::Digits(4)),
                (InString::Digits(2..), _) => match string {
                    InString::Digits(left) => Some(InString::Digits(left - 1)),
                    _ => None,
                },
                _ => Some(InString::Plain),
            };
            return;
        }
        let in_object = self.open.last() == Some(&'}');
        self.next = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => return,
            b'{' | b'[' => {
                self.open.push(if byte == b'{' { '}' } else { ']' });
                Expected::End
            }
            b'}' | b']' => {
                self.open.pop();
                Expected::End
            }
            b',' if in_object => Expected::Key,
            b',' | b':' => Expected::Value,
            b'"' => {
                self.string = Some(InString::Plain);
                let key = in_object && self.next != Expected::Value;
                if key { Expected::Colon } else { Expected::End }
            }
            _ => Expected::End,
        };
    }
}

fn elements(array: &str) -> Vec<&RawValue> {
    serde_json::from_str(array).unwrap_or_default()
}

fn members(object: &str) -> Vec<(&RawValue, &RawValue)> {
    serde_json::from_str(object).map(|RawMembers(all)| all).unwrap_or_default()
}

/// The members of an object in order, repeated ones included, as they are written.
struct RawMembers<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawMembersVisitor)
    }
}

struct RawMembersVisitor;

impl<'de> Visitor<'de> for RawMembersVisitor {
    type Value = RawMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMembers<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = map.next_entry()? {
            all.push(member);
        }
        Ok(RawMembers(all))
    }
}
