//! Where the agent cannot make hard links, systemd's file descriptor store keeps undelivered files open. Also tests
//! what `check` says about links.

use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::command::{auditrail, finish};
use kit::process::{Running, built_binary};
use kit::{LogWriter, wait_for};

/// A log, and a hold directory on another file system, where hard links to the log are impossible.
struct Place {
    dir: tempfile::TempDir,
    elsewhere: tempfile::TempDir,
    notify: UnixDatagram,
}

fn line(id: &str) -> String {
    format!(
        "{{\"kind\":\"Event\",\"auditID\":\"{id}\",\"stage\":\"ResponseComplete\",\"requestReceivedTimestamp\":\"2026-11-21T06:25:22.533537Z\",\"stageTimestamp\":\"2026-11-21T06:25:22.612771Z\"}}\n"
    )
}

impl Place {
    /// Returns `None` and prints SKIPPED if there is no second file system.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
            eprintln!("SKIPPED: there is no /dev/shm");
            return None;
        };
        let device = |dir: &tempfile::TempDir| fs::metadata(dir.path()).unwrap().dev();
        if device(&dir) == device(&elsewhere) {
            eprintln!("SKIPPED: /dev/shm is not a file system of its own");
            return None;
        }
        fs::create_dir(dir.path().join("log")).unwrap();
        let notify = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        notify.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Some(Self { dir, elsewhere, notify })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, id: &str) {
        self.log().append(line(id).as_bytes());
    }

    fn log(&self) -> LogWriter {
        LogWriter::new(self.path("log/audit.log"))
    }

    fn configure(&self, hold: &Path, output: &str) {
        let text = format!(
            "node = \"n\"\nstate_dir = \"{}\"\ndisk = {{ min_free = \"0%\" }}\n[server]\nlisten = \"off\"\n\
             [inputs.api]\ntype = \"file\"\npath = \"{}\"\nrescan = \"100ms\"\n\
             hold = {{ dir = \"{}\", min_free = \"0%\" }}\n[outputs.o]\n{output}\n",
            self.path("state").display(),
            self.path("log/audit.log").display(),
            hold.display(),
        );
        fs::write(self.path("auditrail.toml"), text).unwrap();
    }

    /// Waits for the next message that hands a file to systemd. Returns the name and the descriptor.
    fn stored(&self) -> (String, OwnedFd) {
        loop {
            let mut text = [0; 4096];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let got = recvmsg(
                &self.notify,
                &mut [IoSliceMut::new(&mut text)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )
            .unwrap();
            let said = String::from_utf8_lossy(&text[..got.bytes]).into_owned();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(mut files) = message {
                    assert!(said.contains("FDSTORE=1"), "{said}");
                    let name = said.lines().find_map(|line| line.strip_prefix("FDNAME="));
                    return (name.unwrap().to_owned(), files.next().unwrap());
                }
            }
        }
    }
}

#[test]
fn where_links_cannot_be_made_systemd_keeps_a_deleted_backup_over_a_kill() {
    let Some(place) = Place::new() else { return };
    place.configure(place.elsewhere.path(), "type = \"loki\"\nendpoint = \"http://127.0.0.1:1\"");
    let config = place.path("auditrail.toml");
    let first = Running::spawn(
        auditrail()
            .args(["run", "-c"])
            .arg(&config)
            .env("NOTIFY_SOCKET", place.path("notify"))
            .stderr(fs::File::create(place.path("first.txt")).unwrap()),
    );
    place.append("one");
    let (name, file) = place.stored();
    let backup = place.log().rotate("audit-2026-11-21T07-00-00.000.log");
    place.append("two");
    let (second, _) = place.stored();
    assert_ne!(name, second);
    drop(first);
    fs::remove_file(backup).unwrap();
    let said = fs::read_to_string(place.path("first.txt")).unwrap();
    assert!(said.contains("cannot be kept by a hard link"), "{said}");
    assert!(said.contains("in one mount"), "{said}");

    // The same output is a file now. The cursor belongs to the name of the output, so delivery goes on from there.
    let out = place.path("events.ndjson");
    place.configure(
        place.elsewhere.path(),
        &format!("type = \"file\"\npath = \"{}\"", out.display()),
    );
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=$NAME exec \"$@\" 3<&0 0</dev/null";
    let next = Running::spawn(
        Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(built_binary())
            .args(["run", "-c"])
            .arg(&config)
            .env("NAME", &name)
            .env("NOTIFY_SOCKET", place.path("notify"))
            .stdin(Stdio::from(file))
            .stderr(fs::File::create(place.path("second.txt")).unwrap()),
    );
    let expected = line("one") + &line("two");
    wait_for("both events to arrive", Duration::from_secs(20), || {
        let found = fs::read_to_string(&out).unwrap_or_default();
        let said = || fs::read_to_string(place.path("second.txt")).unwrap_or_default();
        if found == expected { Ok(()) } else { Err(format!("{found}\n{}", said())) }
    });
    // Once the deleted backup is delivered, the agent asks systemd to remove it and closes it.
    place.notify.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    wait_for("systemd to be told", Duration::from_secs(20), || {
        place.append("more");
        let mut text = [0; 4096];
        let got = place.notify.recv(&mut text).map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&text[..got]).into_owned();
        if said.contains("FDSTOREREMOVE=1") && said.contains(&name) { Ok(()) } else { Err(said) }
    });
    wait_for("the deleted file to be closed", Duration::from_secs(20), || {
        place.append("more");
        let open = fs::read_dir(format!("/proc/{}/fd", next.id())).unwrap();
        let deleted = open
            .map(|entry| entry.unwrap().path())
            .filter_map(|path| Some((fs::read_link(&path).ok()?, path)))
            .find(|(target, _)| target.to_string_lossy().ends_with("07-00-00.000.log (deleted)"));
        deleted.map_or(Ok(()), |(_, path)| Err(format!("{} is open", path.display())))
    });
}

#[test]
fn check_tries_a_link_and_says_what_its_lack_costs_and_the_way_out() {
    let Some(place) = Place::new() else { return };
    let output = format!("type = \"file\"\npath = \"{}\"", place.path("events.ndjson").display());
    place.append("one");
    let check = || finish(auditrail().args(["check", "-c"]).arg(place.path("auditrail.toml")));
    place.configure(place.elsewhere.path(), &output);
    let ran = check();
    assert!(ran.stdout.contains("warn inputs.api"), "{}", ran.stdout);
    assert!(ran.stdout.contains("no link can be made in"), "{}", ran.stdout);
    assert!(ran.stdout.contains("in one mount"), "{}", ran.stdout);
    assert_eq!(fs::read_dir(place.elsewhere.path()).unwrap().count(), 0);
    place.configure(&place.path("log/hold"), &output);
    let ran = check();
    assert!(ran.stdout.contains("kept by links in"), "{}", ran.stdout);
    let left: Vec<_> = fs::read_dir(place.path("log")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
