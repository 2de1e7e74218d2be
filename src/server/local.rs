//! The agent's side of the Unix socket in the state directory, over which commands such as `auditrail status` talk to
//! the running agent.
//!
//! Access control is the socket's mode: whoever may open it may read everything and change the agent's state.
//!
//! A question is one line of JSON, for example `{"ask":"status"}`; the answer is one or more lines, and then the
//! connection is closed. A question that the server cannot answer itself is handed on as a [`ControlCall`]. A client
//! that disconnects cancels its question.
//!
//! As over TCP (`listener.rs`), every connection is accepted at once, the first byte must arrive within two seconds,
//! and a newcomer evicts the oldest idle connection. Only a question that was handed on cannot be evicted: its answer
//! may take minutes. [`AT_ONCE`] of these are answered concurrently while others wait. `status` and `probe` never
//! wait for them.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::accepting::Accepting;
use super::client::{LIMIT, LINE_MAX};
use super::listener::FIRST_BYTE;
use super::places::{Peer, Place, Places, Stage};
use super::probe::{self, Health};
use crate::disk;
use crate::disk::descriptors;
use crate::telemetry::{Telemetry, Time};

/// A question with more bytes waits for one of the [`AT_ONCE`] permits, so that long questions do not fill the
/// memory.
const SHORT: u64 = 4 << 10;
/// Most long questions, and questions that were handed on, at the same time.
const AT_ONCE: usize = 8;
/// Most connections at the same time; fewer if descriptors are short.
const CONNECTIONS: usize = 64;

/// A question for another part of the agent. It answers by sending lines, and ends the answer by dropping `answers`.
pub(crate) struct ControlCall {
    pub(crate) question: Value,
    pub(crate) answers: mpsc::Sender<Value>,
}

/// Makes a socket at `path` for the agent's user alone and replaces the one of an earlier process. The caller holds
/// the lock on the directory.
pub(crate) fn bind(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    // Made under another name and renamed, so that nobody connects before the mode is set.
    let beside = path.with_extension("new");
    match disk::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = disk::listen(&beside)?;
    listener.set_nonblocking(true)?;
    disk::rename(&beside, path)?;
    Ok(listener)
}

/// What the operator can do if the socket cannot be made.
pub(crate) fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        // The path is longer than the kernel allows.
        io::ErrorKind::InvalidInput => "choose a shorter `state_dir`",
        io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => {
            "a directory has its name: move that away"
        }
        _ => "see that the disk of `state_dir` has room, and takes new files of the agent's user",
    }
}

/// Removes the socket at shutdown. A socket that is left behind does no harm.
pub(crate) fn unbind(path: &Path) {
    let _ = disk::remove_file(path);
}

/// Everything needed to answer a connection.
#[derive(Clone)]
struct Desk {
    telemetry: Telemetry,
    unready_after: Duration,
    asks: mpsc::Sender<ControlCall>,
    at_once: Arc<Semaphore>,
}

/// Accepts connections and answers them until `shutdown`.
pub(super) async fn answer_locally(
    listener: UnixListener,
    telemetry: Telemetry,
    unready_after: Duration,
    asks: mpsc::Sender<ControlCall>,
    shutdown: impl Future<Output = ()>,
) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let desk = Desk { telemetry, unready_after, asks, at_once };
    let places = Places::new(CONNECTIONS.min(descriptors::connections()));
    let answers = async {
        let mut accepting = Accepting::new("socket in the state directory");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (place, evicts) = places.enter(Peer::LOCAL);
                    let desk = desk.clone();
                    tokio::spawn(async move {
                        // An error only means that the client did not read in time or has left.
                        let _ = desk.answer(stream, place).await;
                    });
                    accepting.accepted(evicts).await;
                }
                Err(error) => {
                    places.evict();
                    accepting.failed(&error).await;
                }
            }
        }
    };
    tokio::select! {
        () = answers => {}
        () = shutdown => {}
    }
}

/// A question, and the permit that a long one holds.
type Question = (Value, Option<OwnedSemaphorePermit>);

impl Desk {
    async fn answer(&self, stream: UnixStream, mut place: Place) -> io::Result<()> {
        let (reading, mut writing) = stream.into_split();
        let mut reading = tokio::io::BufReader::new(reading);
        let first =
            async { tokio::time::timeout(FIRST_BYTE, reading.fill_buf()).await?.map(<[u8]>::len) };
        let came = tokio::select! {
            came = first => came?,
            () = place.evicted() => 0,
        };
        if came == 0 {
            return Ok(());
        }
        place.moved(Stage::Request);
        let read = tokio::time::timeout(LIMIT, self.question(&mut reading));
        let (question, permit) = tokio::select! {
            question = read => question??,
            () = place.evicted() => return Ok(()),
        };
        place.moved(Stage::Answer);
        let own = match question["ask"].as_str() {
            Some("status") => {
                Some(serde_json::to_vec(&self.telemetry.snapshot(Time::now(), self.unready_after))?)
            }
            Some(probe::ASK) => {
                let health = Health::of(&self.telemetry, &question, self.unready_after);
                Some(serde_json::to_vec(&health)?)
            }
            _ => None,
        };
        if let Some(own) = own {
            return tokio::select! {
                said = say(&mut writing, &own) => said,
                () = place.evicted() => Ok(()),
            };
        }
        // From here on the answer may take long, and the connection cannot be evicted.
        drop(place);
        let _permit = match permit {
            Some(permit) => permit,
            None => self.permit().await?,
        };
        self.hand_on(question, reading, writing).await
    }

    /// Reads one line. A line longer than [`SHORT`] waits for a permit.
    async fn question(
        &self,
        reading: &mut (impl tokio::io::AsyncBufRead + Unpin),
    ) -> io::Result<Question> {
        let (mut line, mut permit) = (Vec::new(), None);
        let mut reading = reading.take(SHORT);
        reading.read_until(b'\n', &mut line).await?;
        if !line.ends_with(b"\n") && reading.limit() == 0 {
            permit = Some(self.permit().await?);
            reading.set_limit(LINE_MAX - SHORT);
            reading.read_until(b'\n', &mut line).await?;
        }
        Ok((serde_json::from_slice(&line)?, permit))
    }

    async fn permit(&self) -> io::Result<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.at_once).acquire_owned().await.map_err(io::Error::other)
    }

    /// Hands the question on and writes the answers to the client.
    async fn hand_on(
        &self,
        question: Value,
        mut reading: impl tokio::io::AsyncRead + Unpin,
        mut writing: tokio::net::unix::OwnedWriteHalf,
    ) -> io::Result<()> {
        let (answers, mut said) = mpsc::channel(1);
        if self.asks.send(ControlCall { question, answers }).await.is_err() {
            return Ok(());
        }
        // Also watches the client: if it disconnects, nobody waits for its answer.
        let mut rest = [0];
        loop {
            tokio::select! {
                next = said.recv() => match next {
                    Some(next) => say(&mut writing, &serde_json::to_vec(&next)?).await?,
                    None => return writing.shutdown().await,
                },
                _ = reading.read(&mut rest) => return Ok(()),
            }
        }
    }
}

async fn say(stream: &mut tokio::net::unix::OwnedWriteHalf, line: &[u8]) -> io::Result<()> {
    tokio::time::timeout(LIMIT, stream.write_all(&[line, b"\n"].concat())).await?
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::io::Errno;

    use super::super::client::{ask, status};
    use super::*;
    use crate::disk::FaultKind;
    use crate::telemetry::tests::busy;

    const MINUTE: Duration = Duration::from_mins(1);

    fn listen(path: &Path) -> UnixListener {
        UnixListener::from_std(bind(path).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn status_reads_what_the_running_agent_says_and_finds_nothing_once_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        assert!(status(&path).unwrap().is_none());
        drop(bind(&path).unwrap()); // A killed agent leaves its socket behind.
        assert!(status(&path).unwrap().is_none());

        let listener = listen(&path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let (asks, _asked) = mpsc::channel(1);
        let server = tokio::spawn(answer_locally(listener, busy(), MINUTE, asks, async move {
            let _ = ended.await;
        }));
        // A client that never asks must not keep the next one from its answer.
        let idle = UnixStream::connect(&path).await.unwrap();
        let asked = path.clone();
        let snapshot =
            tokio::task::spawn_blocking(move || status(&asked)).await.unwrap().unwrap().unwrap();
        assert_eq!(snapshot.node, "cp-1");
        assert_eq!(snapshot.pairs.len(), 3);
        drop(idle);
        end.send(()).unwrap();
        server.await.unwrap();
        assert!(status(&path).unwrap().is_none());
    }

    #[test]
    fn where_no_socket_can_be_made_the_way_out_fits_what_stands_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let hint = |path: &Path| way_out(&bind(path).unwrap_err());
        assert!(hint(&dir.path().join("x".repeat(120))).contains("shorter"));
        fs::create_dir(dir.path().join("agent.sock")).unwrap();
        assert!(hint(&dir.path().join("agent.sock")).contains("a directory has its name"));
        crate::disk::plan(dir.path(), FaultKind::Change, 0, 1, Errno::NOSPC);
        assert!(hint(&dir.path().join("other.sock")).contains("has room"));
    }

    #[tokio::test]
    async fn another_question_is_handed_on_and_its_answer_comes_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let (asks, mut asked) = mpsc::channel::<ControlCall>(1);
        let listener = listen(&path);
        let server =
            tokio::spawn(answer_locally(listener, busy(), MINUTE, asks, std::future::pending()));
        let client = tokio::task::spawn_blocking(move || {
            let mut lines = Vec::new();
            ask(&path, &serde_json::json!({"ask": "tea"}), LIMIT, |line| lines.push(line)).unwrap();
            // A client that disconnects before the end of the answer.
            let mut gone = std::os::unix::net::UnixStream::connect(&path).unwrap();
            gone.write_all(b"{\"ask\":\"more\"}\n").unwrap();
            lines
        });
        let ControlCall { question, answers } = asked.recv().await.unwrap();
        assert_eq!(question["ask"], "tea");
        answers.send("green".into()).await.unwrap();
        answers.send("black".into()).await.unwrap();
        drop(answers);
        assert_eq!(client.await.unwrap(), ["green", "black"]);
        let ControlCall { answers, .. } = asked.recv().await.unwrap();
        answers.closed().await;
        server.abort();
    }

    #[test]
    fn something_else_behind_the_socket_is_an_error_not_a_status() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let other = std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            stream.read_line(&mut String::new()).unwrap();
            stream.get_mut().write_all(b"220 mail.example.com").unwrap();
        });
        assert_eq!(status(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        other.join().unwrap();
    }
}
