//! How commands ask the running agent over the Unix socket in its state directory (`local.rs`).

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde_json::Value;

use crate::telemetry::Snapshot;

/// Timeout for one line, on either side.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// Longest line in bytes. A thousand pipelines, or a hundred thousand ids, take less.
pub(super) const LINE_MAX: u64 = 4 << 20;

/// Asks the agent that listens at `path` and passes each line of its answer to `each`; `None` if no agent listens.
/// `patience` is the timeout for one line.
pub(crate) fn ask(
    path: &Path,
    question: &Value,
    patience: Duration,
    mut each: impl FnMut(Value),
) -> io::Result<Option<()>> {
    let Some(mut stream) = reach(path, patience)? else { return Ok(None) };
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

/// Connects within `patience`, even if the agent has stopped accepting; `None` if no agent listens.
fn reach(path: &Path, patience: Duration) -> io::Result<Option<std::os::unix::net::UnixStream>> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    let address = SocketAddrUnix::new(path)?;
    let began = Instant::now();
    loop {
        match connect(&socket, &address) {
            Ok(()) => break,
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
            // The socket's queue is full.
            Err(Errno::AGAIN) if began.elapsed() < patience => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
    let stream = std::os::unix::net::UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(Some(stream))
}

/// The status of the agent that listens at `path`; `None` if no agent listens.
pub(crate) fn status(path: &Path) -> io::Result<Option<Snapshot>> {
    let mut answer = None;
    let asked =
        ask(path, &serde_json::json!({"ask": "status"}), LIMIT, |line| answer = Some(line))?;
    if asked.is_none() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_value(answer.ok_or(io::ErrorKind::UnexpectedEof)?)?))
}
