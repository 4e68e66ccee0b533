//! What users are told of their Gateways and routes.

use super::{
    Gateway, GatewayRow, ListenerRow, ParentRow, Refusal, Route, Rules, RulesRow, placement::placement,
    programmed::Programming, rejected,
};
use crate::{
    engine::{Built, Emits, Relation, Unit, View},
    status::{self, Condition, ListenerStatus, RouteParentStatus, Status},
};
use tombolo_api::{
    ObjectKey,
    gateway::{self, CONTROLLER, HttpRoute},
};
use tombolo_core::{FieldPath, Problem};

/// A Gateway's status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GatewayStatus(pub ObjectKey);

/// A route's status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteStatus(pub ObjectKey);

impl Unit for GatewayStatus {
    type Output = ();
    const RANK: u8 = 10;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        let gateway = view.object::<gateway::Gateway>(&self.0)?;
        let mut emits = Emits::default();
        if let Some(Some(row)) = view.unit(&Gateway(self.0.clone())) {
            let placement = placement(view, &self.0, gateway, row, &mut emits);
            let rejected = rejected::rejected(view, &self.0);
            let programming = Programming { row, placement: placement.as_ref(), rejected };
            let listeners = row.listeners.iter().enumerate().map(|(i, listener)| {
                let field = FieldPath::from("spec.listeners").index(i);
                // A fault was a problem when the Gateway was read.
                if gateway.listeners.get(i).is_none_or(|listener| listener.fault.is_none()) {
                    report(&self.0, &field, [&listener.refused, &listener.conflict, &listener.unresolved], &mut emits);
                }
                let attached = view.count(Relation::Attached(self.0.clone(), listener.name.clone()));
                listener_status(&programming, listener, attached)
            });
            let listeners = listeners.collect();
            report(&self.0, &FieldPath::from("spec"), [&row.refused], &mut emits);
            let conditions = vec![accepted(row), programming.of_gateway()];
            let addresses = placement.map(|placement| placement.addresses);
            emits.status(self.0.clone(), Status::Gateway(status::GatewayStatus { conditions, listeners, addresses }));
        }
        Some(Built { output: (), emits })
    }
}

/// A refusal is also a problem, for those who read no status.
fn report<'a>(
    key: &ObjectKey,
    field: &FieldPath,
    refusals: impl IntoIterator<Item = &'a Option<Refusal>>,
    emits: &mut Emits,
) {
    for refusal in refusals.into_iter().flatten() {
        emits.problems.push(Problem::error(key.reference(), field.clone(), refusal.reason, refusal.message.clone()));
    }
}

fn accepted(row: &GatewayRow) -> Condition {
    let generation = row.generation;
    if let Some(Refusal { reason, message }) = &row.refused {
        return Condition::no("Accepted", reason, message, generation);
    }
    let valid = row.listeners.iter().filter(|l| l.serves() && l.unresolved.is_none()).count();
    let total = row.listeners.len();
    match valid {
        _ if valid == total => Condition::yes("Accepted", "Accepted", "", generation),
        _ if row.listeners.iter().any(ListenerRow::accepted) => {
            let message = format!("{valid} of {total} listeners are valid: see their conditions");
            Condition::yes("Accepted", "ListenersNotValid", message, generation)
        }
        _ => Condition::no("Accepted", "ListenersNotValid", "no listener is valid: see their conditions", generation),
    }
}

fn listener_status(of: &Programming<'_>, listener: &ListenerRow, attached_routes: usize) -> ListenerStatus {
    let generation = of.row.generation;
    let accepted = match listener.refused.as_ref().or(listener.conflict.as_ref()) {
        Some(Refusal { reason, message }) => Condition::no("Accepted", reason, message, generation),
        None => Condition::yes("Accepted", "Accepted", "", generation),
    };
    let conflicted = match &listener.conflict {
        Some(Refusal { reason, message }) => Condition::yes("Conflicted", reason, message, generation),
        None => Condition::no("Conflicted", "NoConflicts", "", generation),
    };
    let resolved = match &listener.unresolved {
        Some(Refusal { reason, message }) => Condition::no("ResolvedRefs", reason, message, generation),
        None => Condition::yes("ResolvedRefs", "ResolvedRefs", "", generation),
    };
    ListenerStatus {
        name: listener.name.clone(),
        supported_kinds: listener.kinds.clone(),
        attached_routes,
        conditions: vec![accepted, conflicted, of.of_listener(listener), resolved],
    }
}

impl Unit for RouteStatus {
    type Output = ();
    const RANK: u8 = 10;

    fn build(&self, view: &View<'_>) -> Option<Built<()>> {
        let route = view.object::<HttpRoute>(&self.0)?;
        let generation = route.metadata.generation;
        let mut emits = Emits::default();
        if let (Some(row), Some(rules)) = (view.unit(&Route(self.0.clone())), view.unit(&Rules(self.0.clone())))
            && !row.parents.is_empty()
        {
            let refusals = rules.unresolved.iter().chain(&rules.unsupported);
            for (field, Refusal { reason, message }) in refusals.filter(|(field, _)| !is_told(route, field)) {
                emits.problems.push(Problem::error(self.0.reference(), field.clone(), reason, message.clone()));
            }
            for parent in &row.parents {
                let field = FieldPath::from("spec.parentRefs").index(parent.index);
                report(&self.0, &field, [&parent.refused], &mut emits);
            }
            let parents = row.parents.iter();
            let parents = parents.map(|p| parent_status(p, rules, rejected::of_parent(view, p), generation)).collect();
            emits.status(self.0.clone(), Status::Route { parents });
        }
        Some(Built { output: (), emits })
    }
}

/// A fault was a problem when the route was read.
fn is_told(route: &HttpRoute, field: &FieldPath) -> bool {
    let faults = |rule: &gateway::HttpRule| rule.fault.iter().any(|fault| fault.field == *field);
    route.rules.iter().any(|rule| faults(rule) || rule.untold.iter().any(|(_, fault)| fault.field == *field))
}

fn parent_status(row: &ParentRow, rules: &RulesRow, rejected: Option<String>, generation: i64) -> RouteParentStatus {
    let unsupported = rules.unsupported.first().map(|(_, refusal)| refusal);
    let accepted = match row.refused.as_ref().or(unsupported.filter(|_| rules.dropped().count() == rules.rules.len())) {
        Some(Refusal { reason, message }) => Condition::no("Accepted", reason, message, generation),
        None => Condition::yes("Accepted", "Accepted", "", generation),
    };
    // As the specification has it: only where it is true, and of a route that is accepted.
    let partially = unsupported.filter(|_| accepted.status).map(|Refusal { reason, message }| {
        let dropped: Vec<&str> = rules.dropped().map(|rule| rule.name.as_str()).collect();
        let dropped = if dropped.is_empty() { "in part".to_owned() } else { dropped.join(", ") };
        Condition::yes("PartiallyInvalid", reason, format!("Dropped Rule {dropped}: {message}"), generation)
    });
    let resolved = match rules.unresolved.first() {
        Some((_, Refusal { reason, message })) => Condition::no("ResolvedRefs", reason, message, generation),
        None => Condition::yes("ResolvedRefs", "ResolvedRefs", "", generation),
    };
    // No condition of the specification's: it is there only while proxies go on with what they had.
    let rejected = rejected.map(|message| Condition::no("Programmed", "Invalid", message, generation));
    RouteParentStatus {
        parent_ref: row.parent.clone(),
        controller_name: CONTROLLER,
        conditions: [accepted, resolved].into_iter().chain(partially).chain(rejected).collect(),
    }
}

#[cfg(test)]
mod tests;
