//! Wording that the page and the table share, so that one snapshot reads the same in both.

use std::time::Duration;

use crate::telemetry::{
    CursorView, InputFinding, InputState, InputView, PairState, PairView, Time, Writing, human,
};

/// `3s ago`; `never` if it has not happened.
pub(super) fn ago(time: Option<Time>, now: Time) -> String {
    time.map_or_else(|| "never".into(), |time| format!("{} ago", human::duration(now.since(time))))
}

/// One word for the state of a pipeline.
pub(super) fn pair_state(state: &PairState) -> &'static str {
    match state {
        PairState::Running => "running",
        PairState::Retrying { .. } => "retrying",
        PairState::Stopped { .. } => "stopped",
        PairState::Draining => "draining",
        PairState::NotRunning => "-",
    }
}

/// One word for the state of an input.
pub(super) fn input_state(state: &InputState) -> &'static str {
    match state {
        InputState::Ok => "readable",
        InputState::Missing { .. } => "missing",
        InputState::Unreadable { .. } => "unreadable",
    }
}

/// Age of the oldest event that is not acknowledged; `none` if there is none.
pub(super) fn lag(pair: &PairView) -> String {
    if pair.lag_bytes == 0 {
        return "none".into();
    }
    // A value that is not a duration can only come from a damaged answer.
    human::duration(Duration::try_from_secs_f64(pair.lag_seconds).unwrap_or_default())
}

/// Time until a backup that is not acknowledged is deleted; `-` if none is pending.
pub(super) fn loss_in(pair: &PairView) -> String {
    let left = pair.time_to_loss_seconds.map(Duration::try_from_secs_f64);
    left.map_or_else(|| "-".into(), |left| human::duration(left.unwrap_or_default()))
}

/// `audit.log at 48,211,033`.
pub(super) fn place(cursor: &CursorView) -> String {
    let file = cursor.file.as_deref().unwrap_or("a file that is not listed");
    format!("{} at {}", human::line(file, 200), human::count(cursor.offset))
}

/// `none`, or `2 (1.5 KiB)`.
pub(super) fn gaps(pair: &PairView) -> String {
    let (count, bytes) = pair.gaps.iter().fold((0_u64, 0_u64), |(count, bytes), gap| {
        (count.saturating_add(gap.count), bytes.saturating_add(gap.bytes))
    });
    if count == 0 {
        return "none".into();
    }
    format!("{} ({})", human::count(count), human::size(bytes))
}

/// `none`, or `2 (1.5 KiB)`; mentions damaged letters.
pub(super) fn letters(pair: &PairView) -> String {
    if pair.dead_letter_bytes == 0 {
        return "none".into();
    }
    let (count, size) = (human::count(pair.dead_letters), human::size(pair.dead_letter_bytes));
    match pair.dead_letters_damaged {
        0 => format!("{count} ({size})"),
        damaged => format!("{count} ({size}, {} damaged)", human::count(damaged)),
    }
}

/// What the operator should know or do about an input, the worst first.
pub(super) fn input_remarks(input: &InputView, now: Time) -> impl Iterator<Item = String> {
    let remark = |finding: &InputFinding| format!("{}: {}", finding.what, finding.hint);
    let silent = (input.writing(now) == Writing::Silent).then(|| {
        let last = ago(input.last_write, now);
        format!("the last write to the log was {last}: see that kube-apiserver runs")
    });
    input.findings.iter().map(remark).chain(silent)
}

/// What the operator should know or do about a pipeline.
pub(super) fn pair_remark(pair: &PairView, now: Time) -> Option<String> {
    match &pair.state {
        PairState::Running | PairState::Draining | PairState::NotRunning => None,
        PairState::Retrying { since, answer, .. } => Some(format!(
            "nothing taken for {}: {}",
            human::duration(now.since(*since)),
            human::line(answer, 300)
        )),
        PairState::Stopped { since, answer, hint } => Some(format!(
            "stopped {} ({}): {}",
            ago(Some(*since), now),
            human::line(answer, 300),
            human::line(hint, 300)
        )),
    }
}
