//! Questions over a socket in the state directory: who may open it may know, and may change what the agent keeps.
//!
//! A question is one line of JSON, `{"ask":"status"}` for one; the answer is one or more, and then the connection is
//! closed. What this room cannot answer is handed on as [`Asked`]. Who goes away without the answer no longer wants it.

use std::future::Future;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use crate::disk;
use crate::telemetry::{Snapshot, Telemetry, Time};

/// For one line, on either side.
const LIMIT: Duration = Duration::from_secs(5);
/// Largest line that is read; a thousand pipelines, or a hundred thousand ids, make less than one of it.
const LINE_MAX: u64 = 4 << 20;
/// Answered at once; others wait.
const AT_ONCE: usize = 8;

/// A question that somebody else has to answer: with lines, and by dropping `answers` when there are no more.
pub(crate) struct Asked {
    pub(crate) question: Value,
    pub(crate) answers: mpsc::Sender<Value>,
}

/// A socket at `path` for the agent's user alone, in place of what an earlier process left there. The caller holds the
/// lock on the directory.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    // Made beside it and renamed, so that no one connects before the mode is set.
    let beside = path.with_extension("new");
    match disk::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = disk::listen(&beside)?;
    listener.set_nonblocking(true)?;
    disk::rename(&beside, path)?;
    UnixListener::from_std(listener)
}

/// Takes the socket away when nobody answers any more. What remains of it does no harm.
pub(crate) fn unbind(path: &Path) {
    let _ = disk::remove_file(path);
}

/// Answers until `shutdown`.
pub(crate) async fn answer_locally(
    listener: UnixListener,
    telemetry: Telemetry,
    unready_after: Duration,
    asks: mpsc::Sender<Asked>,
    shutdown: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let answers = async {
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&room).acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely: others will be closed.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (telemetry, asks) = (telemetry.clone(), asks.clone());
            tokio::spawn(async move {
                // Whoever does not read in time, or goes away, was not interested.
                let _ = answer(stream, &telemetry, unready_after, &asks).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = answers => {}
        () = shutdown => {}
    }
}

async fn answer(
    stream: UnixStream,
    telemetry: &Telemetry,
    unready_after: Duration,
    asks: &mpsc::Sender<Asked>,
) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = tokio::io::BufReader::new(reading).take(LINE_MAX);
    let mut line = Vec::new();
    tokio::time::timeout(LIMIT, reading.read_until(b'\n', &mut line)).await??;
    let question: Value = serde_json::from_slice(&line)?;
    if question["ask"] == "status" {
        let snapshot = telemetry.snapshot(Time::now(), unready_after);
        return say(&mut writing, &serde_json::to_vec(&snapshot)?).await;
    }
    let (answers, mut said) = mpsc::channel(1);
    if asks.send(Asked { question, answers }).await.is_err() {
        return Ok(());
    }
    // The other side is heard of, too: who goes away is not kept waiting for.
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

async fn say(stream: &mut tokio::net::unix::OwnedWriteHalf, line: &[u8]) -> io::Result<()> {
    tokio::time::timeout(LIMIT, stream.write_all(&[line, b"\n"].concat())).await?
}

/// Asks the agent that listens at `path` and hands each line of its answer to `each`; `None` where none does.
/// `patience` is for one line.
pub(crate) fn ask(
    path: &Path,
    question: &Value,
    patience: Duration,
    mut each: impl FnMut(Value),
) -> io::Result<Option<()>> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let mut stream = match std::os::unix::net::UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answers = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        (&mut answers).take(LINE_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(Some(()));
        }
        each(serde_json::from_slice(&line)?);
    }
}

/// The status of the agent that listens at `path`; `None` where none does.
pub(crate) fn status(path: &Path) -> io::Result<Option<Snapshot>> {
    let mut answer = None;
    let asked =
        ask(path, &serde_json::json!({"ask": "status"}), LIMIT, |line| answer = Some(line))?;
    if asked.is_none() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_value(answer.ok_or(io::ErrorKind::UnexpectedEof)?)?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::telemetry::tests::busy;

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn status_reads_what_the_running_agent_says_and_finds_nothing_once_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        assert!(status(&path).unwrap().is_none());
        drop(bind(&path).unwrap()); // An agent that was killed leaves its socket behind.
        assert!(status(&path).unwrap().is_none());

        let listener = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let (asks, _asked) = mpsc::channel(1);
        let server = tokio::spawn(answer_locally(listener, busy(), MINUTE, asks, async move {
            let _ = ended.await;
        }));
        // One that never asks must not keep the next from its answer.
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

    #[tokio::test]
    async fn another_question_is_handed_on_and_its_answer_comes_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let (asks, mut asked) = mpsc::channel::<Asked>(1);
        let listener = bind(&path).unwrap();
        let server =
            tokio::spawn(answer_locally(listener, busy(), MINUTE, asks, std::future::pending()));
        let client = tokio::task::spawn_blocking(move || {
            let mut lines = Vec::new();
            ask(&path, &serde_json::json!({"ask": "tea"}), LIMIT, |line| lines.push(line)).unwrap();
            // Goes away without the end.
            let mut gone = std::os::unix::net::UnixStream::connect(&path).unwrap();
            gone.write_all(b"{\"ask\":\"more\"}\n").unwrap();
            lines
        });
        let Asked { question, answers } = asked.recv().await.unwrap();
        assert_eq!(question["ask"], "tea");
        answers.send("green".into()).await.unwrap();
        answers.send("black".into()).await.unwrap();
        drop(answers);
        assert_eq!(client.await.unwrap(), ["green", "black"]);
        let Asked { answers, .. } = asked.recv().await.unwrap();
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
