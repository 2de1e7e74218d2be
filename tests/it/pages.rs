//! The HTTP pages: `/livez`, `/readyz`, `/metrics`, `/status` and `/`.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::command::{Place, recorded};
use kit::{http, wait_for};

#[test]
fn probes_metrics_status_and_page_answer_while_it_runs() {
    let place = Place::following_recorded();
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    let get = |path: &str| http::get(&place.url(path)).unwrap();

    assert_eq!((get("/livez").status, get("/livez").text().as_str()), (200, "ok\n"));
    assert_eq!((get("/readyz").status, get("/readyz").text().as_str()), (200, "ok\n"));
    let verbose = get("/readyz?verbose").text();
    assert!(verbose.contains("[+]output events of input recorded ok"), "{verbose}");

    let series =
        r#"auditrail_output_events_total{input="recorded",output="events",result="delivered"}"#;
    let metrics = wait_for("every event to be counted", Duration::from_secs(10), || {
        let text = String::from_utf8(get("/metrics").body).unwrap();
        if text.contains(&format!("{series} 4900\n")) { Ok(text) } else { Err(text) }
    });
    let bytes = recorded().len();
    assert!(
        metrics.contains(&format!("auditrail_input_bytes_total{{input=\"recorded\"}} {bytes}\n"))
    );

    let status = get("/status").json().unwrap();
    assert_eq!((&status["ready"], &status["node"]), (&true.into(), &"cp-1".into()));
    let page = get("/");
    assert!(page.status == 200 && page.text().contains("<html"), "{}", page.text());
    assert_eq!(get("/nothing").status, 404);
    assert!(running.end(Signal::TERM).0.success());
}

#[test]
fn a_log_that_is_missing_is_waited_for_and_delivered_once_it_is_there() {
    let place = Place::following_recorded();
    let log = place.path("later/audit.log");
    place.configure("cp-1", &log, place.port);
    let running = place.start();
    wait_for("/readyz to be red", Duration::from_secs(10), || {
        let answer = http::get(&place.url("/readyz"))?;
        if answer.status == 503 { Ok(()) } else { Err(answer.text()) }
    });
    assert!(!log.try_exists().unwrap(), "it made the log itself");
    fs::create_dir(log.parent().unwrap()).unwrap();
    fs::write(&log, recorded()).unwrap();
    place.wait_for_bytes(recorded().len());
    assert_eq!(http::get(&place.url("/readyz")).unwrap().status, 200);
    assert!(running.end(Signal::TERM).0.success());
}

#[test]
fn a_disk_without_room_turns_readyz_red_and_says_what_to_do() {
    let place = Place::following_recorded();
    let text = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), text.replace("\"1%\"", "\"100%\"")).unwrap();
    let running = place.start();
    let said = wait_for("/readyz to be red", Duration::from_secs(10), || {
        let answer = http::get(&place.url("/readyz"))?;
        if answer.status == 503 { Ok(answer.text()) } else { Err(answer.text()) }
    });
    assert!(
        said.contains("the disk budget is spent") && said.contains("`disk.min_free`"),
        "{said}"
    );
    // Only readiness fails, to alert the operator. The agent is alive and keeps delivering.
    assert_eq!(http::get(&place.url("/livez")).unwrap().status, 200);
    place.wait_for_bytes(recorded().len());
    assert!(running.end(Signal::TERM).0.success());
}
