//! Start and shutdown: SIGINT, SIGTERM, SIGHUP, restarts, and the errors that keep the agent from starting.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use rustix::process::Signal;

use crate::command::{Place, recorded};
use kit::wait_for;

#[test]
fn ctrl_c_ends_it_well_with_the_recorded_log_delivered() {
    let place = Place::following_recorded();
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    let (status, said) = running.end(Signal::INT);
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("ended") && said.contains("clean=true"), "{said}");
    assert!(fs::read(place.out()).unwrap() == recorded(), "the bytes are not those recorded");
}

#[test]
fn sighup_does_not_end_it_and_doubles_nothing_and_sigterm_ends_it_well() {
    let place = Place::following_recorded();
    let running = place.start();
    running.signal(Signal::HUP);
    place.wait_for_bytes(recorded().len());
    let (status, said) = running.end(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("ended") && said.contains("clean=true"), "{said}");
    assert!(fs::read(place.out()).unwrap() == recorded(), "the bytes are not those recorded");
}

#[test]
fn started_again_it_has_nothing_to_do() {
    let place = Place::following_recorded();
    for round in 0..3 {
        let running = place.start();
        place.wait_for_bytes(recorded().len());
        // `status` names the file of the cursor although there is nothing to deliver.
        wait_for("the cursor to name its file", Duration::from_secs(20), || {
            let status = place.ask(&["status", "--json"]).expect(0).stdout;
            let named = status.contains("\"file\": \"audit.log\"");
            if named { Ok(()) } else { Err(format!("round {round}: {status}")) }
        });
        let (status, said) = running.end(Signal::TERM);
        assert!(status.success(), "{said}");
    }
    assert!(fs::read(place.out()).unwrap() == recorded(), "something came twice");
}

#[test]
fn a_second_agent_in_the_same_state_directory_is_refused() {
    let place = Place::following_recorded();
    let running = place.start();
    let ran = place.ask(&["run"]).expect(1);
    assert!(ran.stderr.contains("another auditrail uses"), "{}", ran.stderr);
    assert!(ran.stderr.contains(place.state_dir().to_str().unwrap()), "{}", ran.stderr);
    let (status, said) = running.end(Signal::TERM);
    assert!(status.success(), "{said}");
}

#[test]
fn another_name_for_the_node_is_refused_with_both_names() {
    let place = Place::following_recorded();
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    assert!(running.end(Signal::TERM).0.success());
    place.configure(
        "cp-2",
        &crate::command::root().join("etc/recorded/audit/audit.log"),
        place.port,
    );
    let ran = place.ask(&["run"]).expect(2);
    assert!(ran.stderr.contains("\"cp-1\"") && ran.stderr.contains("\"cp-2\""), "{}", ran.stderr);
    let ran = place.ask(&["check"]).expect(1);
    assert!(ran.stdout.contains("FAIL node"), "{}", ran.stdout);
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let place = Place::following_recorded();
    let _taken = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    let ran = place.ask(&["run"]).expect(1);
    let address = format!("cannot listen on 127.0.0.1:{}", place.port);
    assert!(ran.stderr.contains(&address), "{}", ran.stderr);
    assert!(ran.stderr.contains("free the port, or set `listen` in [server]"), "{}", ran.stderr);
    let ran = place.ask(&["check"]).expect(1);
    assert!(ran.stdout.contains("FAIL server"), "{}", ran.stdout);
}

#[test]
fn a_file_output_that_lost_lines_is_not_written_on() {
    let place = Place::following_recorded();
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    assert!(running.end(Signal::TERM).0.success());
    fs::write(place.out(), "short").unwrap();
    let ran = place.ask(&["run"]).expect(1);
    assert!(ran.stderr.contains("it holds 5 bytes"), "{}", ran.stderr);
    assert_eq!(fs::read(place.out()).unwrap(), b"short");
}
