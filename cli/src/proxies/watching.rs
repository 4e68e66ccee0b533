//! What a replica cannot watch: its metrics say so.

use std::collections::BTreeSet;

/// 1 for each kind, and what it is read for, that cannot be watched now.
const FAILING: &str = "tombolo_watch_failing{";
/// Kinds that are named; of the rest only the number is told.
const NAMED: usize = 3;

/// The kinds that cannot be watched, by a page of metrics (OpenMetrics text format).
pub(super) fn failing(metrics: &str) -> BTreeSet<String> {
    let kind = |line: &str| {
        let (labels, value) = line.strip_prefix(FAILING)?.split_once("} ")?;
        let kind = labels.split(',').find_map(|label| label.strip_prefix("kind=\"")?.strip_suffix('"'))?;
        (value.trim() == "1").then(|| kind.to_owned())
    };
    metrics.lines().filter_map(kind).collect()
}

/// The same for people: it may be one kind that is not allowed, or the API server that cannot be reached.
pub(super) fn words(failing: &BTreeSet<String>) -> String {
    let named: Vec<_> = failing.iter().take(NAMED).map(String::as_str).collect();
    let more = failing.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("cannot watch {}{more}, and goes on with what it read last", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_cannot_be_watched_are_read_from_metrics() {
        let page = "# TYPE tombolo_watch_failing gauge\n\
            tombolo_watch_failing{kind=\"Pod\",purpose=\"identities\"} 1\n\
            tombolo_watch_failing{kind=\"Pod\",purpose=\"replicas\"} 1\n\
            tombolo_watch_failing{kind=\"Secret\",purpose=\"objects\"} 0\n\
            tombolo_watch_failing{kind=\"Gateway\",purpose=\"objects\"} 1\n\
            tombolo_watch_failures_total{kind=\"Node\",purpose=\"nodes\"} 1\n# EOF\n";
        let failing = failing(page);
        assert_eq!(failing, ["Gateway", "Pod"].map(str::to_owned).into());
        assert_eq!(words(&failing), "cannot watch Gateway, Pod, and goes on with what it read last");
        let many = ["A", "B", "C", "D", "E"].map(str::to_owned).into();
        assert_eq!(words(&many), "cannot watch A, B, C and 2 more, and goes on with what it read last");
    }
}
