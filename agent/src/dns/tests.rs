//! From a packet to an answer, without sockets.

use super::*;
use forward::{Verdict, judge};
use hickory_proto::{
    op::{Edns, MessageType, OpCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata},
};
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr as _,
};

fn dns() -> Arc<Dns> {
    let scope = Scope::new("shop", "cluster.local", ["corp.example.com"]);
    let dns =
        Dns::new(Config::new(scope, Resolv::parse(b"nameserver 192.0.2.1\n")), (Ipv4Addr::LOCALHOST, 15053).into());
    let both = NameInfo {
        ips: vec!["10.0.0.1".into(), "10.0.0.2".into(), "2001:db8::1".into()],
        registry: "Kubernetes".into(),
        shortname: "reviews".into(),
        namespace: "shop".into(),
    };
    dns.apply("reviews.shop.svc.cluster.local", Some(&both));
    let many = (0..100u8).map(|last| Ipv4Addr::new(10, 1, 0, last).to_string()).collect();
    dns.apply("many.example.com", Some(&NameInfo { ips: many, ..NameInfo::default() }));
    dns.apply("*.wild.example.com", Some(&NameInfo { ips: vec!["10.2.0.1".into()], ..NameInfo::default() }));
    dns
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(hickory_proto::op::Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn with_edns(mut message: Message, payload: u16) -> Message {
    message.edns.insert(Edns::new()).set_max_payload(payload);
    message
}

/// The answer that is given at once; none where the question is to be forwarded, or is not answered.
fn ask(dns: &Dns, message: &Message, transport: Transport) -> Option<Message> {
    answer_to(dns, &message.to_vec().unwrap(), transport)
}

fn answer_to(dns: &Dns, packet: &[u8], transport: Transport) -> Option<Message> {
    let mut out = Vec::new();
    match dns.step(packet, transport, &mut out) {
        Step::Reply => Some(Message::from_vec(&out).unwrap()),
        Step::Forward(..) | Step::Ignore => None,
    }
}

fn addresses(answer: &Message) -> Vec<String> {
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn addresses_are_answered_by_family() {
    let dns = dns();
    let answer = ask(&dns, &question("Reviews.SHOP.svc.cluster.local.", RecordType::A), Transport::Udp).unwrap();
    let metadata = answer.metadata;
    assert_eq!((metadata.id, metadata.message_type, metadata.op_code), (7, MessageType::Response, OpCode::Query));
    assert!(metadata.authoritative && metadata.recursion_desired && metadata.recursion_available);
    assert!(!metadata.truncation && !metadata.authentic_data && !metadata.checking_disabled);
    assert_eq!(answer.queries[0].name().to_string(), "Reviews.SHOP.svc.cluster.local.", "spelled as it was asked");
    assert!(answer.answers.iter().all(|record| record.ttl == 30 && record.dns_class == DNSClass::IN));
    let mut found = addresses(&answer);
    found.sort();
    assert_eq!(found, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(answer.edns, None, "the client sent none");

    let answer = ask(&dns, &question("reviews.", RecordType::AAAA), Transport::Udp).unwrap();
    assert_eq!(addresses(&answer), ["2001:db8::1"]);
    let answer = ask(&dns, &question("reviews.shop.", RecordType::ANY), Transport::Udp).unwrap();
    assert_eq!(answer.answers.len(), 3);
}

/// The name exists: to say otherwise would end the search for its other family, or make a resolver try another name.
#[test]
fn what_a_name_of_the_mesh_has_not_is_empty() {
    let dns = dns();
    let types =
        [RecordType::MX, RecordType::TXT, RecordType::SRV, RecordType::HTTPS, RecordType::SVCB, RecordType::PTR];
    for kind in types {
        let answer = ask(&dns, &question("reviews.shop.svc.", kind), Transport::Udp).unwrap();
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 0), "{kind}");
    }
    let answer = ask(&dns, &question("a.wild.example.com.", RecordType::AAAA), Transport::Udp).unwrap();
    assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 0));
}

#[test]
fn a_name_with_a_search_domain_appended_is_an_alias() {
    let answer = ask(&dns(), &question("reviews.corp.example.com.", RecordType::AAAA), Transport::Udp).unwrap();
    assert_eq!(addresses(&answer), ["reviews.shop.svc.cluster.local.", "2001:db8::1"]);
    assert_eq!(answer.answers[0].record_type(), RecordType::CNAME);
    assert_eq!(answer.answers[0].name, Name::from_str("reviews.corp.example.com.").unwrap());
    assert_eq!(answer.answers[1].name, Name::from_str("reviews.shop.svc.cluster.local.").unwrap());
    let answer = ask(&dns(), &question("x.wild.example.com.corp.example.com.", RecordType::A), Transport::Udp).unwrap();
    assert_eq!(addresses(&answer), ["x.wild.example.com.", "10.2.0.1"], "the name below the wildcard");
}

#[test]
fn names_of_others_and_of_other_classes_are_forwarded() {
    let dns = dns();
    assert!(ask(&dns, &question("example.org.", RecordType::A), Transport::Udp).is_none());
    assert!(ask(&dns, &question(".", RecordType::NS), Transport::Udp).is_none());
    let mut chaos = question("reviews.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert!(ask(&dns, &chaos, Transport::Udp).is_none());
    assert_eq!(dns.status().queries["malformed"], 0, "they were no errors");
}

/// Every address is first for some, about equally often.
#[test]
fn addresses_take_turns() {
    let dns = dns();
    let mut first = std::collections::BTreeMap::<_, u32>::new();
    for _ in 0..1000 {
        let answer = ask(&dns, &question("reviews.", RecordType::A), Transport::Udp).unwrap();
        *first.entry(addresses(&answer).remove(0)).or_default() += 1;
    }
    assert!(first.len() == 2 && first.values().all(|count| *count > 350), "{first:?}");
}

/// A client is sent what it has room for, and told that there is more; over TCP it gets all.
#[test]
fn answers_are_truncated_to_the_clients_room() {
    let dns = dns();
    let many = || question("many.example.com.", RecordType::A);
    let mut rooms = vec![(many(), 512), (with_edns(many(), 100), 512)];
    rooms.extend((512..545).map(|room| (with_edns(many(), room), room.into())));
    for (message, room) in rooms {
        let mut out = Vec::new();
        let step = dns.step(&message.to_vec().unwrap(), Transport::Udp, &mut out);
        assert!(matches!(step, Step::Reply) && out.len() <= room && out.len() > room - 16, "{} of {room}", out.len());
        let answer = Message::from_vec(&out).unwrap();
        assert!(answer.metadata.truncation && !answer.answers.is_empty());
        assert_eq!(answer.edns.is_some(), message.edns.is_some());
    }
    let whole = [
        (many(), Transport::Tcp),
        (with_edns(many(), 4096), Transport::Udp),
        (with_edns(many(), 65535), Transport::Udp),
    ];
    for (message, transport) in whole {
        let answer = ask(&dns, &message, transport).unwrap();
        assert_eq!((answer.metadata.truncation, answer.answers.len()), (false, 100));
    }
}

#[test]
fn edns_is_answered_with_edns() {
    let mut message = with_edns(question("reviews.", RecordType::A), 1232);
    message.edns.as_mut().unwrap().set_dnssec_ok(true);
    let edns = ask(&dns(), &message, Transport::Udp).unwrap().edns.unwrap();
    assert_eq!((edns.max_payload(), edns.version(), edns.flags().dnssec_ok), (4096, 0, true));
    message.edns.as_mut().unwrap().set_version(1);
    let answer = ask(&dns(), &message, Transport::Udp).unwrap();
    assert_eq!(u16::from(answer.metadata.response_code), 16, "BADVERS, which has BADSIG's number");
}

#[test]
fn what_cannot_be_served_is_refused() {
    let dns = dns();
    let code = |packet: &[u8]| {
        answer_to(&dns, packet, Transport::Udp).map(|answer| (answer.metadata.id, answer.metadata.response_code))
    };
    let good = question("reviews.", RecordType::A).to_vec().unwrap();
    // Too short for an id and flags, or an answer itself: nothing is said.
    assert_eq!(code(b""), None);
    assert_eq!(code(&good[..11]), None);
    let mut answer = good.clone();
    answer[2] |= 0x80;
    assert_eq!(code(&answer), None);
    // A header alone, or a question cut short.
    for len in 12..good.len() {
        assert_eq!(code(&good[..len]), Some((7, ResponseCode::FormErr)), "{len} bytes");
    }
    let with = |at: usize, value: u8| {
        let mut packet = good.clone();
        packet[at] = value;
        code(&packet)
    };
    assert_eq!(with(5, 0), Some((7, ResponseCode::FormErr)), "no question");
    assert_eq!(with(5, 2), Some((7, ResponseCode::FormErr)), "two questions");
    assert_eq!(with(7, 1), Some((7, ResponseCode::FormErr)), "an answer in a question");
    assert_eq!(with(2, 0x28), Some((7, ResponseCode::NotImp)), "an update");
    assert_eq!(with(12, 0xc0), Some((7, ResponseCode::FormErr)), "a name that points to itself");
    let transfer = question("reviews.", RecordType::AXFR).to_vec().unwrap();
    assert_eq!(code(&transfer), Some((7, ResponseCode::Refused)));
}

/// Past the limit a question is answered at once, with an error: it must not pile up behind servers that are away.
#[test]
fn forwarded_questions_are_bounded() {
    let dns = dns();
    let packet = question("example.org.", RecordType::A).to_vec().unwrap();
    let mut out = Vec::new();
    let held: Vec<_> = (0..dns.config.limits.forwarding).map(|_| dns.step(&packet, Transport::Udp, &mut out)).collect();
    assert!(held.iter().all(|step| matches!(step, Step::Forward(..))));
    assert_eq!(answer_to(&dns, &packet, Transport::Udp).unwrap().metadata.response_code, ResponseCode::ServFail);
    drop(held);
    assert!(answer_to(&dns, &packet, Transport::Udp).is_none(), "there is room again");
}

#[test]
fn the_agent_is_not_its_own_name_server() {
    let own = (Ipv4Addr::LOCALHOST, 53).into();
    let servers =
        |own| Dns::new(Config::new(Scope::default(), Resolv::parse(b"nameserver 127.0.0.1\n")), own).status().servers;
    assert!(servers(own).is_empty());
    assert_eq!(servers((Ipv4Addr::LOCALHOST, 15053).into())[0].address, own);
}

fn query(name: &str, kind: RecordType) -> Query {
    message::read(&question(name, kind).to_vec().unwrap(), Transport::Udp).unwrap()
}

fn answer(name: &str, ttl: u32) -> Message {
    let mut message = question(name, RecordType::A).into_response();
    message.metadata.id = 9;
    message.add_answer(Record::from_rdata(Name::from_str(name).unwrap(), ttl, RData::A(rdata::A::new(192, 0, 2, 1))));
    message
}

/// Only an answer to this very question counts.
#[test]
fn upstream_answers_are_checked() {
    let query = query("Example.org.", RecordType::A);
    let judged = |message: &Message| judge(&query, 9, &message.to_vec().unwrap());
    assert!(matches!(judged(&answer("example.ORG.", 60)), Verdict::Answer(Answer::Message(_))), "case does not matter");
    let foreign = |change: &dyn Fn(&mut Message)| {
        let mut message = answer("example.org.", 60);
        change(&mut message);
        assert!(matches!(judged(&message), Verdict::Foreign), "{message:?}");
    };
    foreign(&|message| message.metadata.id = 10);
    foreign(&|message| message.metadata.message_type = MessageType::Query);
    foreign(&|message| message.metadata.op_code = OpCode::Notify);
    foreign(&|message| message.queries.clear());
    foreign(&|message| _ = message.queries[0].set_query_type(RecordType::AAAA));
    foreign(&|message| _ = message.queries[0].set_query_class(DNSClass::CH));
    foreign(&|message| _ = message.queries[0].set_name(Name::from_str("evil.org.").unwrap()));
    foreign(&|message| message.queries.push(message.queries[0].clone()));

    let mut refused = answer("example.org.", 60);
    refused.metadata.response_code = ResponseCode::ServFail;
    assert!(matches!(judged(&refused), Verdict::Refused(_)));
    refused.queries.clear();
    assert!(matches!(judged(&refused), Verdict::Refused(_)), "errors may leave the question out");
    let mut truncated = answer("example.org.", 60);
    truncated.metadata.truncation = true;
    assert!(matches!(judged(&truncated), Verdict::Truncated));
}

/// An answer with a record that is not understood here is none of our business: the client gets it as it came.
#[test]
fn unreadable_records_are_relayed() {
    let query = query("example.org.", RecordType::A);
    let mut packet = answer("example.org.", 60).to_vec().unwrap();
    // An A record of three bytes.
    let len = packet.len();
    packet.truncate(len - 1);
    packet[len - 5] = 3;
    let Verdict::Answer(Answer::Opaque(opaque)) = judge(&query, 9, &packet) else { panic!("it answers the question") };
    let relayed = message::relay(&query, opaque).unwrap();
    assert_eq!((&relayed[..2], &relayed[2..]), (&[0, 7][..], &packet[2..]));
    let long = message::relay(&query, vec![0; 600]).unwrap();
    assert!(Message::from_vec(&long).unwrap().metadata.truncation);
}

/// How many inputs each fuzz test makes up; `FUZZ_CASES` for more.
fn fuzz_cases() -> u32 {
    std::env::var("FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100_000)
}

/// Valid packets with some bytes changed, cut or doubled; and noise.
fn packets(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let mutated = (prop::sample::select(seeds), changes, any::<prop::sample::Index>(), 0..4u8).prop_map(
        |(mut packet, changes, at, how)| {
            for (index, value) in changes {
                let at = index.index(packet.len());
                packet[at] = value;
            }
            match how {
                0 => packet.truncate(at.index(packet.len())),
                1 => packet.extend_from_within(at.index(packet.len())..),
                _ => {}
            }
            packet
        },
    );
    prop_oneof![4 => mutated, 1 => prop::collection::vec(any::<u8>(), 0..600)]
}

fn fuzz(seeds: Vec<Vec<u8>>, test: impl Fn(&[u8])) {
    let config = ProptestConfig {
        cases: fuzz_cases(),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&packets(seeds), |packet| {
        test(&packet);
        Ok(())
    });
    outcome.unwrap();
}

/// Whatever clients send: no panic, and every answer can be read, belongs to the question, and fits.
#[test]
fn no_client_can_hurt() {
    let dns = dns();
    let seeds = vec![
        question("reviews.", RecordType::A).to_vec().unwrap(),
        with_edns(question("many.example.com.", RecordType::A), 1232).to_vec().unwrap(),
        question("reviews.corp.example.com.", RecordType::ANY).to_vec().unwrap(),
        with_edns(question("a.b.c.wild.example.com.", RecordType::HTTPS), 4096).to_vec().unwrap(),
        question("example.org.", RecordType::MX).to_vec().unwrap(),
        answer("reviews.", 60).to_vec().unwrap(),
    ];
    fuzz(seeds, |packet| {
        let mut out = Vec::new();
        if let Step::Reply = dns.step(packet, Transport::Udp, &mut out) {
            let answer = Message::from_vec(&out).unwrap();
            assert!(
                out.len() <= usize::from(message::PAYLOAD) && answer.metadata.message_type == MessageType::Response
            );
            assert_eq!(out[..2], packet[..2]);
        }
    });
}

/// Whatever servers send: no panic, neither in judging it, nor in keeping it, nor in passing it on.
#[test]
fn no_server_can_hurt() {
    let query = query("example.org.", RecordType::A);
    let mut soa = question("example.org.", RecordType::A).into_response();
    soa.metadata.id = 9;
    let name = || Name::from_str("example.org.").unwrap();
    let data = rdata::SOA::new(name(), name(), 1, 2, 3, 4, 60);
    soa.add_authority(Record::from_rdata(name(), 60, RData::SOA(data)));
    let mut rich = with_edns(answer("example.org.", 60), 1232);
    rich.add_answer(Record::from_rdata(name(), u32::MAX, RData::TXT(rdata::TXT::new(vec!["text".into()]))));
    rich.add_additional(Record::from_rdata(name(), 0, RData::AAAA(rdata::AAAA(Ipv6Addr::LOCALHOST))));
    let seeds = [answer("example.org.", 60), soa, rich].map(|message| message.to_vec().unwrap()).to_vec();
    let cache = Mutex::new(Cache::new(CacheLimits { entries: 2, bytes: 4096 }));
    fuzz(seeds, |packet| {
        let (mut cache, now) = (cache.lock().unwrap(), Instant::now());
        let reply = match judge(&query, 9, packet) {
            Verdict::Answer(Answer::Message(message)) => {
                cache.insert(&query, &message, now);
                cache.fresh(&query, now);
                message::reply(&query, *message)
            }
            Verdict::Answer(Answer::Opaque(packet)) => message::relay(&query, packet),
            Verdict::Refused(message) => message::reply(&query, *message),
            Verdict::Foreign | Verdict::Truncated => return,
        };
        assert!(reply.is_none_or(|reply| reply.len() <= query.limit && reply[..2] == [0, 7]));
    });
}
