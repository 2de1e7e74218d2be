//! The page while it updates itself: what changes is shown, and what the reader does stays.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::browser::Browser;
use crate::scene::Scene;

/// Waits until the page has updated itself once more.
fn next_update(browser: &mut Browser) {
    browser.value("window.before = document.querySelector('.updated time').dateTime");
    browser.until("document.querySelector('.updated time').dateTime !== window.before");
}

#[test]
fn an_update_changes_the_values_and_leaves_scroll_selection_focus_and_details() {
    let mut scene = Scene::new();
    scene.write_for(Duration::from_secs(1));
    let mut browser = Browser::start();
    browser.ask("open", json!({"url": scene.url(), "width": 390}));
    let reader = "
        window.sameDocument = true;
        document.querySelector('details').open = true;
        document.querySelector('summary').focus();
        const text = document.querySelector('#configuration').firstChild;
        const range = document.createRange();
        range.setStart(text, 2);
        range.setEnd(document.querySelector('section[aria-labelledby=configuration] .command').lastChild, 5);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        scrollTo(0, 700);
        window.row = document.querySelector('#pair-0');
        window.seen = document.elementFromPoint(100, 400);
    ";
    let before = browser.value(&format!(
        "(() => {{ {reader} return [getSelection().toString(), Math.round(seen.getBoundingClientRect().top), row.innerText]; }})()"
    ));
    scene.write(321);
    next_update(&mut browser);
    next_update(&mut browser);
    let after = browser.value("[getSelection().toString(), Math.round(window.seen.getBoundingClientRect().top), window.row.innerText]");
    assert_eq!((&after[0], &after[1]), (&before[0], &before[1]));
    assert!(before[0].as_str().unwrap().len() > 50, "{before}");
    assert_ne!(after[2], before[2], "the row shows what was delivered");
    let kept = "[window.sameDocument, document.querySelector('details').open, document.activeElement.tagName, window.row.isConnected]";
    assert_eq!(browser.value(kept), json!([true, true, "SUMMARY", true]));
    assert_eq!(browser.ask("faults", json!({})), json!([]));
}

#[test]
fn a_selection_within_a_value_that_changes_stays_and_another_version_of_the_agent_loads_its_own_page()
 {
    let scene = Scene::new();
    let mut browser = Browser::start();
    browser.open(&scene.url());
    let select = "
        const text = document.querySelector('.updated time').firstChild;
        getSelection().setBaseAndExtent(text, 11, text, 19);
        window.sameDocument = true;
        return getSelection().toString();
    ";
    let selected = browser.value(&format!("(() => {{ {select} }})()"));
    assert_eq!(selected.as_str().unwrap().len(), "12:00:00".len());
    next_update(&mut browser);
    assert_eq!(browser.value("getSelection().toString()"), selected);
    browser.value("getSelection().removeAllRanges()");
    next_update(&mut browser);
    let shown = "document.querySelector('.updated time').innerText.includes";
    browser.until(&format!("!{shown}({selected})"));

    browser.value("document.getElementById('page').dataset.build = 'of another version'");
    browser.until("window.sameDocument === undefined && document.readyState === 'complete'");
    assert_eq!(browser.ask("faults", json!({})), json!([]));
}

#[test]
fn a_new_verdict_replaces_the_old_one_and_only_its_word_is_announced() {
    let mut scene = Scene::new();
    let mut browser = Browser::start();
    browser.open(&scene.url());
    let watch = "
        window.said = [];
        new MutationObserver(() => window.said.push(document.getElementById('told').innerText))
            .observe(document.getElementById('told'), {subtree: true, childList: true, characterData: true});
    ";
    browser.value(&format!("(() => {{ {watch} }})()"));
    scene.write(5);
    next_update(&mut browser);
    next_update(&mut browser);
    assert_eq!(
        browser.value("window.said"),
        json!([]),
        "nothing is announced while nothing changes"
    );
    scene.search.state().down = Some(503);
    scene.write(5);
    browser.until("document.querySelector('.verdict').dataset.state === 'stopped'");
    let said = browser.value("window.said.at(-1)");
    assert!(said.as_str().unwrap().starts_with("Stopped"), "{said}");
    assert_eq!(browser.value("document.title"), "Stopped: cp-1 · auditrail");
    let live = "[...document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=log]')].map(one => one.id)";
    assert_eq!(browser.value(live), json!(["told"]));
    scene.search.state().down = None;
    browser.until("document.querySelector('.verdict').dataset.state === 'whole'");
    assert_eq!(browser.ask("faults", json!({})), json!([]));
}

#[test]
fn an_agent_that_hangs_does_not_leave_an_old_verdict_unmarked() {
    let scene = Scene::new();
    let mut browser = Browser::start();
    browser.open(&scene.url());
    let process = Pid::from_raw(i32::try_from(scene.agent.id()).unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    browser.until("document.getElementById('unanswered')");
    let note = browser.text("#unanswered");
    assert!(note.starts_with("No answer from the agent since ") && note.contains(" UTC"), "{note}");
    let title = browser.value("document.title");
    assert!(title.as_str().unwrap().starts_with("No answer: "), "{title}");
    let (code, said) = scene.agent.probe(&["ready", "--timeout", "300ms"]);
    assert_eq!((code, said.as_str()), (Some(1), "the agent does not answer within 300ms\n"));
    kill_process(process, Signal::CONT).unwrap();
    browser.until("!document.getElementById('unanswered')");
    assert_eq!(browser.value("document.title"), "Whole: cp-1 · auditrail");
}

#[test]
fn a_keyboard_reaches_everything_and_pauses_the_updates() {
    let mut scene = Scene::new();
    let mut browser = Browser::start();
    browser.open(&scene.url());
    let mut reached = Vec::new();
    for _ in 0..8 {
        browser.ask("press", json!({"key": "Tab"}));
        let focus = "document.activeElement.innerText + ' ' + getComputedStyle(document.activeElement).outlineStyle";
        reached.push(browser.value(focus).as_str().unwrap().to_owned());
    }
    let expected =
        ["Reload", "Pause", "The same as a table", "metrics", "readyz", "livez", "status as JSON"];
    for (reached, expected) in reached.iter().zip(expected) {
        assert_eq!(*reached, format!("{expected} solid"));
    }
    browser.value("document.getElementById('pause').focus()");
    browser.ask("press", json!({"key": "Enter"}));
    let pressed = "[document.getElementById('pause').getAttribute('aria-pressed'), document.getElementById('pause').innerText]";
    assert_eq!(browser.value(pressed), json!(["true", "Paused"]));
    let time = browser.value("document.querySelector('.updated time').dateTime");
    scene.write(3);
    std::thread::sleep(Duration::from_secs(6)); // Longer than the time between two updates.
    assert_eq!(browser.value("document.querySelector('.updated time').dateTime"), time);
    browser.ask("press", json!({"key": "Enter"}));
    browser.until("document.querySelector('.updated time').dateTime !== window.never && document.getElementById('pause').innerText === 'Pause'");
    next_update(&mut browser);
    // Landmarks, one first heading, and a name for every table.
    let outline = "[document.querySelectorAll('header, main, footer, nav').length, document.querySelectorAll('h1').length, [...document.querySelectorAll('table')].every(one => one.getAttribute('aria-label') && one.querySelector('th[scope=col]'))]";
    assert_eq!(browser.value(outline), json!([4, 1, true]));
}
