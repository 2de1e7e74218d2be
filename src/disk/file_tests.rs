use rustix::io::Errno;

use super::*;

/// Fails this many steps below a directory, after some that succeed.
fn fail(dir: &Path, before: u64, count: u64) {
    plan(dir, FaultKind::Change, before, count, Errno::IO);
}

#[test]
fn after_a_write_that_failed_nothing_is_written_behind_what_it_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let mut file = File::append(&path).unwrap();
    file.write_all(b"whole\n").unwrap();
    // Fails the second half of the write, and the truncation.
    fail(dir.path(), 1, 2);
    assert!(file.write_all(b"torn line\n").is_err());
    assert_eq!(fs::read(&path).unwrap(), b"whole\ntorn ");
    assert!(file.set_len(6).is_err());
    assert!(file.write_all(b"next\n").is_err());
    file.set_len(6).unwrap();
    file.write_all(b"next\n").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole\nnext\n");
}

#[test]
fn after_a_sync_that_failed_none_of_the_same_file_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let mut file = File::append(&path).unwrap();
    file.write_all(b"line\n").unwrap();
    fail(dir.path(), 0, 1);
    let clone = file.try_clone().unwrap();
    assert!(clone.sync().is_err());
    for file in [&file, &clone] {
        assert!(file.sync().unwrap_err().to_string().contains("an earlier sync"));
    }
    File::append(&path).unwrap().sync().unwrap();
}
