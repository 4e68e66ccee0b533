//! When certificates are asked for, and what is said where there is none.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_at_half_of_its_life_more_or_less() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    world.agent(directory.path()).await.ready().await;
    pass(10 * DAY).await;
    let seen = world.seen();
    for (one, next) in seen.iter().zip(&seen[1..]) {
        let share = (next.at - one.at).as_secs_f64() / DAY.as_secs_f64();
        assert!((0.4499..0.5501).contains(&share), "{share}");
    }
    assert!((17..=23).contains(&seen.len()), "{} requests", seen.len());
}

#[tokio::test(start_paused = true)]
async fn the_newest_certificate_is_shown() {
    let (world, directory) = (World::new(HOUR), tempfile::tempdir().unwrap());
    let agent = world.agent(directory.path()).await;
    let mut current = agent.current.clone();
    let first = current.changed().await;
    let second = current.changed().await;
    current.changed().await;
    let held: Vec<_> = world.seen().into_iter().map(|seen| seen.held).collect();
    assert_eq!(held, [None, Some(first.key().pem().to_owned()), Some(second.key().pem().to_owned())]);
}

/// Istio's control planes date certificates back by two minutes. That is no reason to renew a short one at once.
#[tokio::test(start_paused = true)]
async fn what_was_dated_back_is_not_half_over_at_once() {
    let (world, directory) = (World::new(MINUTE), tempfile::tempdir().unwrap());
    world.set(|inner| inner.dated_back = 2 * MINUTE);
    world.agent(directory.path()).await.ready().await;
    pass(Duration::from_secs(25)).await;
    assert_eq!(world.seen().len(), 1);
    pass(Duration::from_secs(10)).await;
    assert_eq!(world.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_less_and_less_often_and_a_success_ends_them() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    world.away(true);
    let agent = world.agent(directory.path()).await;
    pass(HOUR).await;
    let reason = "nobody answers".to_owned();
    assert_eq!(agent.health(), Health::Missing { reason });
    let tries = world.seen().len();
    assert!((120..260).contains(&tries), "{tries} in an hour: one every 15 to 30 seconds");
    assert_eq!(agent.handle.metrics.renewals("unreachable"), tries as u64);

    world.away(false);
    agent.ready().await;
    pass(MINUTE).await;
    assert_eq!((agent.health(), agent.handle.metrics.renewals("success")), (Health::Ok, 1));
}

#[tokio::test(start_paused = true)]
async fn a_coming_expiry_is_shouted_about_and_renewal_ends_it() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    let agent = world.agent(directory.path()).await;
    agent.ready().await;
    world.away(true);
    let reason = || "nobody answers".to_owned();
    pass(17 * HOUR).await;
    assert_eq!(agent.health(), Health::Ok, "half of it is over, and there is time enough");
    pass(2 * HOUR).await;
    assert_eq!(agent.health(), Health::Expiring { reason: reason() });
    pass(6 * HOUR).await;
    assert_eq!(agent.health(), Health::Expired { reason: reason() });
    assert!(agent.health().reasons()[0].contains("nobody answers"));
    assert!(agent.current.get().is_some(), "it is still what we have");

    world.away(false);
    pass(MINUTE).await;
    assert_eq!(agent.health(), Health::Ok);
}

/// A server may end the handshake of a certificate of a root that it does not know: then the token must do.
#[tokio::test(start_paused = true)]
async fn every_second_try_shows_no_certificate() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    let agent = world.agent(directory.path()).await;
    agent.ready().await;
    world.away(true);
    agent.handle.renew_now();
    pass(MINUTE).await;
    let shown: Vec<bool> = world.seen()[1..5].iter().map(|seen| seen.shown).collect();
    assert_eq!(shown, [true, false, true, false]);
    assert!(world.seen()[1..].iter().all(|seen| seen.held.is_some()), "its roots are trusted all the same");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_another_identity_is_refused_with_the_fix() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    world.set(|inner| inner.issued_for = "spiffe://cluster.local/ns/shop/sa/ratings".into());
    let agent = world.agent(directory.path()).await;
    pass(MINUTE).await;
    let reasons = agent.health().reasons().concat();
    assert!(reasons.contains("sa/ratings") && reasons.contains("bring the token"), "{reasons}");
    assert!(agent.current.get().is_none() && agent.handle.metrics.renewals("invalid") > 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_a_failure() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    world.set(|inner| inner.hangs = true);
    let agent = world.agent(directory.path()).await;
    pass(MINUTE).await;
    let reasons = agent.health().reasons().concat();
    assert!(reasons.contains("did not answer for 20 seconds"), "{reasons}");
    world.set(|inner| inner.hangs = false);
    agent.ready().await;
}

#[tokio::test(start_paused = true)]
async fn asking_again_and_again_is_one_request_in_five_seconds() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    let agent = world.agent(directory.path()).await;
    agent.ready().await;
    for _ in 0..1000 {
        agent.handle.renew_now();
        pass(Duration::from_millis(10)).await;
    }
    let requests = world.seen().len();
    assert!((2..=4).contains(&requests), "{requests} requests in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn time_to_expiry_is_read_when_it_is_scraped() {
    let (world, directory) = (World::new(HOUR), tempfile::tempdir().unwrap());
    let agent = world.agent(directory.path()).await;
    let mut registry = prometheus_client::registry::Registry::default();
    agent.handle.register(agent.current.clone(), &mut registry);
    let scrape = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    };
    assert!(!scrape().contains("expiry_seconds"), "{}", scrape());
    agent.ready().await;
    world.away(true);
    pass(MINUTE).await;
    assert!(scrape().contains("tombolo_agent_certificate_expiry_seconds 3540"), "{}", scrape());
    assert!(scrape().contains(r#"tombolo_agent_certificate_renewals_total{result="success"} 1"#), "{}", scrape());
    pass(HOUR).await;
    assert!(scrape().contains("tombolo_agent_certificate_expiry_seconds -60"), "{}", scrape());
}
