//! The directory source on a real file system: what editors, mounts and accidents do to files.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helpers fail as tests do

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tombolo_controlplane::{ControlPlane, FileStore, Setup, SystemClock, directory::Directory};

/// Long enough for a busy machine; only failures take it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Watched {
    directory: TempDir,
    plane: ControlPlane,
}

impl Watched {
    async fn with(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self::over(directory).await
    }

    async fn over(directory: TempDir) -> Self {
        let setup = Setup {
            sources: vec![Box::new(Directory::new(directory.path()))],
            facts: Vec::new(),
            store: None,
            xds: tombolo_xds::Config::default(),
            clock: Arc::new(SystemClock),
        };
        let plane = ControlPlane::start(setup).unwrap();
        tokio::time::timeout(PATIENCE, plane.ready()).await.unwrap();
        Self { directory, plane }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Names and the label `v` of all namespaces.
    async fn held(&self) -> BTreeMap<String, String> {
        let read = |world: &tombolo_controlplane::World| {
            let objects = world.snapshot().objects().map(|(key, object)| {
                (key.name.name.to_string(), object.metadata().label("v").unwrap_or_default().to_owned())
            });
            objects.collect()
        };
        self.plane.ask(read).await.unwrap()
    }

    async fn problems(&self) -> Vec<String> {
        self.plane.ask(|world| world.problems().iter().map(ToString::to_string).collect()).await.unwrap()
    }

    async fn until(&self, what: &str, wanted: &[(&str, &str)]) {
        let wanted: BTreeMap<String, String> = wanted.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let deadline = Instant::now() + PATIENCE;
        let mut held = self.held().await;
        while held != wanted {
            assert!(Instant::now() < deadline, "{what}: held {held:?}, wanted {wanted:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            held = self.held().await;
        }
    }

    async fn until_problems(&self, what: &str, wanted: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut problems = self.problems().await;
        while !wanted(&problems) {
            assert!(Instant::now() < deadline, "{what}: {problems:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            problems = self.problems().await;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.plane.stop();
    }
}

fn good(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{v: \"{value}\"}}}}\n---\n")
}

#[tokio::test]
async fn everything_is_read_before_anything_is_served() {
    let watched = Watched::with(&[
        ("a.yaml", &good("a", "1")),
        ("b.json", "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"b\"}}"),
        ("c.txt", "kind: ["),
    ])
    .await;
    assert!(watched.plane.hub().is_open());
    watched.until("read", &[("a", "1"), ("b", "")]).await;
}

#[tokio::test]
async fn edits_apply_however_they_are_written() {
    let watched = Watched::with(&[("a.yaml", &good("a", "1"))]).await;
    watched.write("a.yaml", &good("a", "2"));
    watched.until("written in place", &[("a", "2")]).await;
    watched.write(".a.yaml.tmp", &good("a", "3"));
    fs::rename(watched.path(".a.yaml.tmp"), watched.path("a.yaml")).unwrap();
    watched.until("renamed over", &[("a", "3")]).await;
    fs::rename(watched.path("a.yaml"), watched.path("a.yaml~")).unwrap();
    watched.write("a.yaml", &good("a", "4"));
    watched.until("moved away and written anew", &[("a", "4")]).await;
    fs::remove_file(watched.path("a.yaml")).unwrap();
    watched.until("removed", &[]).await;
}

#[tokio::test]
async fn directories_come_move_and_go() {
    let watched = Watched::with(&[("a.yaml", &good("a", "1"))]).await;
    fs::create_dir_all(watched.path("x/y")).unwrap();
    watched.write("x/y/b.yaml", &good("b", "1"));
    watched.until("new directory", &[("a", "1"), ("b", "1")]).await;
    watched.write("x/y/b.yaml", &good("b", "2"));
    watched.until("edit in a new directory", &[("a", "1"), ("b", "2")]).await;
    fs::rename(watched.path("x"), watched.path("z")).unwrap();
    watched.write("z/y/b.yaml", &good("b", "3"));
    watched.until("moved directory", &[("a", "1"), ("b", "3")]).await;
    fs::remove_dir_all(watched.path("z")).unwrap();
    watched.until("removed directory", &[("a", "1")]).await;
    watched.until_problems("no complaint", <[String]>::is_empty).await;
}

#[tokio::test]
async fn a_mounted_config_map_changes_by_its_link() {
    let directory = TempDir::new().unwrap();
    for version in ["1", "2"] {
        fs::create_dir(directory.path().join(format!("..{version}"))).unwrap();
        fs::write(directory.path().join(format!("..{version}/a.yaml")), good("a", version)).unwrap();
    }
    symlink("..1", directory.path().join("..data")).unwrap();
    symlink("..data/a.yaml", directory.path().join("a.yaml")).unwrap();
    let watched = Watched::over(directory).await;
    watched.until("first", &[("a", "1")]).await;
    symlink("..2", watched.path("..data_tmp")).unwrap();
    fs::rename(watched.path("..data_tmp"), watched.path("..data")).unwrap();
    watched.until("turned", &[("a", "2")]).await;
}

#[tokio::test]
async fn a_broken_file_keeps_its_last_good_content_and_says_so() {
    let watched = Watched::with(&[("a.yaml", &good("a", "1"))]).await;
    watched.write("a.yaml", "kind: [\n");
    watched.until_problems("broken", |p| p.len() == 1 && p[0].contains("keeps serving")).await;
    watched.until("kept", &[("a", "1")]).await;
    watched.write("a.yaml", &good("a", "2"));
    watched.until("mended", &[("a", "2")]).await;
    watched.until_problems("resolved", <[String]>::is_empty).await;
}

#[tokio::test]
async fn a_write_that_stays_open_raises_no_alarm() {
    use std::io::Write;
    let watched = Watched::with(&[("a.yaml", &good("a", "1"))]).await;
    let mut events = watched.plane.subscribe();
    let mut file = fs::File::create(watched.path("a.yaml")).unwrap(); // truncated: the file is empty now
    let text = good("a", "2");
    file.write_all(&text.as_bytes()[..20]).unwrap();
    file.write_all(&text.as_bytes()[20..]).unwrap();
    drop(file);
    watched.until("whole", &[("a", "2")]).await;
    while let Ok(event) = events.try_recv() {
        assert!(event.appeared.is_empty(), "{:?}", event.appeared);
    }
}

#[tokio::test]
async fn a_directory_that_is_taken_away_keeps_serving_and_is_found_again() {
    let outer = TempDir::new().unwrap();
    let (here, away) = (outer.path().join("m"), outer.path().join("away"));
    fs::create_dir(&here).unwrap();
    fs::write(here.join("a.yaml"), good("a", "1")).unwrap();
    let setup = Setup {
        sources: vec![Box::new(Directory::new(&here))],
        facts: Vec::new(),
        store: None,
        xds: tombolo_xds::Config::default(),
        clock: Arc::new(SystemClock),
    };
    let plane = ControlPlane::start(setup).unwrap();
    tokio::time::timeout(PATIENCE, plane.ready()).await.unwrap();
    let watched = Watched { directory: outer, plane };
    fs::rename(&here, &away).unwrap();
    watched.until_problems("gone", |p| p.len() == 1 && p[0].contains("DirectoryLost")).await;
    watched.until("kept", &[("a", "1")]).await;
    fs::write(away.join("a.yaml"), good("a", "2")).unwrap();
    fs::rename(&away, &here).unwrap();
    watched.until("back", &[("a", "2")]).await;
    watched.until_problems("resolved", <[String]>::is_empty).await;
    fs::write(here.join("a.yaml"), good("a", "3")).unwrap();
    watched.until("watched again", &[("a", "3")]).await;
}

#[tokio::test]
async fn a_huge_file_is_refused_without_being_read() {
    let watched = Watched::with(&[("a.yaml", &good("a", "1"))]).await;
    let file = fs::File::create(watched.path("huge.yaml")).unwrap();
    file.set_len(200 << 20).unwrap();
    drop(file);
    watched.until_problems("refused", |p| p.len() == 1 && p[0].contains("200 MB")).await;
    watched.until("the rest", &[("a", "1")]).await;
}

#[tokio::test]
async fn hundreds_of_documents_are_read_and_followed() {
    let text: String = (0..500).map(|n| good(&format!("n{n}"), "1")).collect();
    let watched = Watched::with(&[("all.yaml", &text)]).await;
    assert_eq!(watched.held().await.len(), 500);
    watched.write("all.yaml", &text.replacen("\"1\"", "\"2\"", 1));
    let deadline = Instant::now() + PATIENCE;
    while watched.held().await["n0"] != "2" {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_link_that_leads_in_a_circle_is_walked_once() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("a.yaml"), good("a", "1")).unwrap();
    symlink(Path::new("."), directory.path().join("loop")).unwrap();
    let watched = Watched::over(directory).await;
    watched.until("once", &[("a", "1")]).await;
    watched.until_problems("no duplicate", <[String]>::is_empty).await;
}

#[tokio::test]
async fn the_last_good_content_of_a_broken_file_survives_a_restart() {
    let (directory, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(directory.path().join("a.yaml"), good("a", "1")).unwrap();
    let start = || {
        let store = Arc::new(FileStore::open(state.path()).unwrap());
        ControlPlane::start(Setup {
            sources: vec![Box::new(Directory::new(directory.path()).remembering(store))],
            facts: Vec::new(),
            store: None,
            xds: tombolo_xds::Config::default(),
            clock: Arc::new(SystemClock),
        })
    };
    let plane = start().unwrap();
    tokio::time::timeout(PATIENCE, plane.ready()).await.unwrap();
    let mut watched = Watched { directory: TempDir::new().unwrap(), plane };
    fs::write(directory.path().join("a.yaml"), "kind: [\n").unwrap();
    watched.until_problems("broken", |p| p.len() == 1 && p[0].contains("keeps serving")).await;
    for _ in 0..2 {
        watched.plane.stop();
        watched.plane = start().unwrap();
        tokio::time::timeout(PATIENCE, watched.plane.ready()).await.unwrap();
        watched.until("kept", &[("a", "1")]).await;
        watched.until_problems("still broken", |p| p.len() == 1 && p[0].contains("keeps serving")).await;
    }
    fs::write(directory.path().join("a.yaml"), good("a", "2")).unwrap();
    watched.until("mended", &[("a", "2")]).await;
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0, "nothing is remembered that is not needed");
}
