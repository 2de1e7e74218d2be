use super::*;
use crate::checkpoint::CheckpointError;

pub(in crate::checkpoint) fn named(node: &str) -> State {
    State { node: node.into(), ..State::default() }
}

pub(in crate::checkpoint) fn load(directory: &Path) -> (String, Origin) {
    let loaded = Store::load(directory).unwrap();
    (loaded.state.node, loaded.origin)
}

#[test]
fn the_last_checkpoint_is_read_and_the_one_before_when_it_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(load(dir.path()), (String::new(), Origin::First));
    store.save(&named("one")).unwrap();
    store.save(&named("two")).unwrap();
    assert_eq!(load(dir.path()), ("two".into(), Origin::Current));
    fs::write(dir.path().join(CURRENT), "junk").unwrap();
    let (node, origin) = load(dir.path());
    assert!(
        node == "one"
            && matches!(origin, Origin::Previous(why) if why.contains("checkpoint.json is damaged"))
    );
    fs::write(dir.path().join(PREVIOUS), "junk").unwrap();
    assert!(matches!(load(dir.path()).1, Origin::Lost(_)));
}

#[test]
fn a_checkpoint_damaged_at_any_byte_falls_back_to_the_one_before_or_to_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.save(&named("one")).unwrap();
    store.save(&named("two")).unwrap();
    let (current, previous) = (dir.path().join(CURRENT), dir.path().join(PREVIOUS));
    let (last, before) = (fs::read(&current).unwrap(), fs::read(&previous).unwrap());
    for at in 0..last.len() {
        let cut = last[..at].to_vec();
        let changed = |bits: u8| {
            let mut changed = last.clone();
            changed[at] ^= bits;
            changed
        };
        let zeros = [&last[..at], &vec![0; last.len() - at]].concat();
        for damaged in [cut, changed(1), changed(2), changed(0x80), changed(0xff), zeros] {
            fs::write(&current, &damaged).unwrap();
            let (node, origin) = load(dir.path());
            assert!(node == "one" && matches!(origin, Origin::Previous(_)), "byte {at}");
        }
        fs::write(&previous, &last[..at]).unwrap();
        let (node, origin) = load(dir.path());
        assert!(node.is_empty() && matches!(origin, Origin::Lost(_)), "byte {at}");
        fs::write(&previous, &before).unwrap();
    }
}

#[test]
fn a_kill_between_the_two_renames_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.save(&named("one")).unwrap();
    fs::write(dir.path().join(NEXT), signed(&store, "two")).unwrap();
    assert_eq!(load(dir.path()).0, "one");
    fs::rename(dir.path().join(CURRENT), dir.path().join(PREVIOUS)).unwrap();
    assert_eq!(load(dir.path()), ("two".into(), Origin::Current));
    // Kill a second time, in the middle of the next save.
    drop(store);
    let _store = Store::open(dir.path()).unwrap();
    fs::write(dir.path().join(NEXT), "torn").unwrap();
    assert_eq!(load(dir.path()), ("two".into(), Origin::Current));
}

#[test]
fn a_second_agent_is_kept_out_and_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.starts_with("another auditrail uses"), "{error}");
    drop(first);
    Store::open(dir.path()).unwrap();
}

#[test]
fn the_key_stays_and_a_cut_or_changed_one_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(KEY);
    let key = Store::open(dir.path()).unwrap().key();
    assert_eq!(Store::open(dir.path()).unwrap().key().0, key.0);
    assert_eq!(Store::key_of(dir.path()).0, key.0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    for wrong in [&b"short"[..], &bytes, &[1; 65]] {
        fs::write(&path, wrong).unwrap();
        for error in [Store::open(dir.path()).unwrap_err(), Store::load(dir.path()).unwrap_err()] {
            assert!(error.is_refusal() && error.to_string().contains("restore it"), "{error}");
        }
    }
}

/// An undamaged checkpoint with a valid checksum, and with the hash that this key makes, or without a hash.
fn framed(state: &State, key: Option<&Key>) -> Vec<u8> {
    let bytes = format::write(state, key.unwrap_or(&Key([0; 32]))).unwrap();
    if key.is_some() {
        return bytes;
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once('\n').unwrap();
    let head = head[..head.find(",\"hmac\"").unwrap()].to_owned() + "}";
    format!("{head}\n{body}").into_bytes()
}

fn signed(store: &Store, node: &str) -> Vec<u8> {
    framed(&named(node), Some(&store.key()))
}

#[test]
fn a_forged_checkpoint_is_named_and_not_used() {
    for key in [None, Some(Key([9; 32]))] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.save(&named("one")).unwrap();
        store.save(&named("two")).unwrap();
        let forged = framed(&named("mine"), key.as_ref());
        fs::write(dir.path().join(CURRENT), &forged).unwrap();
        let loaded = Store::load(dir.path()).unwrap();
        assert_eq!(loaded.state.node, "one");
        assert!(matches!(loaded.origin, Origin::Previous(_)), "{:?}", loaded.origin);
        assert!(loaded.forged.unwrap().contains("checkpoint.json"));
        fs::write(dir.path().join(PREVIOUS), &forged).unwrap();
        let loaded = Store::load(dir.path()).unwrap();
        assert!(loaded.state.node.is_empty() && matches!(loaded.origin, Origin::Lost(_)));
        // A forged file in the place where a kill may leave the last checkpoint is not used either.
        fs::remove_file(dir.path().join(CURRENT)).unwrap();
        fs::write(dir.path().join(NEXT), &forged).unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        let loaded = Store::load(dir.path()).unwrap();
        assert!(loaded.forged.is_some() && matches!(loaded.origin, Origin::Lost(_)));
        // The next save works as usual.
        store.save(&named("three")).unwrap();
        let loaded = Store::load(dir.path()).unwrap();
        assert_eq!((&*loaded.state.node, loaded.forged), ("three", None));
    }
}

#[test]
fn damage_is_not_taken_for_forgery() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.save(&named("one")).unwrap();
    let path = dir.path().join(CURRENT);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() - 5;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let loaded = Store::load(dir.path()).unwrap();
    assert!(loaded.forged.is_none() && matches!(loaded.origin, Origin::Lost(_)));
}

/// A state directory of version 0.1.0: a key without a seal, and a checkpoint without a hash.
fn earlier() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(KEY), [5; 32]).unwrap();
    fs::write(dir.path().join(CURRENT), framed(&named("one"), None)).unwrap();
    dir
}

#[test]
fn a_checkpoint_of_an_earlier_version_is_accepted_until_there_are_two_of_this_one() {
    let dir = earlier();
    let unsigned = fs::read(dir.path().join(CURRENT)).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let loaded = Store::load(dir.path()).unwrap();
    assert_eq!((&*loaded.state.node, loaded.origin), ("one", Origin::Current));
    assert!(!loaded.is_signed && loaded.forged.is_none());
    store.save(&named("two")).unwrap();
    assert!(Store::load(dir.path()).unwrap().is_signed);
    // The checkpoint before is still of the earlier version, and is used if this one is damaged.
    fs::write(dir.path().join(CURRENT), "junk").unwrap();
    assert_eq!(load(dir.path()).0, "one");
    store.save(&named("three")).unwrap();
    store.save(&named("four")).unwrap();
    assert_eq!(store.key().0, [5; 32]);
    fs::write(dir.path().join(CURRENT), &unsigned).unwrap();
    let loaded = Store::load(dir.path()).unwrap();
    assert!(loaded.state.node == "three" && loaded.forged.is_some());
}

#[test]
fn an_upgrade_that_saves_once_in_each_process_is_over_as_well() {
    let dir = earlier();
    for node in ["two", "three"] {
        Store::open(dir.path()).unwrap().save(&named(node)).unwrap();
    }
    drop(Store::open(dir.path()).unwrap());
    fs::write(dir.path().join(CURRENT), framed(&named("mine"), None)).unwrap();
    assert_eq!(load(dir.path()).0, "two");
}

#[test]
fn a_directory_whose_key_is_gone_accepts_no_checkpoint_without_a_hash() {
    let dir = earlier();
    fs::remove_file(dir.path().join(KEY)).unwrap();
    for _ in 0..2 {
        // With the new key, and before there is one.
        let loaded = Store::load(dir.path()).unwrap();
        assert!(loaded.forged.is_some() && matches!(loaded.origin, Origin::Lost(_)));
        drop(Store::open(dir.path()).unwrap());
    }
}

#[test]
fn a_checkpoint_that_is_too_large_is_damaged_and_is_not_read_into_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.save(&named("one")).unwrap();
    store.save(&named("two")).unwrap();
    fs::File::create(dir.path().join(CURRENT)).unwrap().set_len(3 << 30).unwrap();
    let (node, origin) = load(dir.path());
    assert!(
        node == "one" && matches!(&origin, Origin::Previous(why) if why.contains("67108864")),
        "{origin:?}"
    );
    let large = State { node: "x".repeat(65 << 20), ..State::default() };
    assert!(matches!(store.save(&large), Err(CheckpointError::Write { .. })));
    store.save(&named("three")).unwrap();
    assert_eq!(load(dir.path()), ("three".into(), Origin::Current));
}

#[test]
fn what_stands_in_the_place_of_a_checkpoint_is_refused_and_not_waited_for() {
    for make in ["mkfifo", "mkdir", "ln -s /nothing"] {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path()).unwrap().save(&named("one")).unwrap();
        for name in [PREVIOUS, CURRENT, KEY, LOCK] {
            let path = dir.path().join(name);
            let _ = fs::remove_file(&path);
            let mut words = make.split(' ');
            let mut command = std::process::Command::new(words.next().unwrap());
            assert!(command.args(words).arg(&path).status().unwrap().success());
            let opened = Store::open(dir.path()).map(drop);
            let loaded = Store::load(dir.path()).map(drop);
            for error in [opened, loaded].into_iter().filter_map(Result::err) {
                let text = error.to_string();
                assert!(error.is_refusal() && text.contains("remove it"), "{text}");
                assert!(text.contains(path.to_str().unwrap()), "{text}");
            }
            assert!(Store::open(dir.path()).is_err(), "{make} {name}");
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
        }
    }
}
