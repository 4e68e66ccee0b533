//! Clocks that are set, machines that sleep.

use super::*;

const DAY_IN_SECONDS: i64 = 24 * 3600;

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_through_half_of_the_life_renews_when_it_wakes() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    world.agent(directory.path()).await.ready().await;
    // Timers stand still in sleep; the clock does not.
    world.set(|inner| inner.ahead = 14 * 3600);
    pass(MINUTE).await;
    assert_eq!(world.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_put_renewal_off() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    let agent = world.agent(directory.path()).await;
    agent.ready().await;
    world.set(|inner| inner.ahead = -10 * DAY_IN_SECONDS);
    pass(14 * HOUR).await;
    assert_eq!(world.seen().len(), 2);
    assert_eq!(agent.health(), Health::Ok);
}

/// The clock that counts is the peers': a certificate that is early by ours is better than none.
#[tokio::test(start_paused = true)]
async fn a_machine_whose_clock_is_behind_takes_what_it_gets() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    world.set(|inner| inner.ahead = -3600);
    world.agent(directory.path()).await.ready().await;
    pass(11 * HOUR).await;
    assert_eq!(world.seen().len(), 1, "and is content with it");
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_clock_is_far_ahead_is_told_so_and_asks_patiently() {
    let (world, directory) = (World::new(DAY), tempfile::tempdir().unwrap());
    world.set(|inner| inner.ahead = 3 * DAY_IN_SECONDS);
    let agent = world.agent(directory.path()).await;
    pass(HOUR).await;
    let reasons = agent.health().reasons().concat();
    assert!(reasons.contains("clock"), "{reasons}");
    assert!(world.seen().len() < 260, "{}", world.seen().len());
    world.set(|inner| inner.ahead = 0);
    agent.ready().await;
}
