//! On real files.

use super::{super::secret::SECRET, *};
use crate::stream::relay::tests::resource;
use proptest::{prelude::*, test_runner::RngSeed};

const KIND: &str = "kind";

fn cache(directory: &Path, memory_backed: bool) -> Cache {
    Cache { directory: directory.join("state"), memory_backed, owner: "me".to_owned() }
}

fn item(name: &str, content: u8) -> Resource {
    Resource::read(resource(name, content).into()).unwrap()
}

fn contents(shelf: &mut dyn Shelf, kind: &str) -> Vec<Resource> {
    let mut names = shelf.names(kind);
    names.sort();
    names.iter().map(|name| shelf.get(kind, name).unwrap()).collect()
}

#[test]
fn files_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&cache(dir.path(), false)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&disk.directory), 0o700);
    assert_eq!(mode(&disk.directory.join(FILE)), 0o600);
}

#[test]
fn private_keys_are_written_to_memory_only() {
    let dir = tempfile::tempdir().unwrap();
    let secret: Kind = SECRET.into();
    for (memory_backed, kept) in [(true, 1), (false, 0), (true, 0)] {
        let mut disk = Disk::open(&cache(dir.path(), memory_backed)).unwrap();
        if memory_backed && kept == 1 {
            disk.put(&secret, item("key", 77));
            drop(disk);
            disk = Disk::open(&cache(dir.path(), memory_backed)).unwrap();
        }
        assert_eq!(disk.count(SECRET), kept);
        let bytes = fs::read(disk.directory.join(FILE)).unwrap();
        assert_eq!(bytes.windows(3).any(|window| window == b"key"), kept == 1);
        if !memory_backed {
            disk.put(&secret, item("key", 77));
            assert_eq!(disk.get(SECRET, "key"), Some(item("key", 77)));
        }
    }
}

/// A secret that says whose certificates are accepted, and one that holds a key.
fn secret(name: &str, private: bool) -> Resource {
    let field = |tag: u8, content: &[u8]| [&[tag << 3 | 2, content.len() as u8], content].concat();
    let value = [field(1, name.as_bytes()), if private { field(2, b"key") } else { field(4, b"roots") }].concat();
    let any = [field(1, SECRET.as_bytes()), field(2, &value)].concat();
    let envelope = [field(1, if private { b"2" } else { b"1" }), field(2, &any), field(3, name.as_bytes())].concat();
    Resource::read(envelope.into()).unwrap()
}

#[test]
fn whose_certificates_are_accepted_is_kept_wherever() {
    let dir = tempfile::tempdir().unwrap();
    let kind: Kind = SECRET.into();
    let (public, private) = (secret("a", false), secret("a", true));
    let mut disk = Disk::open(&cache(dir.path(), false)).unwrap();
    disk.put(&kind, public.clone());
    let mut disk = Disk::open(&cache(dir.path(), false)).unwrap();
    assert_eq!(contents(&mut disk, SECRET), std::slice::from_ref(&public));
    // A key under the same name: neither is there the next time.
    disk.put(&kind, private.clone());
    assert_eq!(contents(&mut disk, SECRET), std::slice::from_ref(&private));
    let mut disk = Disk::open(&cache(dir.path(), false)).unwrap();
    assert!(contents(&mut disk, SECRET).is_empty());
    disk.put(&kind, public.clone());
    // Likewise where the key was written to memory.
    let mut disk = Disk::open(&cache(dir.path(), true)).unwrap();
    disk.put(&kind, private);
    assert!(contents(&mut Disk::open(&cache(dir.path(), false)).unwrap(), SECRET).is_empty());
}

#[test]
fn a_log_that_changes_often_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(&cache(dir.path(), false)).unwrap();
    let kind: Kind = KIND.into();
    for round in 0..10_000u32 {
        disk.put(&kind, item(&(round % 10).to_string(), (round % 251) as u8));
        if round % 100 == 0 {
            disk.sync().map(Sync::run).transpose().unwrap();
        }
    }
    let held = contents(&mut disk, KIND);
    assert_eq!(held.len(), 10);
    assert!(disk.end < 3 * MIN_GARBAGE, "{} bytes", disk.end);
    disk.sync().map(Sync::run).transpose().unwrap();
    drop(disk);
    assert_eq!(contents(&mut Disk::open(&cache(dir.path(), false)).unwrap(), KIND), held);
    assert!(!dir.path().join("state").join(NEW).exists());
}

#[test]
fn bytes_that_went_bad_are_lost_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(&cache(dir.path(), false)).unwrap();
    let kind: Kind = KIND.into();
    ["a", "b"].iter().for_each(|name| disk.put(&kind, item(name, 1)));
    let entry = disk.index[KIND].get("a").unwrap();
    disk.file.write_all_at(&[0xff], entry.offset + u64::from(entry.len) - 1).unwrap();
    assert_eq!(disk.get(KIND, "a"), None);
    assert_eq!(disk.version(KIND, "a"), None);
    assert_eq!(contents(&mut disk, KIND), [item("b", 1)]);
}

#[test]
fn what_cannot_be_written_is_held_for_as_long_as_the_agent_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(&cache(dir.path(), false)).unwrap();
    let kind: Kind = KIND.into();
    disk.put(&kind, item("a", 1));
    let unwritable = File::open(disk.directory.join(FILE)).unwrap();
    let writable = std::mem::replace(&mut disk.file, unwritable);
    disk.put(&kind, item("a", 2));
    disk.put(&kind, item("b", 1));
    assert!(disk.failing);
    assert_eq!(contents(&mut disk, KIND), [item("a", 2), item("b", 1)]);
    assert_eq!(disk.count(KIND), 2);
    disk.file = writable;
    disk.put(&kind, item("b", 2));
    assert!(!disk.failing);
    assert_eq!(contents(&mut disk, KIND), [item("a", 2), item("b", 2)]);
    let mut again = Disk::open(&cache(dir.path(), false)).unwrap();
    assert_eq!(contents(&mut again, KIND), [item("a", 1), item("b", 2)], "as far as it could be written");
}

#[test]
fn a_file_that_is_none_of_ours_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), false);
    fs::create_dir(&cache.directory).unwrap();
    fs::write(cache.directory.join(FILE), "something else").unwrap();
    let kind: Kind = KIND.into();
    Disk::open(&cache).unwrap().put(&kind, item("a", 1));
    assert_eq!(contents(&mut Disk::open(&cache).unwrap(), KIND), [item("a", 1)]);
    let other = Cache { owner: "you".to_owned(), ..cache };
    assert!(Disk::open(&other).unwrap().names(KIND).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200, rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Names, contents (0 removes), and whether the agent restarts after it.
    #[test]
    fn a_disk_holds_what_memory_holds(
        steps in proptest::collection::vec((0..6u8, 0..4u8, proptest::bool::weighted(0.1)), 0..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), false);
        let (mut disk, mut memory) = (Disk::open(&cache).unwrap(), Memory::default());
        let kind: Kind = KIND.into();
        for (name, content, restart) in steps {
            let name = name.to_string();
            for shelf in [&mut disk as &mut dyn Shelf, &mut memory] {
                match content {
                    0 => shelf.remove(KIND, &name),
                    content => shelf.put(&kind, item(&name, content)),
                }
            }
            if restart {
                disk = Disk::open(&cache).unwrap();
            }
            prop_assert_eq!(contents(&mut disk, KIND), contents(&mut memory, KIND));
            prop_assert_eq!(disk.count(KIND), memory.count(KIND));
        }
    }
}
