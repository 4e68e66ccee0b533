use super::*;
use std::os::unix::fs::chown;

async fn open(root: &Path) -> Result<StateDir, StateError> {
    StateDir::open(root, Duration::ZERO).await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[tokio::test]
async fn a_value_is_replaced_whole_and_closed_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory.path().join("a/b")).await.unwrap();
    assert_eq!(state.read("x", 10).unwrap(), None);
    state.write("x", b"one").unwrap();
    state.write("x", b"2").unwrap();
    assert_eq!(state.read("x", 1).unwrap().unwrap(), b"2");
    assert_eq!((mode(state.root()), mode(&state.root().join("x"))), (0o700, 0o600));
    state.remove("x").unwrap();
    state.remove("x").unwrap();
    assert_eq!(fs::read_dir(state.root()).unwrap().count(), 1, "the lock alone");
}

#[tokio::test]
async fn what_cannot_be_written_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).await.unwrap();
    state.write("x", b"one").unwrap();
    fs::create_dir(state.root().join(".x.new")).unwrap();
    let error = state.write("x", b"two").unwrap_err();
    assert!(error.to_string().starts_with("cannot write"), "{error}");
    assert_eq!(state.read("x", 10).unwrap().unwrap(), b"one");
}

#[test]
fn a_link_that_somebody_laid_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let victim = directory.path().join("victim");
    fs::write(&victim, "theirs").unwrap();
    std::os::unix::fs::symlink(&victim, directory.path().join(".key.pem.new")).unwrap();
    replace(directory.path(), "key.pem", b"ours").unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"theirs");
    assert_eq!(fs::read(directory.path().join("key.pem")).unwrap(), b"ours");
    assert_eq!(mode(&directory.path().join("key.pem")), 0o600);
}

#[tokio::test]
async fn what_is_too_long_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).await.unwrap();
    state.write("x", &[0; 11]).unwrap();
    let error = state.read("x", 10).unwrap_err();
    assert!(error.to_string().ends_with("remove it"), "{error}");
    assert!(matches!(error, StateError::TooLong { most: 10, .. }), "{error}");
}

#[tokio::test]
async fn a_directory_that_others_may_write_to_is_refused_and_one_that_they_read_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    for writable in [0o770, 0o702, 0o1777] {
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(writable)).unwrap();
        let error = open(directory.path()).await.unwrap_err();
        assert!(error.to_string().contains("chmod 0700"), "{error}");
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    open(directory.path()).await.unwrap();
    assert_eq!(mode(directory.path()), 0o700);
}

/// Root can give a directory away; for all others `/` is somebody else's.
#[tokio::test]
async fn a_directory_of_another_user_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let given = chown(directory.path(), Some(12_345), None).is_ok();
    let error = open(if given { directory.path() } else { Path::new("/") }).await.unwrap_err();
    assert!(matches!(error, StateError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("run the agent as that user"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn one_agent_at_a_time_and_the_next_waits_for_the_last_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).await.unwrap();
    let error = StateDir::open(directory.path(), Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error, StateError::Busy(_)), "{error}");

    let second = tokio::spawn(StateDir::open(directory.path().to_owned(), Duration::from_secs(5)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!second.is_finished());
    drop(first);
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn sockets_have_short_paths() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).await.unwrap();
    assert_eq!(state.socket("sds.sock").unwrap(), state.root().join("sds.sock"));
    let error = state.socket(&"x".repeat(LONGEST_SOCKET)).unwrap_err();
    assert!(error.to_string().contains("shorter path"), "{error}");
}

/// Where a machine has `/dev/shm` it is a tmpfs; `/proc` is neither disk nor memory.
#[tokio::test]
async fn memory_is_told_from_disk() {
    let kind = |path: &str| rustix::fs::statfs(path).unwrap().f_type;
    assert!(!is_memory(kind("/proc")));
    if let Ok(directory) = tempfile::tempdir_in("/dev/shm") {
        assert!(open(directory.path()).await.unwrap().memory_backed());
    }
}
