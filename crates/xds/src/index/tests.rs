use super::*;
use tombolo_proto::Part;

fn resource(kind: ResourceType, name: &str, content: &str) -> Arc<Resource> {
    let part = Part::from_bytes(format!("{name} {content}").into_bytes().into(), Vec::new());
    Arc::new(Resource::assemble(kind, name, vec![Arc::new(part)]))
}

fn change(scope: &Scope, name: &str, content: Option<&str>) -> Change {
    let kind = ResourceType::Endpoints;
    Change {
        scope: scope.clone(),
        kind,
        name: name.into(),
        resource: content.map(|content| resource(kind, name, content)),
    }
}

fn connect(index: &mut Index, scopes: &[Scope]) -> (ConnectionId, Arc<Mailbox>) {
    let mailbox = Arc::new(Mailbox::default());
    let connection = index.connect(mailbox.clone());
    index.set_scopes(connection, scopes);
    (connection, mailbox)
}

fn apply(index: &mut Index, change: &Change) -> Vec<u32> {
    let mut touched = RoaringBitmap::new();
    index.apply(change, &mut touched);
    touched.iter().collect()
}

#[test]
fn a_change_touches_its_subscribers_and_those_who_want_everything() {
    let mut index = Index::default();
    let public = Scope::public();
    let (named, _) = connect(&mut index, std::slice::from_ref(&public));
    let (all, _) = connect(&mut index, std::slice::from_ref(&public));
    let (_other_name, _) = connect(&mut index, std::slice::from_ref(&public));
    let (other_scope, _) = connect(&mut index, &[Scope::namespace("x")]);
    index.subscribe(named, ResourceType::Endpoints, "a");
    index.subscribe(_other_name, ResourceType::Endpoints, "b");
    index.subscribe(other_scope, ResourceType::Endpoints, "a");
    index.set_wildcard(all, ResourceType::Endpoints, true);
    assert_eq!(apply(&mut index, &change(&public, "a", Some("1"))), [named.0, all.0]);
    assert_eq!(apply(&mut index, &change(&public, "a", Some("1"))), [0u32; 0], "the same again is no change");
    assert_eq!(apply(&mut index, &change(&public, "a", None)), [named.0, all.0]);
}

#[test]
fn an_earlier_scope_hides_a_later_one() {
    let mut index = Index::default();
    let (mine, public) = (Scope::namespace("x"), Scope::public());
    let (connection, mailbox) = connect(&mut index, &[mine.clone(), public.clone()]);
    let (id, _) = index.subscribe(connection, ResourceType::Endpoints, "a");
    let sees = |index: &Index| index.visible(connection, ResourceType::Endpoints, id).map(|r| r.value());
    assert_eq!(apply(&mut index, &change(&public, "a", Some("public"))), [0]);
    assert_eq!(apply(&mut index, &change(&mine, "a", Some("mine"))), [0]);
    assert_eq!(sees(&index).unwrap(), "a mine");
    assert_eq!(apply(&mut index, &change(&public, "a", Some("public 2"))), [0u32; 0], "hidden");
    assert_eq!(apply(&mut index, &change(&mine, "a", None)), [0]);
    assert_eq!(sees(&index).unwrap(), "a public 2");
    let letters = mailbox.take_letters();
    let letter = &letters[&(ResourceType::Endpoints, "a".into())];
    assert_eq!(
        (letter.before.as_ref().map(|r| r.value()), letter.after.as_ref().map(|r| r.value()).unwrap()),
        (None, "a public 2".into())
    );
}

#[test]
fn churn_leaves_nothing_behind() {
    let mut index = Index::default();
    for round in 0..100 {
        let scope = Scope::namespace(&round.to_string());
        let (connection, _) = connect(&mut index, std::slice::from_ref(&scope));
        let (id, fresh) = index.subscribe(connection, ResourceType::Endpoints, &format!("wanted {round}"));
        assert!(fresh);
        apply(&mut index, &change(&scope, &format!("held {round}"), Some("1")));
        apply(&mut index, &change(&scope, &format!("held {round}"), None));
        apply(&mut index, &change(&Scope::gateway("never", "there"), "unknown", None));
        index.unsubscribe(connection, ResourceType::Endpoints, id);
        index.disconnect(connection);
    }
    assert_eq!((index.scopes.len(), index.scope_ids.len(), index.connections.len()), (0, 0, 0));
    assert_eq!(index.id(ResourceType::Endpoints, "held 5"), None);
    assert_eq!(index.id(ResourceType::Endpoints, "wanted 5"), None);
}
