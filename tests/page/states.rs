//! Each state of the agent on the page: the verdict, what is behind it, and nothing that hinders anybody.

use std::fs;
use std::time::Duration;

use jiff::SignedDuration;
use kit::store::{Do, Refusal};
use serde_json::json;

use crate::browser::Browser;
use crate::scene::Scene;

/// Opens the page once it says this verdict, and looks at it everywhere. Every other place says the same.
fn shown(scene: &Scene, state: &str) -> Browser {
    scene.agent.wait_verdict(state);
    let mut browser = Browser::start();
    let answer = browser.open(&scene.url());
    assert_eq!(answer["status"], 200);
    let verdict = browser.value("document.querySelector('.verdict').dataset.state");
    assert_eq!(verdict, state);
    browser.look_everywhere(state);
    browser
}

#[test]
fn an_idle_agent_is_whole_and_says_so_in_the_title_too() {
    let scene = Scene::new();
    let mut browser = shown(&scene, "whole");
    assert_eq!(browser.value("document.title"), "Whole: cp-1 · auditrail");
    assert_eq!(browser.text("h1"), "auditrail cp-1");
    let answers = browser.text(".answers");
    assert!(answers.contains("still writing?\nYes\nlast write"), "{answers}");
    assert!(browser.text(".verdict").contains("Every output has acknowledged every event"));
    for heading in ["Gaps", "Dead letters", "Last errors"] {
        let script = format!(
            "[...document.querySelectorAll('section')].find(one => one.querySelector('h2')?.innerText === {heading:?}).innerText"
        );
        let text = browser.value(&script);
        assert!(text.as_str().unwrap().contains("None"), "{heading}: {text}");
    }
    let configuration = browser.text("section[aria-labelledby=configuration]");
    for known in [scene.loki.url.as_str(), "secrets are masked", "auditrail.toml"] {
        assert!(configuration.contains(known), "{known}: {configuration}");
    }
    assert!(browser.text("section[aria-labelledby=disk]").contains("of 1 GiB"));
}

#[test]
fn a_busy_agent_shows_throughput_and_lag_of_the_last_hour() {
    let mut scene = Scene::new();
    let mut browser = Browser::start();
    scene.write_for(Duration::from_secs(8));
    scene.search.state().always = Some(Do::TakeAfter(Duration::from_millis(700)));
    scene.write_for(Duration::from_secs(2));
    scene.search.state().always = None;
    scene.write_for(Duration::from_secs(5));
    browser.open(&scene.url());
    browser.picture("page-whole.png", 1280, 900, "light");
    let points = browser.value("document.querySelector('.plot .line').getAttribute('d').length");
    assert!(points.as_u64().unwrap() > 300, "{points}");
    let words = browser.value("document.querySelector('.plot svg').getAttribute('aria-label')");
    let words = words.as_str().unwrap();
    assert!(
        words.contains("per second over the last hour: now ") && !words.contains("at most 0/s"),
        "{words}"
    );
    assert_eq!(browser.value("document.querySelectorAll('details tbody tr').length"), 12);
    browser.look_everywhere("busy");
}

#[test]
fn a_back_end_that_is_down_stops_the_trail_with_its_class_and_the_command_to_type() {
    let mut scene = Scene::new();
    scene.write_for(Duration::from_secs(4));
    scene.loki.state().down = Some(503);
    scene.write_for(Duration::from_secs(7));
    let mut browser = shown(&scene, "stopped");
    let verdict = browser.text(".verdict");
    assert!(verdict.contains("Output loki of input apiserver has taken nothing for"), "{verdict}");
    assert!(verdict.contains("HTTP 503") && verdict.contains("auditrail check -c /"), "{verdict}");
    let row = browser.text("#pair-0");
    assert!(row.contains("loki") && row.contains("retrying"), "{row}");
    let errors = browser.text("section[aria-labelledby=errors]");
    assert!(errors.contains("server_error: HTTP 503") && errors.contains("s ago"), "{errors}");
    browser.picture("page-stopped.png", 1280, 900, "dark");
}

#[test]
fn a_gap_and_dead_letters_are_holes_with_their_time_and_what_to_do() {
    let mut scene = Scene::new();
    scene.write_for(Duration::from_secs(3));
    scene.log.append(&[&[0; 700][..], b"\n"].concat());
    scene.write(20);
    let mut browser = shown(&scene, "holes");
    let gaps = browser.text("section[aria-labelledby=gaps]");
    assert!(gaps.contains("nul_hole") && gaps.contains("auditrail verify -c /"), "{gaps}");
    assert!(browser.text("section[aria-labelledby=dead-letters]").contains("None."));
    drop(browser);

    scene.search.refuse(Refusal::Content, "made-125");
    scene.write(30);
    let mut refused = 0;
    kit::wait_for("an event to be refused", Duration::from_secs(20), || {
        refused = scene.agent.events("search", "refused");
        if refused > 0 {
            Ok(())
        } else {
            scene.search.refuse_if(Refusal::Content, |_| true);
            scene.write(1);
            Err("none".into())
        }
    });
    scene.search.refuse_nothing();
    scene.write(5);
    let mut browser = shown(&scene, "holes");
    let letters = browser.text("section[aria-labelledby=dead-letters]");
    for shown in
        ["search", "auditrail dead-letters list -c /", "auditrail dead-letters resend -c /"]
    {
        assert!(letters.contains(shown), "{shown}: {letters}");
    }
    browser.picture("page-holes.png", 390, 844, "light");
}

#[test]
fn a_delivery_that_is_late_is_behind_and_says_up_to_when_it_is_complete() {
    let mut scene = Scene::new();
    // What is written after the first request waits for minutes.
    scene.restart("max_bytes_per_second = \"1KiB\"\n");
    for minutes in [20, 19, 18] {
        scene.write_from(SignedDuration::from_mins(minutes), 200);
        // Each makes a request of its own.
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut browser = shown(&scene, "behind");
    let verdict = browser.text(".verdict");
    let complete = verdict.contains("Delivered up to 20");
    assert!(complete && verdict.contains("Output search"), "{verdict}");
}

#[test]
fn an_api_server_that_stopped_is_noticed_and_the_trail_stays_whole() {
    let scene = Scene::new();
    scene.age_log(Duration::from_mins(31));
    // A new name makes the agent list the directory now, and not within a minute.
    fs::write(scene.beside("notes"), "").unwrap();
    kit::wait_for("the silence to be noticed", Duration::from_secs(90), || {
        let verbose = scene.agent.page("/readyz?verbose")?.text();
        if verbose.contains("nothing was written to the log of apiserver for 31m") {
            Ok(())
        } else {
            Err(verbose)
        }
    });
    let (_, status, _) = scene.agent.command(&["status"]);
    assert!(status.contains("but nothing was written to the log of apiserver for 31m"), "{status}");
    let mut browser = shown(&scene, "whole");
    let answers = browser.text(".answers");
    assert!(answers.contains("still writing?\nNo\nnothing written for 31m"), "{answers}");
    assert!(browser.text(".verdict").contains("but nothing was written to the log of apiserver"));
}

/// What somebody may put into names of files and answers.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"' onload=x &amp; <script>alert(3)<";

#[test]
fn hostile_names_and_answers_stay_text_and_run_nothing() {
    let scene = Scene::in_folder(HOSTILE, "");
    fs::write(scene.beside(&format!("audit.log.{HOSTILE}.zst")), "x").unwrap();
    scene.loki.state().down = Some(401);
    let mut scene = scene;
    scene.write(3);
    let mut browser = shown(&scene, "stopped");
    let text = browser.text("#page");
    assert!(text.contains(&format!("{HOSTILE}/auditrail.toml")), "{text}");
    assert!(text.contains(&format!("audit.log.{HOSTILE}.zst")), "{text}");
    assert_eq!(
        browser.value("document.querySelectorAll('img, #page script, [onload], [onerror]').length"),
        0
    );
    // The command can be pasted into a shell as it is: the path is one word.
    let command = browser.text(".verdict code");
    let quoted = command.strip_prefix("auditrail check -c ").unwrap();
    let echoed = std::process::Command::new("sh")
        .args(["-c", &format!("printf %s {quoted}")])
        .output()
        .unwrap();
    let path = String::from_utf8(echoed.stdout).unwrap();
    assert!(path.ends_with(&format!("{HOSTILE}/auditrail.toml")), "{command}: {path}");
}

#[test]
fn without_scripts_the_page_is_complete_and_reloads_itself() {
    let scene = Scene::new();
    let mut browser = Browser::start();
    browser.ask("open", json!({"url": scene.url(), "scripts": false}));
    assert_eq!(browser.text(".verdict strong"), "Whole");
    assert_eq!(browser.value("document.querySelector('meta[http-equiv=refresh]').content"), "15");
    assert_eq!(browser.value("document.getElementById('pause').hidden"), true);
    assert_eq!(browser.text(".updated a"), "Reload");
    assert_eq!(browser.ask("faults", json!({})), json!([]));
}
