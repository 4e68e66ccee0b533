//! What holds whatever is provided, taken back and provided again.

use super::{
    super::{
        ProvidedFiles,
        testing::{At, Shared},
    },
    tests::{HOUR, files, joined, now, open_with, talk, with_roots},
    *,
};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum Event {
    Wants(usize),
    Passes(u64),
    Restarts(u64),
    Renews(usize),
}

const WANTED: usize = 8;

/// The own root, and authorities of three organisations that know of each other or do not.
fn wanted() -> [By; WANTED] {
    let [a, b, c] = ["a", "b", "c"].map(|name| files(name, &[]));
    let all = files("unused", &[&a, &b, &c]);
    let [with_a, with_b] = [[&b, &a], [&a, &b]].map(|[other, own]| {
        let [.., root] = <[_; 4]>::from(own.clone());
        let [.., others] = <[_; 4]>::from(other.clone());
        let [cert, key, chain, _] = <[_; 4]>::from(own.clone());
        ProvidedFiles::from([cert, key, chain, Some(others.unwrap() + &root.unwrap())])
    });
    let provided = [a.clone(), with_a, with_roots(&a, &all), b.clone(), with_b, with_roots(&c, &all), c];
    let [one, two, three, four, five, six, seven] = provided.map(By::Provided);
    [By::Own, one, two, three, four, five, six, seven]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..WANTED).prop_map(Event::Wants),
        (1..30_u64).prop_map(Event::Passes),
        (1..40_u64).prop_map(Event::Restarts),
        (0..3_usize).prop_map(Event::Renews),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Whatever is provided, taken back and provided again: two who each renewed within a lifetime of certificates accept each other.
    #[test]
    fn nobody_who_renews_in_time_is_cut_off(events in proptest::collection::vec(event(), 1..40)) {
        let (store, clock) = (Shared::default().process(true), At::new());
        let all = wanted();
        let mut wanted = &all[0];
        let mut lifetime = 24 * HOUR;
        let mut signing = open_with(&store, &clock, wanted, lifetime);
        let mut workloads = [(); 3].map(|()| (now(&clock) + lifetime, joined(&signing)));
        for event in events {
            match event {
                Event::Wants(n) => wanted = &all[n],
                Event::Passes(hours) => clock.pass(Duration::from_secs(3600 * hours)),
                Event::Restarts(hours) => {
                    lifetime = Duration::from_secs(3600 * hours);
                    signing = open_with(&store, &clock, wanted, lifetime);
                }
                Event::Renews(n) => workloads[n] = (now(&clock) + lifetime, joined(&signing)),
            }
            // Whose certificate is about to end renews.
            for workload in workloads.iter_mut().filter(|(until, _)| now(&clock) >= *until) {
                *workload = (now(&clock) + lifetime, joined(&signing));
            }
            signing.advance().unwrap();
            signing.pursue(wanted).unwrap();
            for (i, (_, one)) in workloads.iter().enumerate() {
                prop_assert!(talk(one, &joined(&signing), &clock), "{:?}", signing.state);
                for (_, other) in &workloads[..i] {
                    prop_assert!(talk(one, other, &clock));
                }
            }
        }
    }
}
