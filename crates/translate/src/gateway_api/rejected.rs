//! What a Gateway's proxies reject: facts from outside, which the statuses of the Gateway and of its routes tell.

use super::{Gateway, ListenerRow, ParentRow};
use crate::{
    engine::{Fact, GatewayTable, Relation, TableKey, UnitId, View},
    table,
};
use std::sync::Arc;
use tombolo_api::ObjectKey;
use tombolo_core::Port;

/// The most characters of a proxy's words that a status repeats.
const MOST_WORDS: usize = 300;

/// Something of a Gateway that a proxy rejects. It goes on with what it had before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rejected {
    part: Part,
    words: Arc<str>,
}

/// A part of a Gateway's config: a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Part {
    /// What listens on a port.
    Listener(Port),
    /// A certificate of listeners, by its resource's name.
    Certificate(Arc<str>),
    /// A route table.
    Table(Arc<GatewayTable>),
}

impl Rejected {
    /// The fact that a proxy rejects the resource of this name that a unit made; `None` where that is no part of one Gateway. `words`
    /// are the proxy's.
    pub fn fact(unit: &UnitId, name: &Arc<str>, words: &str) -> Option<(Relation, Fact)> {
        let (gateway, part) = match unit {
            UnitId::Listener(listener) => (&listener.gateway, Part::Listener(listener.port)),
            UnitId::Gateway(Gateway(gateway)) => (gateway, Part::Certificate(name.clone())),
            UnitId::Table(table::Table(TableKey::Gateway(table))) => (&table.gateway, Part::Table(table.clone())),
            _ => return None,
        };
        let words = Arc::from(shortened(words));
        Some((Relation::Rejected(gateway.clone()), Fact::Rejected(Arc::new(Self { part, words }))))
    }

    /// What a status says.
    fn message(&self) -> String {
        format!("a proxy rejects it, and goes on with what it had: {}", self.words)
    }
}

/// On one line, and not long.
fn shortened(words: &str) -> String {
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_WORDS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What proxies of a Gateway reject.
pub(super) fn rejected<'a>(view: &View<'a>, gateway: &ObjectKey) -> Vec<&'a Rejected> {
    let facts = view.relation(Relation::Rejected(gateway.clone()));
    facts.filter_map(|fact| if let Fact::Rejected(rejected) = fact { Some(&**rejected) } else { None }).collect()
}

/// What proxies say of a listener, if they reject it.
pub(super) fn of_listener(rejected: &[&Rejected], listener: &ListenerRow) -> Option<String> {
    let is_its = |rejected: &&&Rejected| match &rejected.part {
        Part::Listener(port) => *port == listener.port,
        Part::Certificate(name) => listener.certificates.iter().any(|own| **own == **name),
        Part::Table(_) => false,
    };
    rejected.iter().find(is_its).map(|rejected| rejected.message())
}

/// What proxies say of the routes that a parent serves, if they reject those: a table is rejected as a whole.
pub(super) fn of_parent(view: &View<'_>, parent: &ParentRow) -> Option<String> {
    let key = &parent.attachments.first()?.gateway;
    let rejected = rejected(view, key);
    if rejected.is_empty() {
        return None; // so that a route's status does not depend on all of its Gateways' listeners
    }
    let row = view.unit(&Gateway(key.clone()))?.as_ref()?;
    let attached = |listener: &&ListenerRow| parent.attachments.iter().any(|to| to.listener == listener.name);
    let tables: Vec<TableKey> = row.serving().filter(attached).map(|listener| listener.table(key)).collect();
    let is_its = |rejected: &&&Rejected| match &rejected.part {
        Part::Table(table) => tables.contains(&TableKey::Gateway(table.clone())),
        Part::Listener(_) | Part::Certificate(_) => false,
    };
    rejected.iter().find(is_its).map(|rejected| rejected.message())
}
