//! All clients of the process, and what is noted of them. No I/O.

use super::{
    catalog::{Catalog, ContentId, NameId},
    protocol::{Arrivals, Holding, Holdings, Received},
    request,
    response::{Decoder, Item},
    session::{Session, SessionError},
    transcript::{Recorder, Transcript},
};
use crate::{clock::Moment, fixture::Mesh, sequence::Sequence};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use tombolo_proto::ResourceType;

/// One client, over all its connections.
#[derive(Debug)]
struct Client {
    session: Session,
    decoder: Decoder,
    /// When it first had all that it asked for.
    settled: Option<Moment>,
    /// When it sent its requests on its present connection.
    opened: Option<Moment>,
}

/// An edit's arrivals so far.
#[derive(Debug, Default)]
struct Arrival {
    at: Vec<Option<Moment>>,
    count: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct World {
    catalog: Catalog,
    clients: Vec<Client>,
    arrivals: BTreeMap<Sequence, Arrival>,
    received: [Received; ResourceType::ALL.len()],
    recorder: Option<Recorder>,
    failure: Option<String>,
    /// A client has opened, settled or failed, or an edit has reached the last one: what waits should look.
    news: bool,
}

impl World {
    /// Adds clients. Returns their numbers.
    pub(super) fn add(&mut self, count: usize, namespaces: usize) -> std::ops::Range<usize> {
        let first = self.clients.len();
        for nth in first..first + count {
            let namespace = Mesh::namespace_name(nth % namespaces.max(1));
            self.clients.push(Client {
                session: Session::new(request::node(nth, &namespace)),
                decoder: Decoder::default(),
                settled: None,
                opened: None,
            });
        }
        first..first + count
    }

    /// How many clients there are.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// A client has a new connection: what it sends first.
    pub(super) fn open(&mut self, nth: usize) -> Vec<Bytes> {
        let client = &mut self.clients[nth];
        client.decoder = Decoder::default();
        client.opened = Some(Moment::now());
        self.news = true;
        client.session.open(&self.catalog)
    }

    /// A client's connection is closed on purpose.
    pub(super) fn close(&mut self) {
        self.clients.iter_mut().for_each(|client| client.opened = None);
    }

    /// A client has received a piece of its stream at some moment: what it sends.
    pub(super) fn receive(&mut self, nth: usize, piece: &[u8], at: Moment) -> Result<Vec<Bytes>, SessionError> {
        let (count, client) = (self.clients.len(), &mut self.clients[nth]);
        if let Some(recorder) = self.recorder.as_mut().filter(|_| nth == 0) {
            recorder.push(client.session.requests(), piece)?;
        }
        let (mut out, mut current) = (Vec::new(), Received::default());
        let Client { session, decoder, .. } = client;
        decoder.push(piece, |item| {
            let kind = session.kind_of(&item);
            note(&mut current, &item);
            if let Some(sequence) = session.receive(item, &mut self.catalog, &mut out)? {
                let arrival = self.arrivals.entry(sequence).or_default();
                arrival.at.resize(count, None);
                arrival.count += usize::from(arrival.at[nth].is_none());
                arrival.at[nth].get_or_insert(at);
                self.news |= arrival.count == count;
            }
            if let Some(kind) = kind {
                add(&mut self.received[kind as usize], std::mem::take(&mut current));
            }
            Ok::<_, SessionError>(())
        })?;
        Ok(out)
    }

    /// Notes that a client has sent what it had to: it may have settled by that.
    pub(super) fn sent(&mut self, nth: usize) {
        let client = &mut self.clients[nth];
        if client.settled.is_none() && client.session.is_settled() {
            client.settled = Some(Moment::now());
            self.news = true;
        }
    }

    /// True where there is news since it was last asked.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// A client cannot go on. The first such is what the next command is answered with.
    pub(super) fn fail(&mut self, nth: usize, why: &str) {
        self.failure.get_or_insert_with(|| format!("client {nth}: {why}"));
        self.news = true;
    }

    /// Why the first client that could not go on could not.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// When the last client settled; `None` where one has not.
    pub(super) fn settled(&self) -> Option<Moment> {
        last(self.clients.iter().map(|client| client.settled))
    }

    /// When the last client sent its first requests; `None` where one has not.
    pub(super) fn opened(&self) -> Option<Moment> {
        last(self.clients.iter().map(|client| client.opened))
    }

    /// True where every client has received an edit.
    pub(super) fn arrived(&self, sequence: Sequence) -> bool {
        self.arrivals.get(&sequence).is_some_and(|arrival| arrival.count == self.clients.len())
    }

    /// How many clients have received an edit, for people.
    pub(super) fn reached(&self, sequence: Sequence) -> String {
        let count = self.arrivals.get(&sequence).map_or(0, |arrival| arrival.count);
        format!("edit {} has reached {count} of {} clients", sequence.get(), self.clients.len())
    }

    /// Who is behind, and what the first of them waits for, for people.
    pub(super) fn behind(&self) -> String {
        let behind = || self.clients.iter().enumerate().filter(|(_, client)| !client.session.is_settled());
        match behind().next() {
            None => format!("all {} clients have all that they asked for", self.clients.len()),
            Some((nth, client)) => {
                let (count, all) = (behind().count(), self.clients.len());
                format!("{count} of {all} clients wait: client {nth} for {}", client.session.waits_for(&self.catalog))
            }
        }
    }

    /// Takes the edits noted so far.
    pub(super) fn take_arrivals(&mut self) -> Vec<Arrivals> {
        let all = std::mem::take(&mut self.arrivals);
        all.into_iter().map(|(sequence, arrival)| Arrivals { sequence, at: arrival.at }).collect()
    }

    /// Takes the counts of what was received so far.
    pub(super) fn take_received(&mut self) -> BTreeMap<String, Received> {
        let all = std::mem::take(&mut self.received);
        ResourceType::ALL.into_iter().zip(all).map(|(kind, received)| (kind.short().to_owned(), received)).collect()
    }

    /// Begins to write down what the first client receives.
    pub(super) fn record(&mut self) {
        self.recorder = Some(Recorder::default());
    }

    /// What was written down.
    pub(super) fn take_transcript(&mut self) -> Transcript {
        self.recorder.take().map(Recorder::finish).unwrap_or_default()
    }

    /// What every client holds, those together that hold the same.
    pub(super) fn holdings(&self) -> Vec<Holdings> {
        let mut groups: HashMap<Vec<(ResourceType, NameId, ContentId)>, Vec<usize>> = HashMap::new();
        for (nth, client) in self.clients.iter().enumerate() {
            let held = |kind| client.session.table(kind).held().map(move |(name, content)| (kind, name, content));
            groups.entry(ResourceType::ALL.into_iter().flat_map(held).collect()).or_default().push(nth);
        }
        let mut holdings: Vec<_> = groups.into_iter().map(|(held, clients)| self.group(&held, clients)).collect();
        holdings.sort_by_key(|group| group.clients.first().copied());
        holdings
    }

    fn group(&self, held: &[(ResourceType, NameId, ContentId)], clients: Vec<usize>) -> Holdings {
        let holding = |(kind, name, content): &(ResourceType, NameId, ContentId)| {
            let content = self.catalog.content(*content);
            Holding {
                kind: kind.short().to_owned(),
                name: self.catalog.name(*kind, *name).to_string(),
                version: content.version.to_string(),
                hash: format!("{:032x}", content.hash),
                endpoints: content.endpoints.to_vec(),
            }
        };
        let mut resources: Vec<_> = held.iter().map(holding).collect();
        resources.sort();
        Holdings { clients, resources }
    }
}

/// The greatest, where all are there.
fn last(mut moments: impl Iterator<Item = Option<Moment>>) -> Option<Moment> {
    moments.try_fold(Moment::default(), |last, moment| Some(last.max(moment?)))
}

fn note(received: &mut Received, item: &Item<'_>) {
    match item {
        Item::Resource(entry) => {
            received.resources += 1;
            received.bytes += entry.value.len() as u64;
        }
        Item::Removed(_) => received.removed += 1,
        Item::End => received.responses += 1,
        Item::Type(_) | Item::Nonce(_) => {}
    }
}

fn add(sum: &mut Received, more: Received) {
    sum.responses += more.responses;
    sum.resources += more.resources;
    sum.bytes += more.bytes;
    sum.removed += more.removed;
}
