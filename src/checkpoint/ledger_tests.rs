//! The ledger: when a pipeline may send, and how long scopes and gaps are kept.

use std::time::Duration;

use super::super::{ALL, RESERVE};
use super::*;
use crate::event::{Extent, GapPlace};

fn ledger(reserved: u64) -> Ledger {
    let pair = Pair { reserved, scopes: vec!["old".into()], ..Pair::default() };
    Ledger::new(pair, "new".into(), None, Arc::default())
}

fn advance(ledger: &Ledger, bytes: u64) {
    ledger.advance(Fingerprint([1; 16]), Progress::default(), bytes, None);
}

#[tokio::test]
async fn nothing_is_sent_before_it_is_written_down_that_it_may_be() {
    let ledger = ledger(0);
    let wait = tokio::time::timeout(Duration::from_millis(20), ledger.granted(10));
    assert!(wait.await.is_err());
    assert!(ledger.is_due() && ledger.runs_short());
    let entry = ledger.entry();
    ledger.saved(&entry);
    assert!(!ledger.is_due() && !ledger.runs_short());
    ledger.granted(entry.pair.reserved).await;
    let wait =
        tokio::time::timeout(Duration::from_millis(20), ledger.granted(entry.pair.reserved + 1));
    assert!(wait.await.is_err());
}

#[test]
fn the_reservation_runs_short_when_half_is_used_and_a_save_would_add_to_it() {
    let ledger = ledger(0);
    ledger.saved(&ledger.entry());
    assert!(ledger.is_granted(RESERVE / 2 + 1));
    // Nothing is acknowledged, so a save would reserve no more than is reserved already.
    assert!(!ledger.runs_short());
    advance(&ledger, RESERVE / 4 - 1);
    assert!(!ledger.runs_short());
    advance(&ledger, 1);
    assert!(ledger.runs_short());
    ledger.saved(&ledger.entry());
    assert!(!ledger.runs_short() && ledger.is_granted(RESERVE + RESERVE / 4));
}

#[test]
fn a_gap_that_waits_to_be_written_down_hurries_nobody() {
    let ledger = ledger(0);
    ledger.saved(&ledger.entry());
    ledger.enter_gap(gap(5));
    assert!(ledger.is_due() && !ledger.runs_short());
}

#[test]
fn what_an_earlier_process_may_have_sent_stays_in_doubt_until_it_is_passed() {
    let ledger = ledger(RESERVE * 3);
    advance(&ledger, RESERVE);
    let entry = ledger.entry();
    assert_eq!(entry.pair.reserved, RESERVE * 2);
    assert_eq!(entry.pair.scopes, ["old", "new"]);
    advance(&ledger, RESERVE * 2);
    assert_eq!(ledger.entry().pair.reserved, RESERVE);
    assert_eq!(ledger.entry().pair.scopes, ["new"]);
}

#[test]
fn a_save_that_reserves_less_than_the_one_before_takes_the_rest_back_before_it_is_written() {
    let ledger = ledger(ALL);
    ledger.saved(&ledger.entry());
    assert!(ledger.is_granted(RESERVE * 2));
    ledger.doubt_ends(0);
    // Bytes that were granted already may be in flight: the next save covers them, and nothing more is granted
    // meanwhile.
    assert_eq!(ledger.entry().pair.reserved, RESERVE * 2);
    assert!(!ledger.is_granted(RESERVE * 2 + 1));
    advance(&ledger, RESERVE * 2);
    assert_eq!(ledger.entry().pair.reserved, RESERVE);
}

#[test]
fn a_doubt_without_bound_lasts_until_all_that_it_covers_is_acknowledged_also_over_a_clean_shutdown()
{
    let ledger = ledger(ALL);
    advance(&ledger, 3);
    ledger.settle();
    assert_eq!(ledger.entry().pair.reserved, ALL);
    // Seven bytes have been handed out, four of them have no acknowledgement yet.
    ledger.doubt_ends(7);
    ledger.settle();
    assert_eq!(ledger.entry().pair.reserved, 4);
    assert_eq!(ledger.entry().pair.scopes, ["old", "new"]);
    advance(&ledger, 4);
    assert_eq!(ledger.entry().pair.reserved, 0);
    ledger.doubt_all();
    assert_eq!(ledger.entry().pair.reserved, ALL);
}

fn gap(end: u64) -> GapRecord {
    let generation = Fingerprint([1; 16]);
    let (offset, extent, reason) = (0, Extent::To(end), "torn_line".into());
    let place = GapPlace { generation, altered: 0, offset, extent, reason };
    GapRecord { id: Fingerprint([9; 16]), place, line: String::new(), delivered: false }
}

#[tokio::test]
async fn a_gap_may_be_sent_once_it_is_written_down() {
    let ledger = ledger(0);
    ledger.saved(&ledger.entry());
    let early = ledger.entry();
    ledger.enter_gap(gap(5));
    ledger.saved(&early);
    let wait = tokio::time::timeout(Duration::from_millis(20), ledger.gaps_written());
    assert!(wait.await.is_err());
    let entry = ledger.entry();
    assert_eq!(entry.pair.gaps, [gap(5)]);
    ledger.saved(&entry);
    ledger.gaps_written().await;
}

#[test]
fn a_gap_is_kept_until_it_is_delivered_and_the_cursor_has_passed_it() {
    let at = |offset| Progress { offset, ..Progress::default() };
    let fingerprint = Fingerprint([1; 16]);
    for delivered_first in [true, false] {
        let ledger = ledger(0);
        ledger.enter_gap(gap(5));
        if delivered_first {
            ledger.gaps_delivered(&[Fingerprint([9; 16])]);
            ledger.advance(fingerprint, at(4), 4, None);
        } else {
            ledger.advance(fingerprint, at(5), 5, None);
        }
        assert_eq!(ledger.entry().pair.gaps.len(), 1);
        assert_eq!(ledger.gaps_to_send(), usize::from(!delivered_first));
        if delivered_first {
            ledger.advance(fingerprint, at(5), 1, None);
        } else {
            ledger.gaps_delivered(&[Fingerprint([9; 16])]);
        }
        assert_eq!(ledger.entry().pair.gaps.len(), 0);
    }
}

#[test]
fn a_gap_whose_generation_is_forgotten_is_forgotten_when_it_is_delivered() {
    let ledger = ledger(0);
    ledger.enter_gap(gap(5));
    ledger.forget(|_| true);
    assert_eq!(ledger.entry().pair.gaps.len(), 1);
    ledger.gaps_delivered(&[Fingerprint([9; 16])]);
    ledger.forget(|_| true);
    assert_eq!(ledger.entry().pair.gaps.len(), 0);
}

#[test]
fn after_a_clean_end_nothing_is_in_doubt() {
    let ledger = ledger(5);
    ledger.entry();
    advance(&ledger, 5);
    ledger.settle();
    assert_eq!(ledger.entry().pair.reserved, 0);
}

fn one_by_one(window: Option<Duration>) -> Ledger {
    let pair = Pair { reserved: 7, ..Pair::default() };
    let ledger = Ledger::one_by_one(pair, window, Arc::default());
    assert!(!ledger.is_granted(0), "the first checkpoint is not written yet");
    ledger.saved(&ledger.entry());
    ledger
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_next_request_waits_until_the_last_one_is_in_a_checkpoint() {
    let ledger = one_by_one(None);
    assert!(ledger.is_granted(1 << 40));
    let before = ledger.entry();
    assert_eq!(before.pair.reserved, 0, "nothing is ever looked up");
    advance(&ledger, 10);
    ledger.saved(&before);
    assert!(!ledger.is_granted(1), "that checkpoint does not hold the request");
    let wait = tokio::time::timeout(Duration::from_millis(20), ledger.granted(20));
    assert!(wait.await.is_err() && ledger.runs_short(), "it asks for a checkpoint at once");
    ledger.saved(&ledger.entry());
    ledger.granted(20).await;
    // A gap is a request, too, also where it moves no cursor.
    ledger.enter_gap(gap(5));
    ledger.saved(&ledger.entry());
    ledger.gaps_written().await;
    ledger.gaps_delivered(&[gap(5).id]);
    assert!(!ledger.is_granted(1));
    ledger.saved(&ledger.entry());
    assert!(ledger.is_granted(1));
}

#[test]
fn a_resend_window_is_in_the_checkpoint_while_it_is_not_empty() {
    let at = |offset| Progress { offset, ..Progress::default() };
    let move_to = |ledger: &Ledger, offset| {
        ledger.advance(Fingerprint([1; 16]), at(offset), 1, None);
    };
    let ledger = one_by_one(Some(Duration::from_mins(1)));
    assert_eq!((ledger.resend_from(), ledger.entry().pair.resend), (None, None));
    move_to(&ledger, 10);
    move_to(&ledger, 20);
    let start = ledger.resend_from().unwrap();
    assert_eq!(start, Cursor::default());
    let saved = ledger.entry().pair;
    assert_eq!((saved.needed(), saved.resend.as_ref()), (&start, Some(&start)));
    // After a restart the window begins where it began.
    let later = Ledger::one_by_one(saved, Some(Duration::from_mins(1)), Arc::default());
    assert_eq!(later.resend_from(), Some(start));
    later.go_back([(Fingerprint([1; 16]), at(5))].into());
    assert_eq!(
        (later.cursor().generations[&Fingerprint([1; 16])].offset, later.resend_from()),
        (5, None)
    );
    move_to(&later, 30);
    assert_eq!(later.resend_from().unwrap().generations[&Fingerprint([1; 16])].offset, 5);
}
