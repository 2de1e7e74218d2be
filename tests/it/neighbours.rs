//! Hostile neighbours: a user who can write to the log's directory (links, FIFOs, decompression bombs), and a file
//! system that hangs (NFS).

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::SignedDuration;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use kit::agent::Agent;
use kit::events::{Expected, Maker, assert_exactly_once, expected, log_of};
use kit::{LogWriter, tables, wait_for};

const SECRET: &str = "root:$6$salt$of-a-file-that-only-root-may-read:19000::::::";

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

/// Appends 20 events to the log or a backup.
fn write(path: &Path, made: &mut Maker) -> Vec<Expected> {
    let events: Vec<_> = (0..20).map(|_| made.event(100)).collect();
    LogWriter::new(path).append(&log_of(&events));
    events
}

/// Waits until the output has exactly these events, each once.
fn arrive(archive: &Path, events: &[Expected]) {
    let lines = |text: &str| text.lines().filter(|line| line.contains("auditID")).count();
    wait_for("all events to arrive", Duration::from_mins(1), || {
        let found = lines(&fs::read_to_string(archive).unwrap_or_default());
        if found >= events.len() { Ok(()) } else { Err(format!("{found} of {}", events.len())) }
    });
    let text = fs::read(archive).unwrap();
    let found = expected(&text).into_iter().filter(|event| !event.audit_id.is_empty());
    assert_exactly_once(
        "the archive",
        found.map(|event| event.audit_id),
        events.iter().map(|event| event.audit_id.clone()),
    );
}

#[test]
fn what_a_stranger_puts_among_the_backups_is_named_and_never_read_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let audit = dir.path().join("audit");
    fs::create_dir(&audit).unwrap();
    let (log, archive) = (audit.join("audit.log"), dir.path().join("archive"));
    let secret = dir.path().join("secret");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let named = |second: u32| audit.join(format!("audit-2026-11-21T06-28-{second:02}.000.log"));
    symlink(&secret, named(1)).unwrap();
    symlink("/proc/self/environ", named(2)).unwrap();
    symlink("/dev/zero", named(3)).unwrap();
    fifo(&named(4));
    fs::create_dir(named(5)).unwrap();
    let mut made = Maker::from_ago(SignedDuration::from_mins(1));
    let mut events = write(&named(6), &mut made);
    events.extend(write(&log, &mut made));

    let more = [tables::input("apiserver", &log), tables::archive(&archive)].concat();
    let mut agent = Agent::start(dir.path(), &more);
    arrive(&archive, &events);
    let said = agent.page("/readyz?verbose").unwrap().text();
    for what in ["a symbolic link", "it is a FIFO", "it is a directory"] {
        assert!(said.contains(what), "{what} is not named in\n{said}");
    }

    // Exchange a delivered backup with a FIFO and back, as fast as possible (race).
    let other = audit.join("other");
    fifo(&other);
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        for _ in 0..20 {
            renameat_with(CWD, named(6), CWD, &other, RenameFlags::EXCHANGE).unwrap();
        }
    }
    events.extend(write(&log, &mut made));
    LogWriter::new(&log).rotate(named(7));
    events.extend(write(&log, &mut made));
    arrive(&archive, &events);
    agent.stop_done();
    let out = fs::read_to_string(&archive).unwrap();
    assert!(!out.contains("only-root-may-read") && !out.contains("PATH="), "{out}");
}

#[test]
fn a_small_file_that_unpacks_to_gigabytes_of_nothing_is_a_gap_and_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let (log, archive) = (dir.path().join("audit.log"), dir.path().join("archive"));
    let path = dir.path().join("audit-2026-11-21T06-28-01.000.log.gz");
    let mut packed = GzEncoder::new(File::create(path).unwrap(), Compression::best());
    let newlines = vec![b'\n'; 1 << 20];
    (0..400).for_each(|_| packed.write_all(&newlines).unwrap());
    packed.finish().unwrap();
    let events = write(&log, &mut Maker::from_ago(SignedDuration::from_mins(1)));
    let more = [tables::input("apiserver", &log), tables::archive(&archive)].concat();
    let mut agent = Agent::start(dir.path(), &more);
    let gaps = |reason| {
        agent.count(
            "auditrail_gaps_total",
            &[("input", "apiserver"), ("output", "archive"), ("reason", reason)],
        )
    };
    wait_for("the gap", Duration::from_mins(1), || {
        let gaps = gaps("no_events");
        if gaps == 1 { Ok(()) } else { Err(format!("{gaps} gaps")) }
    });
    wait_for("the log behind it", Duration::from_mins(1), || {
        let delivered = agent.events("archive", "delivered");
        if delivered > events.len() { Ok(()) } else { Err(format!("{delivered} delivered")) }
    });
    let out = fs::read_to_string(&archive).unwrap();
    assert!(events.iter().all(|event| out.contains(&event.audit_id)), "{out}");
    assert!(out.contains("goes on and on without an event"), "{out}");
    agent.stop_done();
}

#[test]
fn a_thread_that_the_file_system_keeps_waiting_is_named_within_seconds_and_left_behind_at_the_end()
{
    let dir = tempfile::tempdir().unwrap();
    let audit = dir.path().join("audit");
    fs::create_dir(&audit).unwrap();
    let (log, archive) = (audit.join("audit.log"), dir.path().join("archive"));
    let mut made = Maker::from_ago(SignedDuration::from_mins(1));
    let mut events = write(&log, &mut made);
    let more = [tables::input("apiserver", &log), tables::archive(&archive)].concat();
    // From read 60 on, which comes after the start, every read below the log's directory hangs.
    let faults = [
        ("AUDITRAIL_FAIL_READ_AT", "60".to_owned()),
        ("AUDITRAIL_FAIL_WITH", "HANG".to_owned()),
        ("AUDITRAIL_FAIL_COUNT", "1000000".to_owned()),
        ("AUDITRAIL_FAIL_UNDER", audit.display().to_string()),
    ];
    let mut agent = Agent::start_failing(&faults, dir.path(), &more);
    agent.wait_readyz(200, Duration::from_secs(30));
    let said = wait_for("the hang to show", Duration::from_secs(30), || {
        events.extend(write(&log, &mut made));
        match agent.readyz() {
            Ok((503, said)) if said.contains("has waited for the file system") => Ok(said),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(said.contains("input apiserver") && said.contains("NFS"), "{said}");
    // Shutdown ends in time, although two threads hang for ever.
    agent.stop();
    // Once the disk answers again, nothing is lost or duplicated.
    agent.resume_whole();
    arrive(&archive, &events);
    agent.stop_done();
}
