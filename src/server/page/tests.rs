use std::time::Duration;

use super::*;
use crate::telemetry::tests::{at, busy};
use crate::telemetry::{
    DeliveredUpTo, FindingKind, GapSeen, Identity, InForce, InputFinding, InputInForce,
    OutputInForce, SAMPLE_EVERY, Telemetry,
};

const MINUTE: Duration = Duration::from_mins(1);

fn page(telemetry: &Telemetry, seconds: i64) -> String {
    let snapshot = telemetry.public_snapshot(at(seconds), MINUTE);
    document(&PageData { snapshot: &snapshot, hour: &telemetry.last_hour(at(seconds)) })
}

#[test]
fn the_page_leads_with_the_verdict_and_shows_each_part_with_its_command() {
    let page = page(&busy(), 60);
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text} in\n{page}"));
    let order = [
        "<title>Stopped: cp-1 · auditrail</title>",
        "<strong>Stopped</strong>",
        "2025-11-21 07:58:55 UTC",
        "Output search of input apiserver has taken nothing for 2m 5s (connect: connection refused)",
        "<li>Output archive of input apiserver has stopped",
        "auditrail check<",
        "Is the API server still writing?",
        "id=\"outputs\"",
        "412,300",
        "audit.log at 48,211,033",
        "id=\"gaps\"",
        "torn_line",
        "auditrail verify<",
        "auditrail dead-letters list<",
        "id=\"errors\"",
    ];
    assert!(order.map(place).is_sorted(), "{:?}", order.map(place));
}

#[test]
fn the_fragment_is_the_part_of_the_page_that_changes_and_nothing_else() {
    let telemetry = busy();
    let snapshot = telemetry.public_snapshot(at(60), MINUTE);
    let data = PageData { snapshot: &snapshot, hour: &[] };
    let (document, fragment) = (document(&data), fragment(&data));
    assert!(document.contains(&fragment));
    assert!(fragment.starts_with("<div id=\"page\"") && !fragment.contains("<script"));
}

/// Gives every text that the page shows this value.
fn with_everywhere(evil: &str) -> String {
    let identity = Identity { node: evil.into(), cluster: Some(evil.into()), version: "0" };
    let telemetry = Telemetry::new(identity);
    let finding = InputFinding::failure(FindingKind::LogUnreadable, evil, evil);
    telemetry.input(evil).set_finding(finding.kind, Some(finding));
    let pair = telemetry.pair(evil, evil);
    pair.stopped(at(0), evil, evil);
    pair.set_letters(1, 1, 1, Some(at(0)));
    let file = Some(evil.into());
    pair.set_cursor(DeliveredUpTo { generation: [0; 16], file, offset: 0, event_time: None });
    pair.gap_seen(GapSeen {
        reason: evil.into(),
        file: evil.into(),
        bytes: 1,
        at_least: true,
        from: None,
        to: Some(at(0)),
        detected: at(0),
    });
    let text = || evil.to_owned();
    telemetry.set_in_force(InForce {
        file: text(),
        state_dir: text(),
        disk_max_bytes: 0,
        disk_min_free: text(),
        inputs: vec![InputInForce {
            name: text(),
            path: text(),
            hold_max_bytes: 1,
            hold_min_free: text(),
        }],
        outputs: vec![OutputInForce {
            name: text(),
            kind: text(),
            endpoints: vec![text()],
            policy_file: Some(text()),
            is_filtered: true,
            redaction: text(),
            max_event_bytes: Some(1),
        }],
    });
    telemetry.disk().save_failed(at(0), text());
    telemetry.disk().set_forged(Some(text()));
    telemetry.reload().failed(text());
    page(&telemetry, 1)
}

#[test]
fn nothing_that_a_back_end_or_an_operator_wrote_becomes_markup() {
    let plain = with_everywhere("word");
    let evil = with_everywhere("<script>alert(1)</script>\"' onload=x &amp; <img src=x>");
    let tags = |page: &str| page.matches('<').count();
    assert_eq!(tags(&evil), tags(&plain));
    assert_eq!(evil.matches("<script").count(), 1, "the page's own");
    assert!(!evil.contains("<img") && !evil.contains("\"' onload"), "{evil}");
    assert!(
        evil.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;' onload=x &amp;amp;"),
        "{evil}"
    );
}

#[test]
fn the_page_asks_nobody_else_for_anything() {
    let page = page(&busy(), 60);
    let without_namespace = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http://", "https://", "@import", "url(", "src=", " style="] {
        assert!(!without_namespace.contains(word), "{word}");
    }
    let (markup, _) = page.split_once("<script>").unwrap();
    let is_handler = |word: &&str| word.starts_with("on") && word.contains('=');
    assert_eq!(markup.split_whitespace().find(is_handler), None);
}

#[test]
fn the_policy_names_the_script_and_the_style_by_their_hashes_and_allows_nothing_inline() {
    let page = page(&busy(), 60);
    let between = |from: &str, to: &str| {
        page.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned()
    };
    for text in [between("<style>", "</style>"), between("<script>", "</script>")] {
        assert!(POLICY.contains(&hash(&text)), "{}", *POLICY);
    }
    assert!(!POLICY.contains("unsafe") && POLICY.starts_with("default-src 'none'"));
    // `echo -n 'alert(1)' | openssl dgst -sha256 -binary | base64`
    assert_eq!(hash("alert(1)"), "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=");
}

#[test]
fn a_busy_hour_is_a_chart_and_an_agent_that_just_started_says_so() {
    let telemetry = busy();
    assert!(page(&telemetry, 60).contains("No sample yet."));
    for sample in 0..5 {
        telemetry.sample(at(sample * 15), SAMPLE_EVERY);
    }
    assert_eq!(page(&telemetry, 60).matches("role=\"img\"").count(), 2);
}
