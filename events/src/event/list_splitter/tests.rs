use proptest::prelude::*;

use super::*;

/// What the splitter makes of a body that comes in one piece.
fn split(body: &[u8]) -> (Vec<u8>, SplitBody) {
    split_by(body, body.len().max(1))
}

/// What it makes of pieces of this length.
fn split_by(body: &[u8], length: usize) -> (Vec<u8>, SplitBody) {
    let (mut splitter, mut lines) = (ListSplitter::default(), Vec::new());
    body.chunks(length).for_each(|piece| splitter.push(piece, &mut lines));
    let split = splitter.finish(&mut lines);
    (lines, split)
}

/// The lines and the fault of a body, the same however it is cut.
#[track_caller]
fn check(body: impl AsRef<[u8]>, lines: &str, fault: Option<(u64, &str)>) {
    let body = body.as_ref();
    let whole = split(body);
    for length in [1, 2, 3, 7, 63, 64, 65] {
        assert_eq!(split_by(body, length), whole, "cut every {length} bytes");
    }
    let found = whole.1.unreadable.as_ref().map(|fault| (fault.at, fault.why));
    assert_eq!((String::from_utf8_lossy(&whole.0).as_ref(), found), (lines, fault));
}

#[test]
fn the_items_of_a_list_become_the_lines_of_the_log() {
    check(
        r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"level":"None"},{"a":[1, 2]}]}"#,
        "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"None\"}\n{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"a\":[1,2]}\n",
        None,
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_tokens_are_split_as_the_slow_splitter_does(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..40),
        cut in any::<[u8; 2]>(),
    ) {
        reference_tests::compare(&[&cut, parts.concat().as_bytes()].concat());
    }
}

const PARTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    " ",
    "\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"kind\"",
    "\"apiVersion\"",
    "\"items\"",
    "\"EventList\"",
    "\"Event\"",
    "\"audit.k8s.io/v1beta1\"",
    "null",
    "true",
    "false",
    "1",
    "-",
    ".5",
    "e+7",
    "0",
    "\\",
    "\\u006",
    "b",
    "\"k\\u0069nd\":",
    "\"items\":[",
    "{\"kind\":\"EventList\",\"items\":[",
    "{\"a\":1}",
    "[{",
    "\u{e9}",
];
