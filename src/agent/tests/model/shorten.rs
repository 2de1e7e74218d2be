//! Shortens a failing script as long as it still fails.
//!
//! Written by hand, since the same script need not fail each time: a step that seemed necessary before is left out
//! again.

use std::time::{Duration, Instant};

use super::step::{Script, Step};

/// The shortest script found in this time for which `fails` returns a reason.
pub(super) fn shorten(
    script: Script,
    why: String,
    time: Duration,
    fails: impl Fn(&Script) -> Option<String>,
) -> (Script, String) {
    let (mut found, begun) = ((script, why), Instant::now());
    let mut progress = true;
    while std::mem::take(&mut progress) {
        let mut length = found.0.steps.len().div_ceil(2);
        while length > 0 {
            let mut at = 0;
            while at < found.0.steps.len() {
                if begun.elapsed() > time {
                    return found;
                }
                let mut shorter = found.0.clone();
                shorter.steps.drain(at..found.0.steps.len().min(at + length));
                match fails(&shorter) {
                    Some(why) => (found, progress) = ((shorter, why), true),
                    None => at += length,
                }
            }
            length /= 2;
        }
        for simpler in simpler(&found.0) {
            if begun.elapsed() < time
                && let Some(why) = fails(&simpler)
            {
                (found, progress) = ((simpler, why), true);
                break;
            }
        }
    }
    found
}

/// Scripts with one thing less, or one number smaller.
fn simpler(script: &Script) -> Vec<Script> {
    let mut all = Vec::new();
    if script.outputs.len() > 1 {
        for at in 0..script.outputs.len() {
            let mut simpler = script.clone();
            simpler.outputs.remove(at);
            all.push(simpler);
        }
    }
    if script.in_flight > 1 {
        all.push(Script { in_flight: 1, ..script.clone() });
    }
    for (at, step) in script.steps.iter().enumerate() {
        let smaller = match *step {
            Step::Append(events) if events > 1 => Step::Append(events - 1),
            Step::Await(requests) if requests > 1 => Step::Await(requests - 1),
            _ => continue,
        };
        let mut simpler = script.clone();
        simpler.steps[at] = smaller;
        all.push(simpler);
    }
    all
}

#[test]
fn a_script_is_made_as_short_as_it_can_be_while_it_still_fails() {
    let steps = [2, 5, 4, 3, 1, 6].map(Step::Append).to_vec();
    let outputs = vec![super::step::Kind::Loki, super::step::Kind::Archive];
    let long = Script { outputs, batch: 1, in_flight: 3, steps };
    let fails = |script: &Script| {
        let events = script.steps.iter().map(|step| match step {
            Step::Append(events) => *events,
            _ => 0,
        });
        (events.sum::<u8>() > 6 && script.steps.len() > 1).then(|| "too many".to_owned())
    };
    let (short, _) = shorten(long, String::new(), Duration::from_secs(9), fails);
    let events: Vec<_> = short.steps;
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!((short.outputs.len(), short.in_flight), (1, 1));
}
