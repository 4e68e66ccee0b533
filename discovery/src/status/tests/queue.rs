use crate::status::queue::{End, Queue, Why};
use std::time::Duration;
use tokio::time::Instant;
use tombolo_api::{Kind, ObjectKey};
use tombolo_core::{NamespacedName, SourceId};
use tombolo_kubernetes::retry::Failure;

fn key(name: &str) -> ObjectKey {
    ObjectKey { source: SourceId::new("here"), kind: Kind::Gateway, name: NamespacedName::new("shop", name) }
}

fn after(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Takes the one object that is due by then.
fn take(queue: &mut Queue, now: Instant) -> Why {
    let taken = queue.take(9, now);
    assert_eq!(taken.len(), 1, "{queue:?}");
    taken[0].1
}

#[test]
fn many_changes_are_one_look() {
    let (mut queue, now, front) = (Queue::default(), Instant::now(), key("front"));
    for why in [Why::Seen, Why::Said, Why::Seen] {
        queue.touch(&front, why, now);
    }
    assert_eq!(queue.take(9, now), [], "the next change may come at once");
    assert_eq!(take(&mut queue, now + after(1)), Why::Said);
    assert_eq!(queue.len(), 1);
    queue.finish(&front, End::Written, now + after(1));
    assert_eq!((queue.len(), queue.next()), (0, None));
}

#[test]
fn no_more_are_taken_than_asked_for_and_the_longest_waiting_first() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for (seconds, name) in [(2, "c"), (0, "b"), (1, "a")] {
        queue.touch(&key(name), Why::Said, now + after(seconds));
    }
    let names =
        |taken: Vec<(ObjectKey, Why)>| taken.iter().map(|(key, _)| key.name.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(queue.take(2, now + after(9))), ["b", "a"]);
    assert_eq!(names(queue.take(2, now + after(9))), ["c"]);
}

#[test]
fn what_changes_during_a_write_is_looked_at_again() {
    let (mut queue, now, front) = (Queue::default(), Instant::now(), key("front"));
    queue.touch(&front, Why::Said, now);
    take(&mut queue, now + after(1));
    queue.touch(&front, Why::Said, now + after(1));
    assert_eq!(queue.take(9, now + after(2)), [], "one write at a time");
    queue.finish(&front, End::Written, now + after(2));
    assert_eq!(take(&mut queue, now + after(3)), Why::Said);
}

#[test]
fn one_that_was_outrun_waits_for_what_is_newer() {
    let (mut queue, now, front) = (Queue::default(), Instant::now(), key("front"));
    queue.touch(&front, Why::Said, now);
    take(&mut queue, now + after(1));
    queue.finish(&front, End::Outrun, now + after(1));
    queue.touch(&front, Why::Said, now + after(1));
    assert_eq!(queue.take(9, now + after(600)), []);
    queue.touch(&front, Why::Seen, now + after(600));
    assert_eq!(take(&mut queue, now + after(600)), Why::Said, "what we had to say is not forgotten");
}

#[test]
fn one_that_is_refused_waits_long_unless_we_say_something_else() {
    let (mut queue, now, front) = (Queue::default(), Instant::now(), key("front"));
    queue.touch(&front, Why::Said, now);
    take(&mut queue, now + after(1));
    queue.finish(&front, End::Failed(Failure::Forbidden), now + after(1));
    queue.touch(&front, Why::Seen, now + after(1));
    assert_eq!(queue.take(9, now + after(10)), []);
    queue.touch(&front, Why::Said, now + after(10));
    assert_eq!(take(&mut queue, now + after(11)), Why::Said);
    queue.finish(&front, End::Failed(Failure::Forbidden), now + after(11));
    assert_eq!(take(&mut queue, now + after(11 + 600)), Why::Said);
}

#[test]
fn an_outage_stops_all_and_its_end_starts_all() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let names: Vec<_> = (0..20).map(|i| key(&i.to_string())).collect();
    names.iter().for_each(|key| queue.touch(key, Why::Said, now));
    let now = now + after(1);
    for (key, _) in queue.take(16, now) {
        queue.finish(&key, End::Failed(Failure::Unavailable), now);
    }
    assert_eq!(queue.take(16, now), []);
    let next = queue.next().unwrap();
    assert!(next > now && next <= now + after(1), "many failures at once are one");
    let again = queue.take(99, next);
    assert_eq!(again.len(), 20);
    again.iter().for_each(|(key, _)| queue.finish(key, End::Written, next));
    assert_eq!(queue.len(), 0);
}

#[test]
fn whoever_undoes_what_we_write_is_answered_ever_later() {
    let (mut queue, mut now, front) = (Queue::default(), Instant::now(), key("front"));
    let mut waits = Vec::new();
    for _ in 0..10 {
        queue.touch(&front, Why::Seen, now);
        let due = queue.next().unwrap();
        waits.push(due - now);
        now = due;
        assert_eq!(take(&mut queue, now), Why::Seen);
        queue.finish(&front, End::Written, now);
    }
    assert!(waits[0] < after(1), "{waits:?}");
    assert!(waits[9] > after(10) && waits[9] <= after(30), "{waits:?}");
    // A word of ours is not held back, and neither is the first answer after a long peace.
    queue.touch(&front, Why::Said, now);
    assert!(queue.next().unwrap() - now < after(1));
}

#[test]
fn nothing_is_remembered_of_one_that_is_gone() {
    let (mut queue, mut now, front) = (Queue::default(), Instant::now(), key("front"));
    for _ in 0..9 {
        queue.touch(&front, Why::Seen, now);
        now = queue.next().unwrap();
        take(&mut queue, now);
        queue.finish(&front, End::Written, now);
    }
    queue.touch(&front, Why::Said, now);
    take(&mut queue, now + after(1));
    queue.finish(&front, End::Gone, now + after(1));
    queue.touch(&front, Why::Seen, now + after(1));
    assert!(queue.next().unwrap() - now < after(2), "another of its name is no quarrel: {queue:?}");
}
