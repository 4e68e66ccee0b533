use super::*;
use tombolo_api::Kind;
use tombolo_core::NamespacedName;

const GOOD: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: NAME, labels: {v: \"VALUE\"}}\n---\n";
const BAD: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: NAME, labls: {}}\n---\n";

fn files() -> Files {
    Files::new(SourceId::new("test"))
}

fn good(name: &str, value: &str) -> String {
    GOOD.replace("NAME", name).replace("VALUE", value)
}

fn take(files: &mut Files, path: &str, text: &str, trust: Trust) -> Vec<String> {
    files.take(path, manifest::read(text.as_bytes(), path), trust).iter().map(show).collect()
}

fn settled(files: &mut Files, path: &str, text: &str) -> Vec<String> {
    take(files, path, text, Trust::Settled)
}

fn show(edit: &Edit) -> String {
    match edit {
        Edit::Apply(object, origin) => {
            let meta = object.metadata();
            format!("{}={} at {}", meta.name, meta.label("v").unwrap_or("-"), origin.as_ref().unwrap())
        }
        Edit::Delete(key) => format!("{} gone", key.name),
    }
}

fn problems(files: &Files) -> Vec<String> {
    files.problems(&BTreeSet::new()).iter().map(ToString::to_string).collect()
}

#[test]
fn only_what_changed_is_said() {
    let mut files = files();
    assert_eq!(
        settled(&mut files, "x.yaml", &(good("a", "1") + &good("b", "1"))),
        ["a=1 at x.yaml:1", "b=1 at x.yaml:5"]
    );
    assert_eq!(settled(&mut files, "x.yaml", &(good("a", "1") + &good("b", "2"))), ["b=2 at x.yaml:5"]);
    assert_eq!(settled(&mut files, "x.yaml", &good("a", "1")), ["b gone"]);
    let removed: Vec<_> = files.remove("x.yaml").iter().map(show).collect();
    assert_eq!(removed, ["a gone"]);
}

#[test]
fn a_broken_object_keeps_its_last_good_content_and_says_so() {
    let mut files = files();
    settled(&mut files, "x.yaml", &(good("a", "1") + &good("b", "1")));
    let edits = settled(&mut files, "x.yaml", &(BAD.replace("NAME", "a") + &good("b", "2")));
    assert_eq!(edits, ["b=2 at x.yaml:5"]);
    let said = problems(&files);
    assert!(said.len() == 1 && said[0].contains("labls") && said[0].contains("keeps serving"), "{said:?}");
    settled(&mut files, "x.yaml", &(good("a", "3") + &good("b", "2")));
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn an_object_that_was_never_good_is_not_said_to_keep_serving() {
    let mut files = files();
    assert_eq!(settled(&mut files, "x.yaml", &BAD.replace("NAME", "a")), [""; 0]);
    let said = problems(&files);
    assert!(said.len() == 1 && !said[0].contains("keeps serving"), "{said:?}");
}

#[test]
fn a_file_that_is_no_yaml_keeps_all_that_it_held() {
    let mut files = files();
    settled(&mut files, "x.yaml", &(good("a", "1") + &good("b", "1")));
    let edits = settled(&mut files, "x.yaml", &(good("a", "2") + "kind: [\n"));
    assert_eq!(edits, ["a=2 at x.yaml:1"]);
    assert!(problems(&files)[0].contains("keeps serving"), "{:?}", problems(&files));
}

#[test]
fn the_first_file_by_path_counts_and_the_next_takes_over_when_it_goes() {
    let mut files = files();
    settled(&mut files, "b.yaml", &good("a", "b"));
    assert_eq!(settled(&mut files, "a.yaml", &good("a", "a")), ["a=a at a.yaml:1"]);
    assert!(
        problems(&files)[0].starts_with("b.yaml:1: Namespace a: also written at a.yaml:1"),
        "{:?}",
        problems(&files)
    );
    let edits: Vec<_> = files.remove("a.yaml").iter().map(show).collect();
    assert_eq!(edits, ["a=b at b.yaml:1"]);
    assert_eq!(problems(&files), [""; 0]);
}

#[test]
fn a_reading_amid_a_write_takes_nothing_away_and_raises_no_alarm() {
    let mut files = files();
    settled(&mut files, "x.yaml", &good("a", "1"));
    for torn in ["", "kind: [", &BAD.replace("NAME", "a")] {
        assert!(files.doubts("x.yaml", &manifest::read(torn.as_bytes(), "x.yaml")), "{torn:?}");
        assert_eq!(take(&mut files, "x.yaml", torn, Trust::Provisional), [""; 0], "{torn:?}");
        assert_eq!(problems(&files), [""; 0], "{torn:?}");
    }
    assert_eq!(settled(&mut files, "x.yaml", ""), ["a gone"]);
}

#[test]
fn a_file_that_is_moved_takes_nothing_down() {
    let mut files = files();
    settled(&mut files, "a.yaml", &good("a", "1"));
    assert_eq!(settled(&mut files, "z/a.yaml", &good("a", "1")), [""; 0]);
    let leaving = BTreeSet::from([Arc::from("a.yaml")]);
    assert!(files.problems(&leaving).is_empty(), "what is about to go is no duplicate");
    let edits: Vec<_> = files.remove("a.yaml").iter().map(show).collect();
    assert_eq!(edits, ["a=1 at z/a.yaml:1"]);
}

#[test]
fn generation_counts_changes_of_the_spec_only() {
    let service = |port: u16, label: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: a, labels: {{v: \"{label}\"}}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
        )
    };
    let mut files = files();
    for (text, generation) in
        [(service(80, "x"), 1), (service(81, "x"), 2), (service(81, "y"), 2), (service(80, "y"), 3)]
    {
        settled(&mut files, "x.yaml", &text);
        let key =
            ObjectKey { source: SourceId::new("test"), kind: Kind::Service, name: NamespacedName::new("default", "a") };
        assert_eq!(files.served[&key].object.metadata().generation, generation);
    }
}
