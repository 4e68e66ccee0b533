//! Answers of other servers, for as long as they may be kept. Pure: the time is given.

use super::message::Query;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, RecordType},
};
use lru::LruCache;
use std::time::Duration;
use tokio::time::Instant;

/// Answers that say that there is nothing are kept no longer than this: what is missing may be about to come.
const LONGEST_NEGATIVE: u32 = 30;
/// No answer is kept longer than this.
const LONGEST: u32 = 86_400;
/// How long an answer may be used after its time, while no server can be reached (RFC 8767, section 4).
const LONGEST_STALE: Duration = Duration::from_secs(86_400);
/// What a stale answer says of how long it may be kept (RFC 8767, section 4), and how long it is until servers are tried again.
const STALE_TTL: Duration = Duration::from_secs(30);
/// What an entry takes besides its key and its message, about.
const ENTRY_BYTES: usize = 160;

/// What the cache may hold. The answers used least recently go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Answers. Default 4,096; with 0 none is kept.
    pub entries: usize,
    /// Bytes of all answers, their keys and bookkeeping included. Default 1 MiB.
    pub bytes: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { entries: 4096, bytes: 1 << 20 }
    }
}

/// Answers by question, encoded: decoded ones take several times the room.
#[derive(Debug)]
pub(crate) struct Cache {
    limits: CacheLimits,
    entries: LruCache<Box<[u8]>, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    message: Box<[u8]>,
    stored: Instant,
    fresh_until: Instant,
    stale_until: Instant,
    /// Past its time, and used all the same.
    stale: bool,
}

impl Cache {
    pub(crate) fn new(limits: CacheLimits) -> Self {
        Self { limits, entries: LruCache::unbounded(), bytes: 0 }
    }

    /// How many answers are held, and how many bytes they take.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Keeps an answer, where it may be kept.
    pub(crate) fn insert(&mut self, query: &Query, answer: &Message, now: Instant) {
        let Some(lifetime) = lifetime(query.question.query_type(), answer) else { return };
        let mut answer = answer.clone();
        answer.edns = None;
        answer.signature = None;
        let Ok(message) = answer.to_vec() else { return };
        let key = key(query);
        let bytes = cost(&key, &message);
        // One answer must not turn out many.
        if bytes > self.limits.bytes / 8 {
            return;
        }
        let fresh_until = now + lifetime;
        let entry = Entry {
            message: message.into(),
            stored: now,
            fresh_until,
            stale_until: fresh_until + LONGEST_STALE,
            stale: false,
        };
        self.bytes += bytes;
        if let Some((key, old)) = self.entries.push(key, entry) {
            self.bytes -= cost(&key, &old.message);
        }
        while self.entries.len() > self.limits.entries || self.bytes > self.limits.bytes {
            let Some((key, old)) = self.entries.pop_lru() else { return };
            self.bytes -= cost(&key, &old.message);
        }
    }

    /// Forgets all answers.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// The answer to a question whose time is not over, its TTLs counted down.
    pub(crate) fn fresh(&mut self, query: &Query, now: Instant) -> Option<Message> {
        let entry = self.entries.get(&*key(query))?;
        if now < entry.fresh_until { entry.message(now) } else { None }
    }

    /// The answer to a question that no server answered. It counts as fresh for a while: servers that cannot be reached are not tried
    /// for each question.
    pub(crate) fn revive(&mut self, query: &Query, now: Instant) -> Option<Message> {
        let entry = self.entries.get_mut(&*key(query)).filter(|entry| now < entry.stale_until)?;
        entry.stale = true;
        entry.fresh_until = now + STALE_TTL;
        entry.message(now)
    }

    /// Whether there is an answer that [`Self::revive`] would give.
    pub(crate) fn has_stale(&self, query: &Query, now: Instant) -> bool {
        self.entries.peek(&*key(query)).is_some_and(|entry| now < entry.stale_until)
    }
}

impl Entry {
    fn message(&self, now: Instant) -> Option<Message> {
        let mut message = Message::from_vec(&self.message).ok()?;
        message.metadata.authoritative = false;
        let age = u32::try_from((now - self.stored).as_secs()).unwrap_or(u32::MAX);
        let left = u32::try_from((self.fresh_until - now).as_secs()).unwrap_or(u32::MAX);
        let sections = [&mut message.answers, &mut message.authorities, &mut message.additionals];
        for record in sections.into_iter().flatten() {
            record.ttl = if self.stale { left } else { record.ttl.saturating_sub(age) };
        }
        Some(message)
    }
}

fn cost(key: &[u8], message: &[u8]) -> usize {
    key.len() + message.len() + ENTRY_BYTES
}

/// Name, type, class, and the flags that change what a server answers.
fn key(query: &Query) -> Box<[u8]> {
    let mut key = Vec::with_capacity(64);
    for label in query.question.name() {
        key.push(u8::try_from(label.len()).unwrap_or_default());
        key.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    key.extend(u16::from(query.question.query_type()).to_be_bytes());
    key.extend(u16::from(query.question.query_class()).to_be_bytes());
    let metadata = &query.metadata;
    let dnssec_ok = query.edns.is_some_and(|edns| edns.dnssec_ok);
    let flags = [metadata.recursion_desired, metadata.checking_disabled, metadata.authentic_data, dnssec_ok];
    key.push(flags.iter().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
    key.into()
}

/// How long an answer may be kept: as long as its shortest-lived record. One that says that there is nothing must say for how long
/// (RFC 2308, section 5). Errors, and what is not for a moment even, are not kept.
fn lifetime(asked: RecordType, answer: &Message) -> Option<Duration> {
    let code = answer.metadata.response_code;
    if answer.metadata.truncation || !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    let is_asked = |kind: RecordType| kind == asked || asked == RecordType::ANY;
    let has_data = code == ResponseCode::NoError && answer.answers.iter().any(|record| is_asked(record.record_type()));
    let negative = answer.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(valid(record.ttl).min(valid(soa.minimum)).min(LONGEST_NEGATIVE)),
        _ => None,
    });
    let bound = if has_data { LONGEST } else { negative? };
    let seconds = answer.answers.iter().map(|record| valid(record.ttl)).fold(bound, u32::min);
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// A TTL with its highest bit set is no TTL, and counts as 0 (RFC 2181, section 8).
fn valid(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

#[cfg(test)]
mod tests;
