//! What an event of the file system means for manifests.

use super::scan::{is_hidden, is_manifest};
use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, CreateKind, MetadataKind, ModifyKind, RemoveKind, RenameMode},
};
use std::path::{Path, PathBuf};

/// What to do about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A write has ended: read the file now.
    Written(PathBuf),
    /// A write may be under way, or the file is gone and may come back: read it when it has been quiet for a while.
    Unsettled(PathBuf),
    /// Look at everything: a directory changed, a link was turned, or events were lost.
    Rescan,
}

/// What to do about an event in or below `root`.
pub(super) fn notices(event: &Event, root: &Path) -> Vec<Notice> {
    if event.need_rescan() {
        return vec![Notice::Rescan];
    }
    event.paths.iter().enumerate().filter_map(|(i, path)| notice(event.kind, i, path, root)).collect()
}

fn notice(kind: EventKind, index: usize, path: &Path, root: &Path) -> Option<Notice> {
    let Ok(below) = path.strip_prefix(root) else {
        // The target of a link that leads outside.
        return changes(kind).then_some(Notice::Rescan);
    };
    if below.components().any(|part| is_hidden(part.as_ref())) {
        // Mounted ConfigMaps change by turning the link `..data`. Whatever else is hidden is an editor's or git's own.
        let turned =
            below.components().next().is_some_and(|part| part.as_os_str().as_encoded_bytes().starts_with(b".."));
        return (turned && changes(kind)).then_some(Notice::Rescan);
    }
    if !is_manifest(path) || path.is_dir() {
        let directory = path.is_dir()
            || path == root
            || matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        return (directory && moves(kind)).then_some(Notice::Rescan);
    }
    let path = path.to_owned();
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Notice::Written(path)),
        EventKind::Modify(ModifyKind::Name(mode)) => match (mode, index) {
            (RenameMode::To, _) | (RenameMode::Both, 1) => Some(Notice::Written(path)),
            _ => Some(Notice::Unsettled(path)),
        },
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Metadata(kind)) if kind != MetadataKind::Any => None,
        _ => Some(Notice::Unsettled(path)),
    }
}

/// True for events after which a directory may hold something else.
fn moves(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Create(CreateKind::Folder | CreateKind::Any | CreateKind::Other)
            | EventKind::Remove(RemoveKind::Folder | RemoveKind::Any | RemoveKind::Other)
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Any
    )
}

fn changes(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(AccessKind::Open(_) | AccessKind::Read | AccessKind::Close(AccessMode::Read)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: EventKind, path: &str) -> Vec<Notice> {
        notices(&Event::new(kind).add_path(path.into()), Path::new("/nowhere/m"))
    }

    #[test]
    fn only_the_end_of_a_write_is_read_at_once() {
        let path = "/nowhere/m/a/x.yaml";
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let data = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
        let removed = EventKind::Remove(RemoveKind::File);
        for kind in [closed, renamed] {
            assert_eq!(said(kind, path), [Notice::Written(path.into())]);
        }
        for kind in [data, removed, EventKind::Create(CreateKind::File)] {
            assert_eq!(said(kind, path), [Notice::Unsettled(path.into())]);
        }
    }

    #[test]
    fn what_editors_and_git_write_for_themselves_is_passed_over() {
        let data = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
        for path in ["/nowhere/m/.x.yaml.swp", "/nowhere/m/x.yaml~", "/nowhere/m/.git/index.json", "/nowhere/m/4913"] {
            assert_eq!(said(data, path), [], "{path}");
            assert_eq!(said(EventKind::Create(CreateKind::File), path), [], "{path}");
        }
    }

    #[test]
    fn a_turned_link_a_new_directory_and_lost_events_call_for_a_rescan() {
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert_eq!(said(renamed, "/nowhere/m/..data"), [Notice::Rescan]);
        assert_eq!(said(EventKind::Remove(RemoveKind::Folder), "/nowhere/m/sub"), [Notice::Rescan]);
        assert_eq!(said(renamed, "/elsewhere/x"), [Notice::Rescan]);
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert_eq!(notices(&lost, Path::new("/nowhere/m")), [Notice::Rescan]);
    }
}
