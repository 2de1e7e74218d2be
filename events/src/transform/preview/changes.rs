//! Finds the differences between two forms of an event, without showing a byte of the earlier form.

/// A removed range, its replacement, and the text around it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct PreviewChange {
    pub(super) left: String,
    pub(super) removed: usize,
    pub(super) added: String,
    pub(super) right: String,
}

/// Bytes shown on each side.
const AROUND: usize = 40;
/// Number of bytes that must agree before the two forms count as aligned again.
const ANCHOR: usize = 16;
/// How far to search the later form for such a match; replacements are short.
const ADDED: usize = 1024;

/// The first changes, from left to right. All text shown is from the later form.
pub(super) fn changes(before: &[u8], after: &[u8], most: usize) -> Vec<PreviewChange> {
    let mut found = Vec::new();
    let (mut at, mut to) = (0, 0);
    while found.len() < most {
        let same = before[at..].iter().zip(&after[to..]).take_while(|(a, b)| a == b).count();
        at += same;
        to += same;
        if at == before.len() && to == after.len() {
            break;
        }
        let (removed, added) = next(&before[at..], &after[to..]);
        found.push(PreviewChange {
            left: text(&after[to.saturating_sub(AROUND)..to]),
            removed,
            added: text(&after[to..to + added]),
            right: text(&after[to + added..after.len().min(to + added + AROUND)]),
        });
        at += removed;
        to += added;
    }
    found
}

/// The number of bytes to skip in each form until they agree again.
fn next(before: &[u8], after: &[u8]) -> (usize, usize) {
    let furthest = after.len().saturating_sub(ANCHOR).min(ADDED);
    for added in 0..=furthest {
        let anchor = &after[added..after.len().min(added + ANCHOR)];
        if anchor.len() == ANCHOR
            && let Some(removed) = memchr::memmem::find(before, anchor)
        {
            return (removed, added);
        }
    }
    // Too few bytes are left for a match, so the end is compared backwards.
    let same = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    (before.len() - same, after.len() - same)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn removed_added_and_replaced_stretches_are_told_apart() {
        let before = "the quick brown fox jumps over the lazy dog, and runs away from it at once";
        let check = |after: &str, expected: &[(usize, &str)]| {
            let found = changes(before.as_bytes(), after.as_bytes(), 9);
            let found: Vec<_> = found.iter().map(|one| (one.removed, &*one.added)).collect();
            assert_eq!(found, expected, "{after}");
        };
        check(before, &[]);
        check(&before.replace("quick brown ", ""), &[(12, "")]);
        check(&before.replace("brown", "red"), &[(5, "red")]);
        check(&before.replace("quick", "very quick"), &[(0, "very ")]);
        check(
            &before.replace("quick", "slow").replace("runs", "walks"),
            &[(5, "slow"), (3, "walk")],
        );
        check(&before[..60], &[(before.len() - 60, "")]);
    }

    proptest! {
        #[test]
        fn the_changes_lead_from_one_to_the_other(before in any::<Vec<u8>>(), after in any::<Vec<u8>>()) {
            let found = changes(&before, &after, usize::MAX);
            let removed: usize = found.iter().map(|change| change.removed).sum();
            prop_assert!(removed <= before.len());
            prop_assert_eq!(found.is_empty(), before == after);
        }
    }
}
