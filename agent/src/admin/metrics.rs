//! Two lists of metrics as one: the agent's own, and Envoy's as it comes.
//!
//! The result is Prometheus' text format, version 0.0.4, as Envoy writes it. Ours is written as OpenMetrics, which differs in what a
//! counter's family is called, in types that the other does not have, and in its end.

use bytes::{Bytes, BytesMut};
use std::collections::HashSet;

/// The longest list of Envoy's that is passed on, in bytes: that of some 100,000 clusters.
pub(crate) const LONGEST: usize = 256 << 20;
/// The longest line.
const LONGEST_LINE: usize = 64 << 10;

/// What the agent's metrics are in Prometheus' text format, and the names of their families.
pub(crate) fn from_open_metrics(text: &str) -> (String, HashSet<String>) {
    let (mut converted, mut families) = (String::with_capacity(text.len()), HashSet::new());
    // In OpenMetrics the description of a family comes in one piece and its type may come last, so they are held back until then.
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let kinds: std::collections::HashMap<&str, &str> = kinds.collect();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (hash, keyword, name) = (words.next(), words.next(), words.next());
        if hash != Some("#") {
            let sample = line.split(" # ").next().unwrap_or(line); // without its exemplar
            converted.push_str(sample);
            converted.push('\n');
            continue;
        }
        let (Some(keyword @ ("HELP" | "TYPE")), Some(name)) = (keyword, name) else { continue };
        let (family, kind) = match kinds.get(name) {
            Some(&"counter") => (format!("{name}_total"), "counter"),
            Some(&"info") => (format!("{name}_info"), "gauge"),
            Some(&"stateset") => (name.to_owned(), "gauge"),
            Some(&"gaugehistogram" | &"unknown") | None => (name.to_owned(), "untyped"),
            Some(kind) => (name.to_owned(), *kind),
        };
        let rest = if keyword == "TYPE" { kind } else { words.next().unwrap_or_default() };
        converted.push_str(&format!("# {keyword} {family} {rest}\n"));
        families.insert(family);
    }
    (converted, families)
}

/// Passes Envoy's metrics on, whole lines at a time, without families that were there before: each may be described once only.
#[derive(Debug)]
pub(crate) struct Merger {
    families: HashSet<String>,
    partial: BytesMut,
    passed: usize,
}

/// Envoy's list is too long, or has a line that is.
#[derive(Debug, thiserror::Error)]
#[error("Envoy's metrics are longer than {LONGEST} bytes, or have a line longer than {LONGEST_LINE}")]
pub(crate) struct TooLong;

impl Merger {
    pub(crate) fn new(families: HashSet<String>) -> Self {
        Self { families, partial: BytesMut::new(), passed: 0 }
    }

    /// What is to be passed on once this piece has come.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Bytes, TooLong> {
        self.partial.extend_from_slice(piece);
        let whole = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines = self.partial.split_to(whole).freeze();
        self.passed += lines.len();
        if self.partial.len() > LONGEST_LINE || self.passed > LONGEST {
            return Err(TooLong);
        }
        Ok(self.without_ours(lines))
    }

    /// The last line, where Envoy did not end it.
    pub(crate) fn finish(mut self) -> Bytes {
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(b"\n");
        }
        let rest = self.partial.split().freeze();
        self.without_ours(rest)
    }

    fn without_ours(&self, lines: Bytes) -> Bytes {
        let ours = |line: &[u8]| family(line).is_some_and(|name| self.is_ours(name));
        if !lines.split(|byte| *byte == b'\n').any(ours) {
            return lines; // as good as always
        }
        let kept = lines.split_inclusive(|byte| *byte == b'\n').filter(|line| !ours(line));
        kept.flatten().copied().collect::<Vec<_>>().into()
    }

    fn is_ours(&self, name: &str) -> bool {
        let parts = ["", "_bucket", "_sum", "_count"];
        parts.iter().filter_map(|part| name.strip_suffix(part)).any(|family| self.families.contains(family))
    }
}

/// The name that a line is about: of a sample, or of a description.
fn family(line: &[u8]) -> Option<&str> {
    let line = str::from_utf8(line).ok()?;
    let line = line.strip_prefix("# TYPE ").or_else(|| line.strip_prefix("# HELP ")).unwrap_or(line);
    line.split([' ', '{']).next().filter(|name| !name.is_empty() && *name != "#")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn open_metrics_become_prometheus_text() {
        let open = "# HELP renewals Certificates renewed.\n# TYPE renewals counter\nrenewals_total{result=\"ok\"} 3 # {id=\"1\"} 1\n\
                    # HELP age_seconds Age.\n# TYPE age_seconds gauge\n# UNIT age_seconds seconds\nage_seconds 1.5\n\
                    # TYPE build info\nbuild_info{version=\"1\"} 1\n# EOF\n";
        let (text, families) = from_open_metrics(open);
        let expected = "# HELP renewals_total Certificates renewed.\n# TYPE renewals_total counter\n\
                        renewals_total{result=\"ok\"} 3\n# HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 1.5\n\
                        # TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n";
        assert_eq!(text, expected);
        assert_eq!(families, ["renewals_total", "age_seconds", "build_info"].map(str::to_owned).into());
    }

    #[test]
    fn families_of_ours_are_left_out_of_envoys() {
        let mut merger = Merger::new(["up".to_owned(), "wait".to_owned()].into());
        let envoys = "# TYPE up gauge\nup 1\nup{a=\"b\"} 2\nupper 1\n# TYPE wait histogram\nwait_bucket{le=\"1\"} 1\nwait_sum 1\n";
        assert_eq!(merger.push(envoys.as_bytes()).unwrap(), "upper 1\n");
        assert_eq!(merger.push(b"no end").unwrap(), "");
        assert_eq!(merger.finish(), "no end\n");
    }

    #[test]
    fn a_line_without_end_is_an_error_and_not_kept() {
        let mut merger = Merger::new(HashSet::new());
        let piece = vec![b'x'; LONGEST_LINE / 2];
        assert!(merger.push(&piece).is_ok() && merger.push(&piece).is_ok());
        assert!(merger.push(&piece).is_err());
    }

    proptest! {
        #![proptest_config(crate::testing::some())]

        /// However Envoy's list is cut into pieces, what comes out is the same.
        #[test]
        fn pieces_do_not_matter(text in "[a-c{} \n]{0,60}", cuts in prop::collection::vec(1..10usize, 0..20)) {
            let pass = |cuts: &[usize]| {
                let mut merger = Merger::new(["a".to_owned()].into());
                let (mut rest, mut out) = (text.as_bytes(), Vec::new());
                for cut in cuts {
                    let (piece, after) = rest.split_at((*cut).min(rest.len()));
                    out.extend(merger.push(piece).unwrap());
                    rest = after;
                }
                out.extend(merger.push(rest).unwrap());
                out.extend(merger.finish());
                out
            };
            prop_assert_eq!(pass(&[]), pass(&cuts));
        }
    }
}
