//! Whole files: several documents, broken ones among them, and limits.

use super::{NAMESPACE, ROUTE, file, one, told};
use crate::manifest::{FileContent, MAX_FILE};
use std::time::{Duration, Instant};

/// `line: message` of each of a file's own problems.
fn problems(content: &FileContent) -> Vec<String> {
    content.problems.iter().map(|p| format!("{}: {}", p.origin.as_ref().unwrap().line, p.message)).collect()
}

fn lines(content: &FileContent) -> Vec<u32> {
    content.decoded.iter().map(|d| d.origin.as_ref().unwrap().line).collect()
}

#[test]
fn documents_know_their_lines_and_empty_ones_are_passed_over() {
    let text =
        format!("# a comment\n---\n{NAMESPACE}---\n# nothing\n--- # nor here\n\nnull\n...\n%YAML 1.2\n---\n\n{ROUTE}");
    let content = file(text);
    assert_eq!((problems(&content).len(), lines(&content), content.complete), (0, vec![3, 15], true));
    for empty in ["", "\n", "---\n", "# only\r\n---\r\n", "\u{feff}", "~"] {
        let content = file(empty);
        assert!(content.decoded.is_empty() && content.problems.is_empty() && content.complete, "{empty:?}");
    }
}

#[test]
fn a_broken_document_costs_only_itself_and_is_told_by_line() {
    for (broken, expected) in [
        ("a:\n  b: 'x\n", "7: not YAML: invalid indentation in multiline quoted scalar"),
        ("a: {b: 1, c:\n", "5: not YAML: unclosed bracket '{'"),
        ("a:\n  b: 1\n c: 2\n", "7: not YAML: "),
        ("a: 1\nb: 2\na: 3\n", "7: the field \"a\" stands twice in one mapping"),
        ("a: \0\n", "5: not YAML: unexpected character"),
        ("a: *nobody\n", "5: not YAML: alias references unknown anchor"),
        ("a: .nan\n", "5: not YAML: non-finite float"),
    ] {
        let content = file(format!("{NAMESPACE}---\n{broken}---\n{ROUTE}"));
        let told = problems(&content);
        assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        assert_eq!(content.decoded.len(), 2);
        assert!(!content.complete);
    }
}

#[test]
fn tabs_and_foreign_encodings_have_their_own_fix() {
    let content = file("a:\n\tb: 1\n");
    assert_eq!(
        (problems(&content)[0].split(':').next(), content.problems[0].fix.contains("spaces")),
        (Some("2"), true)
    );
    let content = file([NAMESPACE.as_bytes(), b"---\na:\n- \xff\n"].concat());
    assert_eq!((problems(&content), content.decoded.len()), (vec!["6: not UTF-8 text".to_owned()], 1));
    let content = file(b"\xff\xfea\0");
    assert_eq!((problems(&content), content.complete), (vec!["0: the file is UTF-16".to_owned()], false));
}

#[test]
fn a_document_of_unknown_identity_makes_a_file_incomplete() {
    assert!(file(format!("{ROUTE}---\n{}", NAMESPACE.replace("shop", "Not Valid"))).complete);
    assert!(!file(format!("{ROUTE}---\nkind: Namespace\n")).complete);
    assert!(!file(format!("{ROUTE}---\n{}", NAMESPACE.replace("name: shop", ""))).complete);
    assert!(file(format!("{ROUTE}---\napiVersion: apps/v1\nkind: Deployment\n")).complete);
}

#[test]
fn json_is_read_with_tabs_and_escapes() {
    let json = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Namespace\",\n\t\"metadata\": {\"name\": \"shop\",\n\t\t\
                \"annotations\": {\"a\": \"\\/\\ud83d\\ude00\"}}\n}\n";
    let decoded = one(json);
    assert_eq!(told(&decoded), [""; 0]);
    assert_eq!(decoded.object.unwrap().metadata().annotation("a"), Some("/😀"));
}

#[test]
fn lists_are_unpacked() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n\
                - apiVersion: v1\n  kind: NamespaceList\n  items: [{metadata: {name: b}}]\n";
    let content = file(text);
    assert_eq!(
        content.decoded.iter().map(|d| d.reference.to_string()).collect::<Vec<_>>(),
        ["Namespace a", "Namespace b"]
    );
    assert!(content.complete && content.decoded.iter().all(|d| d.object.is_some()));
}

#[test]
fn one_object_twice_counts_once() {
    let twice = format!("{ROUTE}---\n{NAMESPACE}---\n{}", ROUTE.replace("/a", "/b"));
    let content = file(twice);
    assert_eq!(lines(&content), [1, 10]);
    assert_eq!(problems(&content), ["14: also written at f.yaml:1, which counts; this one has no effect"]);
    assert!(content.complete);
    // Foreign kinds, and other groups' kinds of the same name, are not compared.
    let foreign = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n";
    assert_eq!(file(format!("{foreign}---\n{foreign}")).problems, []);
    let gateway = |group| format!("apiVersion: {group}/v1\nkind: Gateway\nmetadata: {{name: x}}\n");
    let both = format!("{}---\n{}", gateway("networking.istio.io"), gateway("gateway.networking.k8s.io"));
    assert_eq!(file(both).problems, []);
}

/// What must be refused, and soon.
fn refused(text: &str) -> String {
    let begin = Instant::now();
    let content = file(text);
    assert!(begin.elapsed() < Duration::from_secs(60), "took {:?}", begin.elapsed());
    assert!(!content.complete && content.problems.len() == 1, "{:?}", content.problems.len());
    content.problems[0].message.clone()
}

#[test]
fn bombs_are_refused_at_once() {
    let row = |c: char, below: char| format!("{c}: &{c} [{}]\n", format!("*{below},").repeat(20));
    let laughs: String =
        ('b'..='z').zip('a'..).fold("a: &a [x, x]\n".to_owned(), |text, (c, below)| text + &row(c, below));
    assert!(refused(&laughs).contains("aliases"));
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(10_000));
    assert!(refused(&long).contains("aliases"));
    assert!(refused("a: &a [*a]\n").contains("recursive"));
}

#[test]
fn depth_is_bounded() {
    refused(&"[".repeat(100_000));
    refused(&"{a: ".repeat(100_000));
    refused(&"- ".repeat(100_000));
    refused(&"? ".repeat(100_000));
    refused(&(0..3000).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>());
    refused(&format!("{}x{}", "[".repeat(65), "]".repeat(65)));
    assert_eq!(file(format!("{}x{}", "[".repeat(64), "]".repeat(64))).problems, []);
}

#[test]
fn large_files_are_read_or_refused_in_bounded_time() {
    let block = |n: usize| NAMESPACE.replace("shop", &format!("shop-{n}")) + "---\n";
    let many: String = (0..).map(block).scan(0, |size, b| (*size < 2 << 20).then(|| (*size += b.len(), b).1)).collect();
    let begin = Instant::now();
    let content = file(&many);
    assert!(begin.elapsed() < Duration::from_secs(120), "took {:?}", begin.elapsed());
    assert!(content.complete && content.problems.is_empty() && content.decoded.len() > 30_000);

    let secret = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: big}}\ndata: {{a: \"{}\"}}\n",
        "x".repeat(10 << 20)
    );
    // Read, and then refused for its size, as the API server would.
    assert!(one(secret).object.is_none());
    assert!(refused(&"x".repeat(MAX_FILE + 1)).contains("at most 32 are read"));
    assert!(refused(&format!("[{}]", "1,".repeat(1_100_000))).contains("too large"));
}

#[test]
fn the_same_object_ten_thousand_times_is_one() {
    let content = file(format!("{NAMESPACE}---\n").repeat(10_000));
    assert_eq!((content.decoded.len(), content.problems.len()), (1, 9_999));
}
