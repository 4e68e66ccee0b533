//! What a misspelt word was meant to be.

/// Longer words are not compared: the cost grows with the square of the length.
const LONGEST: usize = 64;

/// The candidate that a word most likely was meant to be: equal but for case, or a few edits away.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let most = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|c| c.len() <= LONGEST)
        .map(|c| (distance(&word.to_ascii_lowercase(), &c.to_ascii_lowercase()), c))
        .filter(|(d, _)| *d <= most)
        .min() // the smallest distance, then the first in the alphabet
        .map(|(_, c)| c)
}

/// Levenshtein's distance in bytes, where swapping two neighbours counts as one edit.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_spelling_is_found() {
        let fields = ["matches", "filters", "name"];
        assert_eq!(nearest("matchs", fields), Some("matches"));
        assert_eq!(nearest("Matches", fields), Some("matches"));
        assert_eq!(nearest("amtches", fields), Some("matches"));
        assert_eq!(nearest("nme", fields), Some("name"));
        assert_eq!(nearest("port", fields), None);
        assert_eq!(nearest("", fields), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), fields), None);
    }

    #[test]
    fn distances_are_symmetric_and_count_edits() {
        for (a, b, edits) in [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3)] {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits));
        }
    }
}
