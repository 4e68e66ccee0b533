//! One clear line for each change: what was applied, what it changed for whom, how long it took; and each problem.

use crate::terminal::{self, Style, count, paint};
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tombolo_controlplane::{Applied, ControlPlane, Edited};

/// Objects named one by one; more are counted.
const NAMED: usize = 3;

/// Prints every change until the control plane stops.
pub(crate) async fn run(plane: ControlPlane, mut events: Receiver<Arc<Applied>>) {
    let before = plane.clone();
    loop {
        match events.recv().await {
            Ok(event) => lines(&event).iter().for_each(|line| terminal::line(line)),
            Err(RecvError::Lagged(missed)) => {
                let missed = count(usize::try_from(missed).unwrap_or(usize::MAX), "change");
                let left = before.ask(|world| world.problems().len()).await.unwrap_or_default();
                terminal::line(&format!("{missed} too fast to print; {} now", count(left, "problem")));
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn lines(event: &Applied) -> Vec<String> {
    let mut lines = Vec::new();
    if !event.objects.is_empty() {
        lines.push(format!(
            "{} → {} {}",
            applied(event),
            effect(event),
            paint(Style::Dim, &format!("({})", took(event.took)))
        ));
    }
    lines.extend(event.appeared.iter().map(terminal::problem));
    lines.extend(event.resolved.iter().map(|problem| {
        let place = if problem.field.is_root() { String::new() } else { format!(": {}", problem.field) };
        format!("{} {}{place} [{}]", paint(Style::Green, "resolved:"), problem.object, problem.reason)
    }));
    lines
}

/// `changed HTTPRoute shop/web, added 4 objects`
fn applied(event: &Applied) -> String {
    let of = |wanted, word: &str| {
        let keys: Vec<_> = event.objects.iter().filter(|(_, edited)| *edited == wanted).map(|(key, _)| key).collect();
        match keys.len() {
            0 => None,
            n if n <= NAMED => {
                let names: Vec<_> = keys.iter().map(ToString::to_string).collect();
                Some(format!("{word} {}", paint(Style::Bold, &names.join(", "))))
            }
            n => Some(format!("{word} {}", count(n, "object"))),
        }
    };
    let parts = [of(Edited::Added, "added"), of(Edited::Changed, "changed"), of(Edited::Removed, "removed")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `gateway/shop/edge: 1 rds, 2 cds`
fn effect(event: &Applied) -> String {
    let all = event.resources.len();
    let one =
        |(scope, types): (&tombolo_proto::Scope, &std::collections::BTreeMap<tombolo_proto::ResourceType, usize>)| {
            let types: Vec<_> = types.iter().map(|(kind, n)| format!("{n} {}", kind.short())).collect();
            format!("{scope}: {}", types.join(", "))
        };
    match all {
        0 => "nothing changes for any proxy".to_owned(),
        n if n <= NAMED => event.resources.iter().map(one).collect::<Vec<_>>().join("; "),
        n => {
            let sum: usize = event.resources.values().flat_map(|types| types.values()).sum();
            format!("{} for {} of proxies", count(sum, "resource"), count(n, "group"))
        }
    }
}

fn took(time: Duration) -> String {
    match time.as_micros() {
        micros if micros < 1000 => format!("{micros} µs"),
        micros => {
            format!("{:.1} ms", Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).as_secs_f64() * 1e3)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{path::PathBuf, time::SystemTime};
    use tombolo_controlplane::{Update, World, directory};
    use tombolo_core::SourceId;

    /// What is printed when these manifests are added one after the other.
    fn printed(texts: &[&str]) -> Vec<Vec<String>> {
        let (mut world, source) = (World::default(), SourceId::new("here"));
        let directory = tempfile::tempdir().unwrap();
        let path: PathBuf = directory.path().join("x.yaml");
        let one = |text: &&str| {
            std::fs::write(&path, text).unwrap();
            let contents = directory::read_once(std::slice::from_ref(&path), source).unwrap();
            let update = Update { edits: contents.edits, problems: Some(contents.problems), ..Update::default() };
            lines(&world.update(source, update, SystemTime::UNIX_EPOCH).0)
        };
        texts.iter().map(one).collect()
    }

    #[test]
    fn a_change_is_one_line_and_each_problem_another() {
        let good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
        let bad = "apiVersion: v1\nkind: Namespace\nmetadata: {nam: b}\n";
        let printed = printed(&[good, bad, good]);
        assert!(
            printed[0].len() == 1 && printed[0][0].starts_with("added Namespace a → nothing changes"),
            "{printed:?}"
        );
        assert!(printed[1].iter().all(|line| line.starts_with("error: ")), "{printed:?}");
        assert!(printed[1].iter().any(|line| line.contains("metadata.nam")), "{printed:?}");
        assert!(printed[2].iter().all(|line| line.starts_with("resolved: ")), "{printed:?}");
    }

    #[test]
    fn many_objects_are_counted() {
        let many: String =
            (0..9).map(|n| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: n{n}}}\n---\n")).collect();
        assert!(printed(&[&many])[0][0].starts_with("added 9 objects → "));
    }
}
