use super::*;
use crate::dns::message::{Transport, read};
use hickory_proto::{
    op::{MessageType, OpCode},
    rr::{Name, Record, rdata},
};
use proptest::{prelude::*, test_runner::RngSeed};
use std::str::FromStr as _;

fn name(text: &str) -> Name {
    Name::from_str(text).unwrap()
}

fn question(text: &str, kind: RecordType) -> Message {
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    message.add_query(hickory_proto::op::Query::query(name(text), kind));
    message
}

fn query(text: &str, kind: RecordType) -> Query {
    read(&question(text, kind).to_vec().unwrap(), Transport::Udp).unwrap()
}

fn a(text: &str, ttl: u32) -> Record {
    Record::from_rdata(name(text), ttl, RData::A(rdata::A::new(192, 0, 2, 1)))
}

fn alias(text: &str, ttl: u32) -> Record {
    Record::from_rdata(name(text), ttl, RData::CNAME(rdata::CNAME(name("target."))))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    Record::from_rdata(name("."), ttl, RData::SOA(rdata::SOA::new(name("."), name("."), 1, 2, 3, 4, minimum)))
}

fn answer(answers: Vec<Record>, authorities: Vec<Record>) -> Message {
    let mut message = question("example.org.", RecordType::A).into_response();
    message.answers = answers;
    message.authorities = authorities;
    message
}

fn nxdomain(mut message: Message) -> Message {
    message.metadata.response_code = ResponseCode::NXDomain;
    message
}

fn seconds(message: &Message) -> Option<u64> {
    lifetime(RecordType::A, message).map(|lifetime| lifetime.as_secs())
}

#[test]
fn an_answer_is_kept_for_as_long_as_it_says() {
    for (message, expected, why) in [
        (answer(vec![a("example.org.", 60)], vec![]), Some(60), "an address"),
        (answer(vec![a("example.org.", 60), a("example.org.", 7)], vec![]), Some(7), "its shortest-lived record"),
        (answer(vec![alias("example.org.", 5), a("target.", 60)], vec![]), Some(5), "its alias"),
        (answer(vec![a("example.org.", 0)], vec![]), None, "not for a moment"),
        (answer(vec![a("example.org.", u32::MAX)], vec![]), None, "no valid TTL counts as none"),
        (answer(vec![a("example.org.", 1_000_000)], vec![]), Some(86_400), "a day at most"),
        (answer(vec![a("example.org.", 60)], vec![soa(1, 1)]), Some(60), "authorities do not matter to what there is"),
        // What there is not.
        (answer(vec![], vec![soa(20, 10)]), Some(10), "the SOA's minimum"),
        (answer(vec![], vec![soa(10, 20)]), Some(10), "the SOA's own TTL"),
        (answer(vec![], vec![soa(3600, 3600)]), Some(30), "half a minute at most"),
        (answer(vec![], vec![]), None, "without a SOA it is not said for how long"),
        (answer(vec![alias("example.org.", 5)], vec![soa(20, 20)]), Some(5), "an alias of nothing"),
        (answer(vec![alias("example.org.", 5)], vec![]), None, "an alias whose target was not resolved"),
        (nxdomain(answer(vec![], vec![soa(20, 10)])), Some(10), "no such name"),
        (nxdomain(answer(vec![], vec![])), None, "no such name, and no SOA"),
    ] {
        assert_eq!(seconds(&message), expected, "{why}");
    }
    let mut failed = answer(vec![a("example.org.", 60)], vec![]);
    failed.metadata.response_code = ResponseCode::ServFail;
    assert_eq!(seconds(&failed), None, "an error");
    let mut cut = answer(vec![a("example.org.", 60)], vec![]);
    cut.metadata.truncation = true;
    assert_eq!(seconds(&cut), None, "half of an answer");
}

#[test]
fn ttls_count_down_and_end() {
    let (mut cache, now) = (Cache::new(CacheLimits::default()), Instant::now());
    let query = query("example.org.", RecordType::A);
    cache.insert(&query, &answer(vec![a("example.org.", 60), a("example.org.", 90)], vec![]), now);
    let ttls = |cache: &mut Cache, after| {
        let message = cache.fresh(&query, now + Duration::from_secs_f64(after))?;
        Some(message.answers.iter().map(|record| record.ttl).collect::<Vec<_>>())
    };
    assert_eq!(ttls(&mut cache, 0.0), Some(vec![60, 90]));
    assert_eq!(ttls(&mut cache, 0.9), Some(vec![60, 90]));
    assert_eq!(ttls(&mut cache, 59.9), Some(vec![1, 31]));
    assert_eq!(ttls(&mut cache, 60.0), None);
}

/// After its time an answer is used only where it is asked for, for 30 s at a time, and for a day at most.
#[test]
fn stale_answers_are_bounded() {
    let (mut cache, now) = (Cache::new(CacheLimits::default()), Instant::now());
    let query = query("example.org.", RecordType::A);
    cache.insert(&query, &answer(vec![a("example.org.", 60)], vec![]), now);
    let hour = now + Duration::from_secs(3600);
    assert!(cache.fresh(&query, hour).is_none() && cache.has_stale(&query, hour));
    assert_eq!(cache.revive(&query, hour).unwrap().answers[0].ttl, 30);
    assert_eq!(cache.fresh(&query, hour + Duration::from_secs(10)).unwrap().answers[0].ttl, 20);
    assert!(cache.fresh(&query, hour + Duration::from_secs(30)).is_none());
    let end = now + Duration::from_secs(60) + LONGEST_STALE;
    assert!(cache.revive(&query, end - Duration::from_secs(1)).is_some());
    assert!(!cache.has_stale(&query, end) && cache.revive(&query, end).is_none());
}

/// What would be answered otherwise is another question; another spelling is not.
#[test]
fn questions_are_told_apart() {
    let (mut cache, now) = (Cache::new(CacheLimits::default()), Instant::now());
    let base = query("example.org.", RecordType::A);
    cache.insert(&base, &answer(vec![a("example.org.", 60)], vec![]), now);
    assert!(cache.fresh(&query("EXAMPLE.org.", RecordType::A), now).is_some());
    for change in [
        |query: &mut Query| _ = query.question.set_query_type(RecordType::AAAA),
        |query: &mut Query| _ = query.question.set_query_class(hickory_proto::rr::DNSClass::CH),
        |query: &mut Query| _ = query.question.set_name(name("www.example.org.")),
        |query: &mut Query| query.metadata.recursion_desired = true,
        |query: &mut Query| query.metadata.checking_disabled = true,
        |query: &mut Query| query.metadata.authentic_data = true,
    ] {
        let mut other = base.clone();
        change(&mut other);
        assert!(cache.fresh(&other, now).is_none(), "{other:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Whatever is put in: never more than the limits, and the count of bytes is the sum of what is held.
    #[test]
    fn limits_hold(edits in prop::collection::vec((0..40u32, 1..40usize), 1..200)) {
        let limits = CacheLimits { entries: 20, bytes: 8000 };
        let (mut cache, now) = (Cache::new(limits), Instant::now());
        for (host, records) in edits {
            let text = format!("host-{host}.example.org.");
            cache.insert(&query(&text, RecordType::A), &answer(vec![a(&text, 60); records], vec![]), now);
            let held: usize = cache.entries.iter().map(|(key, entry)| cost(key, &entry.message)).sum();
            prop_assert_eq!(cache.size(), (cache.entries.len(), held));
            prop_assert!(cache.entries.len() <= limits.entries && held <= limits.bytes);
        }
    }

    /// The answers used last are those that are held.
    #[test]
    fn the_least_recently_used_go_first(hosts in prop::collection::vec(0..30u32, 1..100)) {
        let (mut cache, now) = (Cache::new(CacheLimits { entries: 10, bytes: 1 << 20 }), Instant::now());
        let mut model: Vec<u32> = Vec::new();
        for host in hosts {
            let text = format!("host-{host}.example.org.");
            let query = query(&text, RecordType::A);
            prop_assert_eq!(cache.fresh(&query, now).is_some(), model.contains(&host));
            cache.insert(&query, &answer(vec![a(&text, 60)], vec![]), now);
            model.retain(|other| *other != host);
            model.push(host);
            if model.len() > 10 {
                model.remove(0);
            }
        }
    }
}
