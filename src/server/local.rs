//! The status over a socket in the state directory: who may open it may know. `auditrail status` asks here.
//!
//! No request is read: a connection gets the [`Snapshot`] as JSON and is closed.

use std::future::Future;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};

use crate::disk;
use crate::telemetry::{Snapshot, Telemetry, Time};

/// For the whole of an answer, on either side.
const LIMIT: Duration = Duration::from_secs(5);
/// Largest answer that is read; a thousand pipelines make less than one of it.
const ANSWER_MAX: u64 = 4 << 20;

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

/// Answers one connection after the other until `shutdown`.
pub(crate) async fn answer_locally(
    listener: UnixListener,
    telemetry: Telemetry,
    unready_after: Duration,
    shutdown: impl Future<Output = ()>,
) {
    let answers = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely: others will be closed.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let snapshot = telemetry.snapshot(Time::now(), unready_after);
            // Whoever does not read in time, or goes away, was not interested.
            let _ = tokio::time::timeout(LIMIT, answer(stream, &snapshot)).await;
        }
    };
    tokio::select! {
        () = answers => {}
        () = shutdown => {}
    }
}

async fn answer(mut stream: UnixStream, snapshot: &Snapshot) -> io::Result<()> {
    stream.write_all(&serde_json::to_vec(snapshot)?).await?;
    stream.shutdown().await
}

/// The status of the agent that listens at `path`; `None` where none does.
pub(crate) fn ask(path: &Path) -> io::Result<Option<Snapshot>> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let stream = match std::os::unix::net::UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(LIMIT))?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(Some(serde_json::from_slice(&answer)?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::telemetry::tests::busy;

    #[tokio::test]
    async fn status_reads_what_the_running_agent_says_and_finds_nothing_once_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        assert!(ask(&path).unwrap().is_none());
        drop(bind(&path).unwrap()); // An agent that was killed leaves its socket behind.
        assert!(ask(&path).unwrap().is_none());

        let listener = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let minute = Duration::from_mins(1);
        let server = tokio::spawn(answer_locally(listener, busy(), minute, async move {
            let _ = ended.await;
        }));
        // One that never reads must not keep the next from its answer.
        let idle = UnixStream::connect(&path).await.unwrap();
        let asked = path.clone();
        let snapshot =
            tokio::task::spawn_blocking(move || ask(&asked)).await.unwrap().unwrap().unwrap();
        assert_eq!(snapshot.node, "cp-1");
        assert_eq!(snapshot.pairs.len(), 3);
        drop(idle);
        end.send(()).unwrap();
        server.await.unwrap();
        assert!(ask(&path).unwrap().is_none());
    }

    #[test]
    fn something_else_behind_the_socket_is_an_error_not_a_status() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let other = std::thread::spawn(move || {
            use std::io::Write as _;
            listener.accept().unwrap().0.write_all(b"220 mail.example.com").unwrap();
        });
        assert_eq!(ask(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        other.join().unwrap();
    }
}
