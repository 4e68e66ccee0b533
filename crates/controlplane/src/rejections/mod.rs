//! What proxies reject: problems of the objects that it was made from, and facts for the statuses of Gateways and routes.
//!
//! ```text
//! Hub: what is rejected now ─► Book: and a moment ago ─┬─► problems
//!                                                      └─► Report ──┬─► facts, of what all proxies reject
//!                       other replicas ─► Elsewhere ─► Reports ─────┘
//! ```

mod ask;
mod book;
mod elsewhere;
mod proxies;
mod report;

pub use ask::AskError;
pub(crate) use ask::{LONGEST_QUESTION, asked};
pub use elsewhere::Elsewhere;
pub use report::{Part, PartAt, RejectedPart, Report};

use crate::{
    Stopped, World,
    graph::{Command, Commands},
};
use book::{Book, Entry, Said};
use proxies::Viewers;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{oneshot, watch},
    task::yield_now,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{FieldPath, Problem};
use tombolo_proto::{ResourceType, Scope};
use tombolo_translate::{
    engine::{Fact, Relation},
    gateway_api,
};
use tombolo_xds::{Class, Hub};

/// How often to look while anything is rejected: a proxy that takes what it is sent instead is no rejection, and so no news.
const AGAIN: Duration = Duration::from_millis(500);
/// From one look to the next, at least: many proxies answer at about the same time.
const REST: Duration = Duration::from_millis(100);
/// Resources that are looked at in one go where others wait for the same thread.
const IN_ONE_GO: usize = 128;

/// Has the graph thread look whenever rejections change, until `stop`. What changes meanwhile is one change.
pub(crate) fn watch(hub: Hub, commands: Commands, stop: CancellationToken) {
    tokio::spawn(async move {
        let follow = follow(hub.watch_rejections(), || look(&commands, None));
        _ = stop.run_until_cancelled(follow).await;
    });
}

/// Looks after each change and, where that finds anything, again and again. Until the control plane stops.
async fn follow<F: Future<Output = Result<bool, Stopped>>>(mut changes: watch::Receiver<()>, look: impl Fn() -> F) {
    let mut any = false;
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(AGAIN), if any => {}
        }
        any = match look().await {
            Ok(any) => any,
            Err(Stopped) => return,
        };
        sleep(REST).await;
    }
}

/// Has the graph thread look, with what other replicas tell where that is known. True where anything is rejected.
pub(crate) async fn look(commands: &Commands, elsewhere: Option<Vec<Report>>) -> Result<bool, Stopped> {
    let (reply, looked) = oneshot::channel();
    commands.send(Command::Rejections(elsewhere, reply)).await?;
    looked.await.map_err(|_| Stopped)
}

/// What is known of rejections.
#[derive(Default)]
pub(crate) struct Rejections {
    book: Book,
    /// What statuses may tell of what this replica's proxies reject.
    here: Report,
    /// The same of other replicas.
    elsewhere: Vec<Report>,
}

/// What follows from rejections.
pub(crate) struct Rejected {
    /// One problem for each object that a resource was made from which a proxy of this replica rejects; `None` where they are as
    /// before.
    pub(crate) problems: Option<BTreeSet<Problem>>,
    /// What translation says of it in statuses: of what all proxies reject that have answered. Where some have taken it, it serves.
    pub(crate) facts: BTreeSet<(Relation, Fact)>,
}

impl Rejections {
    /// What other replicas tell from now on; `None` where that is as before.
    pub(crate) fn hear(&mut self, elsewhere: Option<Vec<Report>>) {
        self.elsewhere = elsewhere.unwrap_or_else(|| std::mem::take(&mut self.elsewhere));
    }

    /// What statuses may tell of what this replica's proxies reject.
    pub(crate) fn here(&self) -> &Report {
        &self.here
    }

    /// True where nothing is rejected anywhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.book.is_empty() && self.elsewhere.iter().all(|report| report.rejected.is_empty())
    }

    /// Looks at what is rejected now. The cost follows that, and the proxies that see it.
    pub(crate) fn look(&mut self, hub: &Hub, world: &World, now: Instant) -> Rejected {
        let mut viewers = Viewers::new(hub);
        let changed = self.book.update(rejected_now(hub, world), |entry| viewers.since(entry), now);
        // To find what something was made from takes a walk through all of that.
        let problems = changed.then(|| problems(world, &self.book));
        self.here = self.report(&mut viewers, world);
        let reports = self.elsewhere.iter().chain([&self.here]);
        let facts = report::by_all(reports).into_iter().filter_map(|(part, words)| fact(world, part, words)).collect();
        Rejected { problems, facts }
    }

    fn report(&self, viewers: &mut Viewers<'_, Hub>, world: &World) -> Report {
        let mut here = Report::default();
        for (at, words) in self.book.versions() {
            let proxies = words.len();
            if let Some(words) = words.into_iter().min()
                && fact(world, &at.part, words).is_some()
            {
                here.reject(at, words, proxies);
            }
        }
        let parts: BTreeSet<&Part> = here.parts().chain(self.elsewhere.iter().flat_map(Report::parts)).collect();
        here.taken = parts.into_iter().filter_map(|part| viewers.taken(part)).collect();
        here
    }
}

fn problems(world: &World, book: &Book) -> BTreeSet<Problem> {
    let of_part = |(part, proxies): (&Part, Vec<(&str, &Said)>)| {
        let objects = origins(world, part);
        let of = |(proxy, said)| objects.iter().map(move |object| problem(world, object, part, proxy, said));
        proxies.into_iter().flat_map(of).collect::<Vec<_>>()
    };
    book.parts().into_iter().flat_map(of_part).collect()
}

/// Those of these resources that some proxy has taken, as it has.
pub(crate) async fn taken(hub: &Hub, parts: BTreeSet<Part>) -> BTreeSet<PartAt> {
    let (mut viewers, mut taken) = (Viewers::new(hub), BTreeSet::new());
    for (turn, part) in (1..).zip(&parts) {
        taken.extend(viewers.taken(part));
        if turn % IN_ONE_GO == 0 {
            yield_now().await; // whoever serves proxies waits for the same threads
        }
    }
    taken
}

/// What each proxy rejects at this moment.
fn rejected_now(hub: &Hub, world: &World) -> BTreeMap<Entry, Said> {
    let mut now = BTreeMap::new();
    for rejection in hub.rejections() {
        let message: Arc<str> = rejection.message.split_whitespace().collect::<Vec<_>>().join(" ").into();
        let said = Said { version: rejection.version, message };
        for class in rejection.connections.iter().filter_map(|connection| hub.class(*connection)) {
            let Some(scope) = scope(world, &class, rejection.kind, &rejection.name) else { continue };
            let part = Part { scope: scope.clone(), kind: rejection.kind, name: rejection.name.clone() };
            now.insert((part, class.proxy), said.clone());
        }
    }
    now
}

/// The scope of a proxy that a resource is of.
fn scope<'c>(world: &World, class: &'c Class, kind: ResourceType, name: &Arc<str>) -> Option<&'c Scope> {
    class.scopes.iter().find(|scope| world.engine().maker(scope, kind, name).is_some())
}

fn fact(world: &World, part: &Part, words: &str) -> Option<(Relation, Fact)> {
    gateway_api::Rejected::fact(world.engine().maker(&part.scope, part.kind, &part.name)?, &part.name, words)
}

fn problem(world: &World, object: &ObjectKey, part: &Part, proxy: &str, said: &Said) -> Problem {
    let (Part { kind, name, .. }, words) = (part, &said.message);
    let message = format!("proxy {proxy} rejects {} {name} and goes on with what it had: {words}", kind.short());
    let problem = Problem::error(object.reference(), FieldPath::root(), "RejectedByProxy", message);
    match world.origin(&problem.object) {
        Some(origin) => problem.at(origin.clone()),
        None => problem,
    }
}

/// The objects that a rejected resource was made from: those that people write for such a resource, or else all.
fn origins(world: &World, part: &Part) -> BTreeSet<ObjectKey> {
    let all = world.engine().origins(&part.scope, part.kind, &part.name);
    let likely: BTreeSet<_> = all.iter().filter(|key| likely(part.kind).contains(&key.kind)).cloned().collect();
    if likely.is_empty() { all } else { likely }
}

fn likely(kind: ResourceType) -> &'static [Kind] {
    match kind {
        ResourceType::Listener => &[Kind::Gateway],
        ResourceType::Routes => &[Kind::HttpRoute],
        ResourceType::Secret => &[Kind::Secret],
        ResourceType::Cluster | ResourceType::Endpoints | ResourceType::Name => &[Kind::Service, Kind::ServiceEntry],
        ResourceType::NameTable => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn what_changes_all_the_time_is_looked_at_now_and_then() {
        let (change, changes) = watch::channel(());
        let looks = Cell::new(0);
        let follow = follow(changes, || {
            looks.set(looks.get() + 1);
            std::future::ready(Ok(true))
        });
        let seconds = async {
            for _ in 0..1000 {
                change.send_replace(());
                sleep(Duration::from_millis(2)).await;
            }
            let busy = looks.replace(0);
            sleep(Duration::from_secs(6)).await;
            (busy, looks.get())
        };
        let (busy, quiet) = tokio::select! {
            looks = seconds => looks,
            () = follow => panic!("nobody stopped"),
        };
        assert!((19..=21).contains(&busy) && (9..=11).contains(&quiet), "{busy} {quiet}");
    }
}
