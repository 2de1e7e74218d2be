//! The webhook's receiver: SIGKILL at each step, and a power cut after each step. Every body that was answered is
//! delivered once, and of no other a part.
//!
//! Two senders post bodies as the API server does: again and again until they are answered 200. The sizes at which the
//! spool is rotated and a body goes to a file are small here, so that a short run does all of it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::FakeStore;
use kit::http;
use kit::process::{self, Running};
use kit::store::Stored;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::disk::{Disk, Image, Loss, restore};
use crate::node::lines;
use crate::{in_parallel, sample};

const LIMIT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(10);
/// Bodies of each sender, and events of each body.
const BODIES: usize = 6;
const EVENTS: usize = 3;
const SENDERS: usize = 2;
/// This body of each sender is long enough to go to a file.
const LONG: usize = 3;

/// What each power cut loses below the state directory; the file output keeps all.
const CUTS: &[Loss] = &[Loss::All, Loss::Content, Loss::Zeros, Loss::Half, Loss::Names];

/// A machine with a receiver and two outputs.
struct Hook {
    dir: TempDir,
    port: u16,
    store: FakeStore,
    /// For each body that was answered 200: how many lines of notes there were.
    answered: Mutex<BTreeMap<usize, usize>>,
}

impl Hook {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap(), Vec::new(), BTreeMap::new())
    }

    fn at(dir: TempDir, stored: Vec<Stored>, answered: BTreeMap<usize, usize>) -> Self {
        let (store, notes) = (FakeStore::new(), dir.path().join("notes"));
        let mut state = store.state();
        state.stored = stored;
        state.clock = Some(Box::new(move || lines(&notes)));
        drop(state);
        let hook = Self { dir, port: kit::free_port(), store, answered: Mutex::new(answered) };
        fs::write(hook.path("auditrail.toml"), hook.config()).unwrap();
        hook
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> String {
        let path = |name| self.path(name).display().to_string();
        format!(
            "node = \"n\"\nstate_dir = \"{}\"\ndisk = {{ min_free = \"0%\" }}\n\
             checkpoint_interval = \"20ms\"\nconfine = false\n[server]\nlisten = \"off\"\n\
             [inputs.hook]\ntype = \"webhook\"\nlisten = \"127.0.0.1:{}\"\nspool = {{ min_free = \"0%\" }}\n\
             [outputs.es]\ntype = \"elasticsearch\"\nendpoints = [\"{}\"]\nsetup_template = \"never\"\n\
             compression = \"none\"\nlayout = \"flat\"\ntimeout = \"1500ms\"\n\
             retry = {{ min = \"10ms\", max = \"40ms\" }}\nbatch = {{ max_age = \"1ms\" }}\n\
             [outputs.archive]\ntype = \"file\"\npath = \"{}\"\nbatch = {{ max_age = \"1ms\" }}\n",
            path("state"),
            self.port,
            self.store.url,
            path("archive/out.ndjson"),
        )
    }

    fn start(&self, end_at: Option<usize>) -> Running {
        let mut command = process::run(&self.path("auditrail.toml"));
        command.env("AUDITRAIL_STEPS", self.path("notes"));
        command.env("AUDITRAIL_SPOOL_ROTATE", "1500").env("AUDITRAIL_BODY_IN_MEMORY", "2000");
        command.envs(end_at.map(|point| ("AUDITRAIL_END_AT", point.to_string())));
        Running::spawn(process::log_to(&mut command, &self.path("agent.log")))
    }

    /// Runs the agent until everything is delivered, or until it is killed at this point; the senders go on meanwhile.
    /// Returns whether it was killed.
    fn run(&self, end_at: Option<usize>) -> bool {
        let killed = self.run_once(end_at);
        if !killed && !self.is_delivered() {
            // After a power cut the file is first cut back, and it was complete before: the signal came too early.
            assert!(!self.run_once(None));
        }
        killed
    }

    fn run_once(&self, end_at: Option<usize>) -> bool {
        let mut agent = self.start(end_at);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                let over = &over;
                scope.spawn(move || self.send(sender, over));
            }
            let (begun, mut told) = (Instant::now(), false);
            let killed = loop {
                if let Some(status) = agent.ended() {
                    match (status.signal(), status.code()) {
                        (Some(9), _) if end_at.is_some() => break true,
                        (_, Some(0)) if told => break false,
                        _ => panic!("ended with {status}, told: {told}{}", self.explain()),
                    }
                }
                let late = begun.elapsed() > LIMIT;
                if late {
                    over.store(true, Ordering::Relaxed);
                    panic!("it does not end, told: {told}{}", self.explain());
                }
                // Once it listens, it takes signals.
                let listens = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
                if !told && self.is_delivered() && listens() {
                    agent.signal(Signal::TERM);
                    told = true;
                }
                thread::sleep(PAUSE);
            };
            over.store(true, Ordering::Relaxed);
            killed
        })
    }

    /// Posts the bodies of one sender that are not answered yet, each until it is.
    fn send(&self, sender: usize, over: &AtomicBool) {
        for body in (0..BODIES).map(|body| body * SENDERS + sender) {
            if self.answered.lock().unwrap().contains_key(&body) {
                continue;
            }
            while !over.load(Ordering::Relaxed) && post(self.port, body_of(body)) != Some(200) {
                thread::sleep(PAUSE);
            }
            if over.load(Ordering::Relaxed) {
                return;
            }
            // Not before the answer: the body is durable at this moment.
            self.answered.lock().unwrap().insert(body, lines(&self.path("notes")));
        }
    }

    fn archived(&self) -> Vec<usize> {
        let text = fs::read_to_string(self.path("archive/out.ndjson")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(number_of).collect()
    }

    fn is_delivered(&self) -> bool {
        let all = BODIES * SENDERS;
        self.answered.lock().unwrap().len() == all
            && self.archived().len() >= all * EVENTS
            && self.store.counts().len() >= all * EVENTS
    }

    fn check(&self, what: &str) {
        let wanted: Vec<_> = (0..BODIES * SENDERS * EVENTS).collect();
        let mut archived = self.archived();
        archived.sort_unstable();
        assert_eq!(archived, wanted, "the file, {what}{}", self.explain());
        let state = self.store.state();
        let mut stored: Vec<_> = state.stored.iter().map(|one| number_of(&one.line)).collect();
        drop(state);
        stored.sort_unstable();
        assert_eq!(stored, wanted, "the store, {what}{}", self.explain());
    }

    fn explain(&self) -> String {
        let log = fs::read_to_string(self.path("agent.log")).unwrap_or_default();
        let spool = kit::listing(&self.path("state/spool/hook"));
        let tail: Vec<_> = log.lines().rev().take(30).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        format!(
            "\n{} answered, {spool:?}\n{}",
            self.answered.lock().unwrap().len(),
            tail.join("\n")
        )
    }
}

/// A body, as it is sent each time.
fn body_of(body: usize) -> Vec<u8> {
    let length = if body / SENDERS == LONG { 1000 } else { 20 };
    let items: Vec<_> = (0..EVENTS)
        .map(|event| {
            let number = body * EVENTS + event;
            format!(
                "{{\"level\":\"Metadata\",\"auditID\":\"{number:032}\",\"stage\":\"ResponseComplete\",\"requestURI\":\"/{}\",\"verb\":\"get\",\"requestReceivedTimestamp\":\"2026-11-27T10:00:00.{number:06}Z\",\"stageTimestamp\":\"2026-11-27T10:00:00.{number:06}Z\"}}",
                "x".repeat(length)
            )
        })
        .collect();
    format!(
        "{{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{{}},\"items\":[{}]}}\n",
        items.join(",")
    )
    .into_bytes()
}

/// The number of an event. A torn one has none, and fails the test.
fn number_of(line: &str) -> usize {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no event: {line}"));
    let id = event["auditID"].as_str().unwrap_or_else(|| panic!("no event: {line}"));
    id.parse().unwrap()
}

/// The status of the answer, if there is one.
fn post(port: u16, body: Vec<u8>) -> Option<u16> {
    let url = format!("http://127.0.0.1:{port}/?timeout=30s");
    Some(http::send("POST", &url, &[], body).ok()?.status)
}

fn notes_of(hook: &Hook) -> Vec<Value> {
    let text = fs::read_to_string(hook.path("notes")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_kill_at_any_step_of_the_receiver_loses_and_doubles_nothing() {
    let hook = Hook::new();
    assert!(!hook.run(None));
    hook.check("no kill");
    let notes = notes_of(&hook);
    let points = usize::try_from(notes.last().unwrap()[0].as_u64().unwrap()).unwrap() + 1;
    let tried = sample((1..=points).collect(), 50);
    let killed = Mutex::new(0);
    in_parallel(&tried, |point| {
        let hook = Hook::new();
        if hook.run(Some(*point)) {
            *killed.lock().unwrap() += 1;
            // Once more, while it recovers.
            if hook.run(Some(5 + point % 40)) {
                assert!(!hook.run(None));
            }
        }
        hook.check(&format!("killed at point {point}"));
    });
    let killed = killed.into_inner().unwrap();
    println!("tried {} points of {points}: {killed} times it was killed there", tried.len());
    assert!(killed * 10 >= tried.len() * 6);
}

/// A power cut in a recorded run, and the files that it leaves.
struct Cut {
    after: usize,
    loss: Loss,
    image: Image,
    stored: Vec<Stored>,
    answered: BTreeMap<usize, usize>,
}

impl Cut {
    fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        (&self.image, self.stored.len(), self.answered.len()).hash(&mut hasher);
        hasher.finish()
    }

    fn test(&self) {
        let dir = tempfile::tempdir().unwrap();
        restore(&self.image, dir.path());
        let hook = Hook::at(dir, self.stored.clone(), self.answered.clone());
        assert!(!hook.run(None));
        hook.check(&format!("cut after step {}, {:?}", self.after, self.loss));
    }
}

#[test]
fn a_power_cut_at_any_step_of_the_receiver_loses_and_doubles_nothing() {
    let hook = Hook::new();
    assert!(!hook.run(None));
    hook.check("no cut");
    let (notes, root) = (notes_of(&hook), hook.dir.path().to_owned());
    let (answered, state) = (hook.answered.lock().unwrap().clone(), hook.store.state());
    let (mut disk, mut seen, mut cuts) = (Disk::new(&root), HashSet::new(), Vec::new());
    for (after, note) in (1..).zip(&notes) {
        disk.step(note);
        let later = state.writes.iter().find(|write| write.clock > after);
        let stored = &state.stored[..later.map_or(state.stored.len(), |write| write.stored_before)];
        let before = answered.iter().filter(|(_, notes)| **notes <= after);
        let answered: BTreeMap<_, _> = before.map(|(body, notes)| (*body, *notes)).collect();
        for loss in CUTS {
            let lost = |path: &Path| if path.starts_with("archive") { Loss::None } else { *loss };
            let image = disk.after_cut(&root, &lost);
            let (stored, answered) = (stored.to_vec(), answered.clone());
            let cut = Cut { after, loss: *loss, image, stored, answered };
            if seen.insert(cut.fingerprint()) {
                cuts.push(cut);
            }
        }
    }
    drop(state);
    let count = cuts.len();
    let tried = sample(cuts, 80);
    in_parallel(&tried, Cut::test);
    println!("tried {} of {count} different states that a power cut leaves", tried.len());
}
