//! systemd's file descriptor store: keeps files open across a restart of the agent. Does nothing without systemd.
//!
//! Protocol: `sd_pid_notify_with_fds(3)` and `sd_listen_fds(3)`. A deleted file exists for as long as somebody has it
//! open, and can be opened again through `/proc/self/fd`.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sendmsg_addr, socket_with,
};
use sd_notify::NotifyState;

/// Whether a service manager is there to give a file to.
pub(crate) fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Gives systemd a file to keep open under a name, which must not contain a colon.
pub(crate) fn put(name: &str, file: &impl AsFd) -> io::Result<()> {
    let Some(to) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let to = match to.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(to.as_bytes())?,
    };
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&files));
    let text = format!("FDSTORE=1\nFDNAME={name}\n");
    sendmsg_addr(socket, &to, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Makes systemd close the file that it keeps under a name.
pub(crate) fn remove(name: &str) {
    let name = format!("FDNAME={name}");
    if let Err(error) =
        sd_notify::notify(&[NotifyState::Custom("FDSTOREREMOVE=1"), NotifyState::Custom(&name)])
    {
        tracing::debug!(%error, "cannot reach systemd");
    }
}

/// The files that an earlier process gave to systemd, each with its name. Call it once: the descriptors are closed.
pub(crate) fn take() -> Vec<(String, File)> {
    let passed = match sd_notify::listen_fds_with_names() {
        Ok(passed) => passed,
        Err(error) => {
            tracing::warn!(%error, "cannot take over the files that systemd kept");
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for (descriptor, name) in passed {
        match File::open(format!("/proc/self/fd/{descriptor}")) {
            Ok(file) => files.push((name, file)),
            Err(error) => tracing::warn!(%error, name, "cannot open a file that systemd kept"),
        }
        // Left open, the descriptor would keep the file on disk for as long as this process lives.
        let _ = nix::unistd::close(descriptor);
    }
    files
}
