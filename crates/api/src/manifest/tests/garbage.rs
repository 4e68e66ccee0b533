//! Whatever the bytes: an answer, never a panic, and no problem without its place.

use super::{NAMESPACE, ROUTE, file};
use crate::manifest::FileContent;
use proptest::prelude::*;

/// Holds of every file.
fn check(content: &FileContent) {
    for problem in content.problems.iter().chain(content.decoded.iter().flat_map(|d| &d.problems)) {
        assert!(problem.origin.is_some() && !problem.message.is_empty() && !problem.reason.is_empty(), "{problem}");
    }
    for decoded in &content.decoded {
        assert!(decoded.object.is_some() || !decoded.problems.is_empty() || decoded.is_foreign());
        assert!(decoded.object.is_none() || decoded.problems.iter().all(|p| !p.is_error()));
    }
}

const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: tombolo
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - name: https
    port: 443
    protocol: HTTPS
    tls: {certificateRefs: [{name: cert}]}
";

fn good() -> String {
    [NAMESPACE, ROUTE, GATEWAY].join("---\n")
}

/// Words that mean something to YAML or to a kind.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "\n",
            "  ",
            "- ",
            ": ",
            "{",
            "}",
            "[",
            "]",
            "\"",
            "'",
            "&a ",
            "*a",
            "|",
            ">",
            "#",
            "---\n",
            "...\n",
            "%",
            "\t",
            "!!str ",
            "? ",
            "<<: ",
            "null",
            "kind",
            "spec",
            "rules",
            "apiVersion: v1\n",
            "1e999",
            "-1",
            "0x10",
            "on",
            "\u{feff}",
            "\0",
            "😀",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9/.]{1,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        check(&file(bytes));
    }

    #[test]
    fn random_words(words in prop::collection::vec(word(), 0..64)) {
        check(&file(words.concat()));
    }

    #[test]
    fn a_good_file_with_words_strewn_in(at in prop::collection::vec((any::<prop::sample::Index>(), word()), 1..6)) {
        let mut text: Vec<char> = good().chars().collect();
        for (index, word) in at {
            let at = index.index(text.len());
            text.splice(at..at, word.chars());
        }
        check(&file(text.into_iter().collect::<String>()));
    }

    #[test]
    fn a_good_file_with_bytes_changed(at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = good().into_bytes();
        for (index, byte) in at {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        check(&file(bytes));
    }
}

#[test]
fn every_truncation_of_a_good_file() {
    let good = good();
    for end in 0..good.len() {
        let content = file(&good.as_bytes()[..end]);
        check(&content);
        // What was whole before the cut stays as it was.
        if end >= NAMESPACE.len() + "---".len() {
            assert_eq!(content.decoded.first().map(|d| d.reference.to_string()).as_deref(), Some("Namespace shop"));
        }
    }
    assert_eq!(file(&good).decoded.iter().filter(|d| d.object.is_some()).count(), 3);
}
