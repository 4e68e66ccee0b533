//! Rows: one figure each, held against its target.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, io, path::Path};

/// Which side of the target is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The value must not be above the target.
    Most,
    /// The value must not be below the target.
    Least,
}

/// One result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name in the table and in the JSON: `a`, `a-gateways`, …
    pub name: String,
    /// What was measured, for people.
    pub title: String,
    /// The figure: a median where several were taken; not a number where there is none.
    #[serde(deserialize_with = "number_or_none")]
    pub value: f64,
    /// What it counts: `x` for a ratio.
    pub unit: Cow<'static, str>,
    /// What it is held against.
    pub target: f64,
    /// Which side of the target is good.
    pub bound: Bound,
    /// What else to know: spread, absolute figures, how well a line fits.
    pub note: String,
    /// True where it was not measured, and need not have been: the note says why.
    #[serde(default)]
    pub skipped: bool,
}

/// JSON has no word for what is not a number, so that is written as `null`.
fn number_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Row {
    /// True where the value is on the good side of the target, or equal to it, or was not to be had. A value that is not a number is not.
    pub fn met(&self) -> bool {
        self.skipped
            || match self.bound {
                Bound::Most => self.value <= self.target,
                Bound::Least => self.value >= self.target,
            }
    }
}

/// What is published of a row.
#[derive(Serialize)]
struct Published<'a> {
    value: f64,
    unit: &'a str,
    target: f64,
    bound: Bound,
    /// `null` where it was skipped.
    met: Option<bool>,
}

impl<'a> From<&'a Row> for Published<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            value: row.value,
            unit: &row.unit,
            target: row.target,
            bound: row.bound,
            met: (!row.skipped).then(|| row.met()),
        }
    }
}

/// All results of one run. Its [`fmt::Display`] is the table; serialized it is an object with a member per row, in order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a row; one of the same name is replaced.
    pub fn add(&mut self, row: Row) {
        match self.rows.iter_mut().find(|old| old.name == row.name) {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
    }

    /// The rows, in the order in which they were added.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Writes the JSON to a file: `{"<row>": {"value": 2.5, "unit": "x", "target": 3, "bound": "most", "met": true}}`.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")
    }

    /// True where every row is met.
    pub fn met(&self) -> bool {
        self.rows.iter().all(Row::met)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.rows.iter().map(|row| (&row.name, Published::from(row))))
    }
}

const HEAD: [&str; 6] = ["row", "what", "value", "target", "met", "note"];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![HEAD.map(str::to_owned)];
        lines.extend(self.rows.iter().map(cells));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; HEAD.len()] = std::array::from_fn(width);
        for line in &lines {
            let padded = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

fn cells(row: &Row) -> [String; HEAD.len()] {
    let sign = match row.bound {
        Bound::Most => '≤',
        Bound::Least => '≥',
    };
    [
        row.name.clone(),
        row.title.clone(),
        format!("{} {}", figure(row.value), row.unit),
        format!("{sign} {} {}", figure(row.target), row.unit),
        if row.skipped {
            "-"
        } else if row.met() {
            "yes"
        } else {
            "NO"
        }
        .to_owned(),
        row.note.clone(),
    ]
}

/// Three significant digits below 100, whole numbers above.
fn figure(value: f64) -> String {
    match value.abs() {
        v if v.is_nan() => "none".to_owned(),
        0.0 => "0".to_owned(),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(name: &str, value: f64, bound: Bound) -> Row {
        let (title, note) = ("one edited".into(), "5 pairs".into());
        Row { name: name.into(), title, value, unit: "x".into(), target: 3.0, bound, note, skipped: false }
    }

    #[test]
    fn a_target_is_met_on_its_good_side_and_on_the_line() {
        let met = |value, bound| row("a", value, bound).met();
        assert!(met(2.9, Bound::Most) && met(3.0, Bound::Most) && !met(3.1, Bound::Most));
        assert!(met(3.1, Bound::Least) && met(3.0, Bound::Least) && !met(2.9, Bound::Least));
        assert!(!met(f64::NAN, Bound::Most) && !met(f64::NAN, Bound::Least));
    }

    #[test]
    fn json_has_a_member_per_row() {
        let mut report = Report::default();
        report.add(row("a", 9.0, Bound::Least));
        report.add(row("b", 9.0, Bound::Most));
        report.add(row("a", 2.0, Bound::Least));
        let expected = json!({
            "a": {"value": 2.0, "unit": "x", "target": 3.0, "bound": "least", "met": false},
            "b": {"value": 9.0, "unit": "x", "target": 3.0, "bound": "most", "met": false},
        });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bench.json");
        report.save(&path).unwrap();
        let saved: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(saved, expected);
        assert!(!report.met() && Report::default().met());
    }

    #[test]
    fn what_was_skipped_is_no_miss_and_has_no_figure() {
        let skipped = Row { skipped: true, ..row("k", f64::NAN, Bound::Most) };
        let back: Row = serde_json::from_str(&serde_json::to_string(&skipped).unwrap()).unwrap();
        assert!(back.value.is_nan() && back.met());
        let mut report = Report::default();
        report.add(back);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["k"], json!({"value": null, "unit": "x", "target": 3.0, "bound": "most", "met": null}));
        assert!(report.met() && report.to_string().contains("none x  ≤ 3.00 x  -"), "{report}");
    }

    #[test]
    fn the_table_is_aligned_and_says_what_is_missed() {
        let mut report = Report::default();
        report.add(row("a", 1234.5, Bound::Least));
        report.add(row("c-1000", 4.0, Bound::Most));
        let expected = "\
row     what        value   target    met  note
a       one edited  1234 x  ≥ 3.00 x  yes  5 pairs
c-1000  one edited  4.00 x  ≤ 3.00 x  NO   5 pairs
";
        assert_eq!(report.to_string(), expected);
    }
}
