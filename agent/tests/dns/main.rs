//! The agent's DNS on real sockets, with real name servers behind it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod client;
mod resolv_conf;
mod upstream;

use client::{DEADLINE, Server, addresses, config, framed, question, receive, send};
use hickory_proto::op::{Edns, ResponseCode};
use std::{net::Ipv4Addr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UdpSocket,
    time::{self, timeout},
};
use upstream::{Manner, Upstream};

const ANSWERS: Manner = Manner::Answers { ttl: 60 };

#[tokio::test]
async fn names_of_the_mesh_are_answered_over_udp_and_tcp() {
    let server = Server::start(config(&[])).await;
    let answer = server.ask("one.example.com.").await;
    assert_eq!((answer.metadata.id, addresses(&answer)), (4711, vec!["10.0.0.1".to_owned()]));

    // Too long for UDP: the client is told to come over TCP.
    assert!(server.ask("many.example.com.").await.metadata.truncation);
    let mut stream = server.connect().await;
    // Several questions on one connection, before any answer; and one byte by byte.
    for name in ["many.example.com.", "one.example.com.", "many.example.com."] {
        send(&mut stream, name).await;
    }
    for count in [100, 1, 100] {
        let answer = receive(&mut stream).await;
        assert_eq!((answer.answers.len(), answer.metadata.truncation), (count, false));
    }
    for byte in framed(&question("one.example.com.")) {
        stream.write_all(&[byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    assert_eq!(addresses(&receive(&mut stream).await), ["10.0.0.1"]);
    assert_eq!(server.count("mesh"), 6);
    server.stop().await;
}

#[tokio::test]
async fn other_names_are_forwarded_and_kept() {
    let upstream = Upstream::start([192, 0, 2, 1], ANSWERS).await;
    let server = Server::start(config(&[upstream.address])).await;
    let answer = server.ask("Example.org.").await;
    assert_eq!((answer.metadata.id, addresses(&answer)), (4711, vec!["192.0.2.1".to_owned()]));
    assert_eq!(answer.queries[0].name().to_string(), "Example.org.", "spelled as it was asked");
    let (asked, from) = upstream.last();
    assert!(asked.metadata.recursion_desired && asked.edns.is_none());
    assert_ne!(from.port(), server.address.port());

    let again = server.ask("exaMple.org.").await;
    assert_eq!((addresses(&again), upstream.asked()), (vec!["192.0.2.1".to_owned()], 1), "from the cache");
    assert_eq!((server.count("forwarded"), server.count("cached")), (1, 1));
    // Over TCP too.
    let mut stream = server.connect().await;
    send(&mut stream, "example.com.").await;
    assert_eq!(addresses(&receive(&mut stream).await), ["192.0.2.1"]);
    server.stop().await;
}

/// Programs ask again before there is an answer, and many ask the same at once: servers are asked once, and each gets its own answer.
#[tokio::test]
async fn equal_questions_at_the_same_time_are_asked_once() {
    let upstream = Upstream::start([192, 0, 2, 1], Manner::Late).await;
    let mut config = config(&[upstream.address]);
    config.timing.patience = DEADLINE;
    let server = Server::start(config).await;
    let mut stream = server.connect().await;
    send(&mut stream, "example.org.").await;
    let asking =
        async { tokio::join!(server.ask("example.org."), server.ask("example.org."), server.ask("eXample.org.")) };
    let ((first, second, other), ()) = tokio::join!(asking, async {
        upstream.until_asked(1).await;
        until("all wait", || server.dns.status().forwarding == 4, &server).await;
        upstream.release();
        upstream.until_asked(2).await;
        upstream.release();
    });
    let over_tcp = receive(&mut stream).await;
    assert!([&first, &second, &other, &over_tcp].iter().all(|answer| addresses(answer) == ["192.0.2.1"]));
    assert_eq!(other.queries[0].name().to_string(), "eXample.org.", "spelled as it was asked");
    assert_eq!((upstream.asked(), server.count("forwarded")), (2, 4), "once in each spelling");
    assert_eq!(server.dns.status().forwarding, 0);
}

/// EDNS goes hop by hop: the server behind is asked with it where the client uses it, in the agent's own words.
#[tokio::test]
async fn edns_is_used_where_the_client_uses_it() {
    let upstream = Upstream::start([192, 0, 2, 1], ANSWERS).await;
    let server = Server::start(config(&[upstream.address])).await;
    let mut message = question("example.org.");
    message.edns.insert(Edns::new()).set_max_payload(4000).set_dnssec_ok(true);
    let mut stream = server.connect().await;
    stream.write_all(&framed(&message)).await.unwrap();
    let edns = receive(&mut stream).await.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (4096, true));
    let edns = upstream.last().0.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (1232, true));
    server.ask("example.org.").await;
    assert_eq!(upstream.asked(), 2, "with DNSSEC or without is not the same answer");
}

/// What comes over a socket and is no question costs an error at most, and the next client nothing.
#[tokio::test]
async fn noise_is_survived() {
    let server = Server::start(config(&[])).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(server.address).await.unwrap();
    let mut noise = vec![vec![], vec![0xff; 12], vec![0; 9000], b"GET / HTTP/1.1\r\n\r\n".to_vec()];
    noise.extend((0..64u8).map(|len| vec![len; len.into()]));
    for packet in &noise {
        socket.send(packet).await.unwrap();
    }
    // A client that is gone when its answer comes.
    drop(socket);
    let mut stream = server.connect().await;
    stream.write_all(&[0, 3, 1, 2, 3]).await.unwrap();
    assert!(timeout(DEADLINE, stream.read_u8()).await.expect("too short to answer: closed").is_err());
    assert_eq!(addresses(&server.ask("one.example.com.").await), ["10.0.0.1"]);
    assert!(server.count("malformed") > 60, "{:?}", server.dns.status());
}

/// Ids and source ports are all that keeps forged answers out.
#[tokio::test]
async fn ids_and_ports_differ_from_question_to_question() {
    let upstream = Upstream::start([192, 0, 2, 1], Manner::Answers { ttl: 0 }).await;
    let server = Server::start(config(&[upstream.address])).await;
    let (mut ids, mut ports) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    for _ in 0..50 {
        server.ask("example.org.").await;
        let (asked, from) = upstream.last();
        ids.insert(asked.metadata.id);
        ports.insert(from.port());
    }
    assert_eq!(upstream.asked(), 50, "an answer with TTL 0 is not kept");
    assert!(ids.len() > 40 && ports.len() > 25, "{} ids, {} ports", ids.len(), ports.len());
}

/// What does not answer is not waited for; it is asked last for a while.
#[tokio::test]
async fn a_dead_server_is_passed_over() {
    // This socket takes packets of one sender only: the system tells all others that nobody is there.
    let gone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    gone.connect((Ipv4Addr::LOCALHOST, 9)).await.unwrap();
    let silent = Upstream::start([192, 0, 2, 2], Manner::Silent).await;
    let good = Upstream::start([192, 0, 2, 3], ANSWERS).await;
    let mut config = config(&[gone.local_addr().unwrap(), silent.address, good.address]);
    config.timing.patience = Duration::from_secs(4);
    let server = Server::start(config).await;
    let (answer, ()) = tokio::join!(server.ask("a.example.org."), async {
        silent.until_asked(1).await;
        assert_eq!(good.asked(), 0, "its turn has not come");
        pass(Duration::from_secs(4)).await;
    });
    assert_eq!(addresses(&answer), ["192.0.2.3"]);
    let failed: Vec<_> = server.dns.status().servers.iter().map(|server| server.failed).collect();
    assert_eq!(failed, [true, true, false]);
    assert_eq!(addresses(&server.ask("b.example.org.").await), ["192.0.2.3"]);
    assert_eq!((silent.asked(), good.asked()), (1, 2));
    // Later the first is given a chance again.
    pass(Duration::from_secs(31)).await;
    silent.set(ANSWERS);
    assert_eq!(addresses(&server.ask("c.example.org.").await), ["192.0.2.2"]);
    server.stop().await;
}

/// The slow server is not given up when the next one is asked: whoever answers first is heard.
#[tokio::test]
async fn a_slow_server_may_still_answer() {
    let slow = Upstream::start([192, 0, 2, 1], Manner::Late).await;
    let silent = Upstream::start([192, 0, 2, 2], Manner::Silent).await;
    let mut config = config(&[slow.address, silent.address]);
    config.timing.patience = Duration::from_secs(2);
    let server = Server::start(config).await;
    let (answer, ()) = tokio::join!(server.ask("a.example.org."), async {
        slow.until_asked(1).await;
        pass(Duration::from_secs(2)).await;
        silent.until_asked(1).await;
        slow.release();
    });
    assert_eq!((addresses(&answer), slow.asked(), silent.asked()), (vec!["192.0.2.1".to_owned()], 1, 1));
}

#[tokio::test]
async fn an_error_is_asked_again_elsewhere_and_passed_on_if_all_say_so() {
    let first = Upstream::start([192, 0, 2, 1], Manner::Fails(ResponseCode::Refused)).await;
    let second = Upstream::start([192, 0, 2, 2], ANSWERS).await;
    let server = Server::start(config(&[first.address, second.address])).await;
    assert_eq!(addresses(&server.ask("a.example.org.").await), ["192.0.2.2"]);
    second.set(Manner::Fails(ResponseCode::Refused));
    assert_eq!(server.ask("b.example.org.").await.metadata.response_code, ResponseCode::Refused);
    assert_eq!(server.count("failed"), 1);
}

#[tokio::test]
async fn a_name_that_is_not_is_no_error() {
    let first = Upstream::start([192, 0, 2, 1], Manner::Fails(ResponseCode::NXDomain)).await;
    let second = Upstream::start([192, 0, 2, 2], ANSWERS).await;
    let server = Server::start(config(&[first.address, second.address])).await;
    assert_eq!(server.ask("a.example.org.").await.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!((second.asked(), server.count("forwarded")), (0, 1));
}

#[tokio::test]
async fn without_any_server_there_is_an_error() {
    let server = Server::start(config(&[])).await;
    assert_eq!(server.ask("example.org.").await.metadata.response_code, ResponseCode::ServFail);
}

/// Servers that answer nothing: an error once the time is over, and no more questions than were allowed.
#[tokio::test]
async fn silence_ends_in_an_error() {
    let silent = Upstream::start([192, 0, 2, 1], Manner::Silent).await;
    let mut config = config(&[silent.address]);
    config.timing.patience = Duration::from_secs(1);
    let server = Server::start(config).await;
    let (answer, ()) = tokio::join!(server.ask("example.org."), async {
        silent.until_asked(1).await;
        pass(Duration::from_secs(1)).await;
        silent.until_asked(2).await;
        pass(Duration::from_secs(4)).await;
    });
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!((silent.asked(), server.dns.status().forwarding), (2, 0));
}

#[tokio::test]
async fn a_long_answer_is_fetched_over_tcp() {
    let upstream = Upstream::start([192, 0, 2, 1], Manner::Long(100)).await;
    let server = Server::start(config(&[upstream.address])).await;
    assert!(server.ask("example.org.").await.metadata.truncation, "the client has no room for it either");
    let mut stream = server.connect().await;
    send(&mut stream, "example.org.").await;
    assert_eq!(receive(&mut stream).await.answers.len(), 100);
    assert_eq!((upstream.asked(), server.count("cached")), (2, 1), "once over UDP, once over TCP; then kept");
}

#[tokio::test]
async fn forged_answers_are_not_taken() {
    let upstream = Upstream::start([192, 0, 2, 1], Manner::Noisy).await;
    let server = Server::start(config(&[upstream.address])).await;
    let answer = server.ask("example.org.").await;
    assert_eq!((addresses(&answer), upstream.asked()), (vec!["192.0.2.1".to_owned()], 1));
}

/// TTLs count down, answers past them are fetched again; and where no server is left, they are used all the same.
#[tokio::test]
async fn answers_age() {
    let upstream = Upstream::start([192, 0, 2, 1], ANSWERS).await;
    let server = Server::start(config(&[upstream.address])).await;
    assert_eq!(server.ask("example.org.").await.answers[0].ttl, 60);
    pass(Duration::from_secs(50)).await;
    let ttl = server.ask("example.org.").await.answers[0].ttl;
    assert!((1..=10).contains(&ttl) && upstream.asked() == 1, "{ttl} s left");
    pass(Duration::from_secs(10)).await;
    assert_eq!((server.ask("example.org.").await.answers[0].ttl, upstream.asked()), (60, 2));

    pass(Duration::from_secs(3600)).await;
    upstream.set(Manner::Fails(ResponseCode::ServFail));
    let answer = server.ask("example.org.").await;
    assert_eq!(
        (answer.metadata.response_code, addresses(&answer)),
        (ResponseCode::NoError, vec!["192.0.2.1".to_owned()])
    );
    assert!((25..=30).contains(&answer.answers[0].ttl) && server.count("stale") == 1);
    let asked = upstream.asked();
    server.ask("example.org.").await;
    assert_eq!(upstream.asked(), asked, "a server that fails is not asked for every question");
    pass(Duration::from_secs(86_400)).await;
    assert_eq!(server.ask("example.org.").await.metadata.response_code, ResponseCode::ServFail, "not for ever");
    upstream.set(ANSWERS);
    assert_eq!(server.ask("example.org.").await.answers[0].ttl, 60);
}

/// With an old answer at hand, a client does not wait until servers had all their time.
#[tokio::test]
async fn silence_ends_sooner_where_there_is_an_old_answer() {
    let upstream = Upstream::start([192, 0, 2, 1], ANSWERS).await;
    let mut config = config(&[upstream.address]);
    config.timing.patience = Duration::from_secs(10);
    let server = Server::start(config).await;
    server.ask("example.org.").await;
    pass(Duration::from_secs(3600)).await;
    upstream.set(Manner::Silent);
    let (answer, ()) = tokio::join!(server.ask("example.org."), async {
        upstream.until_asked(2).await;
        pass(Duration::from_secs(2)).await;
    });
    assert_eq!((addresses(&answer), server.count("stale")), (vec!["192.0.2.1".to_owned()], 1));
}

/// Waits for a condition, in real time.
async fn until(what: &str, condition: impl Fn() -> bool, server: &Server) {
    let wait = async {
        while !condition() {
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}: {:#?}", server.dns.status()));
}

/// Time passes for the server. Real time goes on afterwards, as sockets need it.
async fn pass(time: Duration) {
    time::pause();
    time::advance(time).await;
    time::resume();
}

#[tokio::test]
async fn connections_are_bounded_and_idle_ones_end() {
    let mut config = config(&[]);
    config.limits.connections = 2;
    let server = Server::start(config).await;
    let (mut silent, mut half) = (server.connect().await, server.connect().await);
    for stream in [&mut silent, &mut half] {
        send(stream, "one.example.com.").await;
        receive(stream).await;
    }
    half.write_all(&[0]).await.unwrap();
    // The third waits until the others are cut.
    let mut third = server.connect().await;
    send(&mut third, "one.example.com.").await;
    pass(Duration::from_secs(11)).await;
    assert_eq!(addresses(&receive(&mut third).await), ["10.0.0.1"]);
    for stream in [&mut silent, &mut half] {
        let end = timeout(DEADLINE, stream.read_u8()).await.expect("an idle connection is closed");
        assert!(end.is_err());
    }
    // What is longer than any question is not waited for.
    let mut long = server.connect().await;
    long.write_all(&u16::MAX.to_be_bytes()).await.unwrap();
    assert!(timeout(DEADLINE, long.read_u8()).await.expect("closed at once").is_err());
    server.stop().await;
}

#[tokio::test]
async fn metrics_say_what_became_of_questions() {
    let silent = Upstream::start([192, 0, 2, 1], Manner::Fails(ResponseCode::ServFail)).await;
    let server = Server::start(config(&[silent.address])).await;
    let mut registry = prometheus_client::registry::Registry::default();
    server.dns.register(&mut registry);
    server.ask("one.example.com.").await;
    server.ask("example.org.").await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let failures = format!("tombolo_dns_upstream_failures_total{{server=\"{}\",reason=\"refused\"}} 2", silent.address);
    for line in [
        "tombolo_dns_queries_total{kind=\"mesh\"} 1",
        "tombolo_dns_queries_total{kind=\"failed\"} 1",
        "tombolo_dns_queries_total{kind=\"cached\"} 0",
        "tombolo_dns_names 2",
        "tombolo_dns_forwarding 0",
        &failures,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let server = Server::start(config(&[])).await;
    let error = tombolo_agent::dns::Sockets::bind(server.address).await.unwrap_err().to_string();
    assert!(error.contains(&server.address.to_string()) && error.contains("free address"), "{error}");
    assert_eq!(server.address.ip(), Ipv4Addr::LOCALHOST);
}
