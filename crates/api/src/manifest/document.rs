//! Text to documents: YAML or JSON, several to a file, each read by itself so that a broken one costs only itself.

use serde_json::Value;
use std::{str, sync::Arc};
use tombolo_core::{FieldPath, NamespacedName, ObjectRef, Origin, Problem};

/// A file above this size is not read. Bytes.
pub const MAX_FILE: usize = 32 << 20;
/// Lists and mappings deeper than this are not read: no kind comes near.
pub const MAX_DEPTH: usize = 64;
/// A document of more values than this is not read.
pub const MAX_VALUES: usize = 1_000_000;

/// One object's text, read but not yet understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file, and the line of the document's first content.
    pub origin: Origin,
    /// Its content.
    pub value: Value,
}

/// Reads every document of a file. Empty ones (comments only, `null`) are passed over, lists (`kind: List`) unpacked.
///
/// A document that is no YAML becomes a problem with file and line; the others are returned. JSON is YAML.
pub fn documents(bytes: &[u8], file: &str) -> (Vec<Document>, Vec<Problem>) {
    let file: Arc<str> = file.into();
    if let Some((message, fix)) = unreadable(bytes) {
        return (Vec::new(), vec![problem("UnreadableFile", message, Origin { file, line: 0 }).fix(fix)]);
    }
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    for part in Parts::of(bytes) {
        match part.parse(&file) {
            Ok(Some(document)) => unpack(document, &mut documents),
            Ok(None) => {}
            Err(problem) => problems.push(*problem),
        }
    }
    (documents, problems)
}

fn unreadable(bytes: &[u8]) -> Option<(String, &'static str)> {
    if bytes.len() > MAX_FILE {
        let message = format!("the file has {} MB; at most {} are read", bytes.len() >> 20, MAX_FILE >> 20);
        return Some((message, "split it"));
    }
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    utf16.then(|| ("the file is UTF-16".to_owned(), "save it as UTF-8"))
}

/// The items of a list as documents of their own; lists may hold lists.
fn unpack(mut document: Document, into: &mut Vec<Document>) {
    let kind = document.value["kind"].as_str().unwrap_or_default();
    let Some(item_kind) = kind.strip_suffix("List").map(str::to_owned) else { return into.push(document) };
    let items = document.value.get_mut("items").filter(|items| items.is_array()).map(Value::take);
    let Some(Value::Array(items)) = items else { return into.push(document) };
    let api_version = document.value["apiVersion"].take();
    for mut value in items {
        // A typed list (`kind: ServiceList`) may say what its items are, so that they do not.
        if let Some(item) = value.as_object_mut().filter(|item| !item_kind.is_empty() && !item.contains_key("kind")) {
            item.insert("kind".to_owned(), item_kind.clone().into());
            item.insert("apiVersion".to_owned(), api_version.clone());
        }
        unpack(Document { origin: document.origin.clone(), value }, into);
    }
}

/// The bytes between two document markers, with the leading `---`.
///
/// YAML forbids a line that begins with a marker inside any value, so that splitting by lines is exact.
struct Part<'a> {
    bytes: &'a [u8],
    /// Of the first byte, from 1.
    line: u32,
}

struct Parts<'a> {
    rest: &'a [u8],
    line: u32,
}

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), line: 1 }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (mut end, mut skip, mut lines) = (0, 0, 0);
        for line in self.rest.split_inclusive(|b| *b == b'\n') {
            if is_marker(line, b"...") {
                (skip, lines) = (line.len(), lines + 1);
                break;
            }
            if end > 0 && is_marker(line, b"---") {
                break;
            }
            end += line.len();
            lines += 1;
        }
        let part = Part { bytes: &self.rest[..end], line: self.line };
        self.rest = &self.rest[end + skip..];
        self.line = self.line.saturating_add(lines);
        Some(part)
    }
}

fn is_marker(line: &[u8], marker: &[u8]) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

impl Part<'_> {
    /// `None` for an empty document.
    fn parse(&self, file: &Arc<str>) -> Result<Option<Document>, Box<Problem>> {
        let at = |line: u32| Origin { file: file.clone(), line };
        let Some(first) = self.bytes.split(|b| *b == b'\n').position(has_content) else { return Ok(None) };
        let text = str::from_utf8(self.bytes).map_err(|e| {
            let before = &self.bytes[..e.valid_up_to()];
            let line = self.line.saturating_add(newlines(before));
            Box::new(problem("InvalidYaml", "not UTF-8 text", at(line)).fix("save the file as UTF-8"))
        })?;
        match serde_saphyr::from_str_with_options::<Value>(text, limits(text.len())) {
            Ok(Value::Null) => Ok(None),
            Ok(value) => Ok(Some(Document { origin: at(self.line.saturating_add(count(first))), value })),
            Err(error) => {
                let line = error.location().map_or(1, |l| l.line().max(1));
                let (message, fix) = explain(&error, text, line);
                Err(Box::new(problem("InvalidYaml", message, at(self.line.saturating_add(count(line) - 1))).fix(fix)))
            }
        }
    }
}

/// True for a line that is not blank, a comment, a directive or a marker alone.
fn has_content(line: &[u8]) -> bool {
    let line = if is_marker(line, b"---") { &line[3..] } else { line };
    !line.starts_with(b"%") && line.trim_ascii_start().first().is_some_and(|b| *b != b'#')
}

fn newlines(bytes: &[u8]) -> u32 {
    count(bytes.iter().filter(|b| **b == b'\n').count())
}

fn count(n: impl TryInto<u32>) -> u32 {
    n.try_into().unwrap_or(u32::MAX)
}

/// What keeps reading linear in the text's length: what aliases repeat is no longer than the text itself.
fn limits(length: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_events: 3 * MAX_VALUES,
            max_nodes: MAX_VALUES,
            max_total_scalar_bytes: 2 * length + (64 << 10),
            max_recorded_anchor_events: length + 4096,
            max_recorded_anchor_bytes: 2 * length + (64 << 10),
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: length + 4096 },
        emit_comments: false,
        legacy_octal_numbers: true, // as Kubernetes reads file modes
        with_snippet: false,
    }
}

fn explain(error: &serde_saphyr::Error, text: &str, line: u64) -> (String, &'static str) {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::AliasError { error, .. } => explain(error, text, line),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            format!("the document is too large, more than {MAX_DEPTH} levels deep, or repeats itself through aliases"),
            "split it, or write out what the aliases stand for",
        ),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map(super::wording::shorten).unwrap_or_default();
            (format!("the field {key:?} stands twice in one mapping"), "remove one of them")
        }
        other => {
            let tabs = usize::try_from(line - 1)
                .ok()
                .and_then(|n| text.lines().nth(n))
                .is_some_and(|l| l.trim_start_matches(' ').starts_with('\t'));
            let whole = other.to_string();
            let message = whole.split(" at line ").next().unwrap_or_default();
            let fix = if tabs {
                "indent with spaces: YAML takes no tabs"
            } else {
                "see whether a quote, a bracket or an indent is missing"
            };
            (format!("not YAML: {message}"), fix)
        }
    }
}

fn problem(reason: &'static str, message: impl Into<String>, origin: Origin) -> Problem {
    let nobody = ObjectRef::new("", NamespacedName::new("", ""));
    Problem::error(nobody, FieldPath::root(), reason, message).at(origin)
}
