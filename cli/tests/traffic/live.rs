//! Edits under load.

use crate::support::{World, route, traffic};
use std::{cell::Cell, rc::Rc};

fn to(backend: &str) -> String {
    route("live", &format!("\n  - backendRefs: [{{name: {backend}, port: 8080}}]"))
}

/// Sends one request after another, until told to stop; none may fail.
async fn load(world: &World, stop: Rc<Cell<bool>>) -> usize {
    let mut sent = 0;
    while !stop.get() {
        let answer = world.get("http", "live.test", "/").send().await.unwrap();
        assert_eq!(answer.status, 200, "request {sent}: {answer:?}\n{}", world.dump().await);
        sent += 1;
    }
    sent
}

async fn edits(world: &World, stop: Rc<Cell<bool>>) {
    for backend in ["v2", "v3", "h2c", "v1"].into_iter().cycle().take(12) {
        world.apply("live", &to(backend)).await;
        world.get("http", "live.test", "/").reaches(backend).await;
    }
    stop.set(true);
}

#[test]
fn an_edited_route_loses_no_request() {
    traffic(async |world| {
        world.apply("live", &to("v1")).await;
        world.get("http", "live.test", "/").reaches("v1").await;
        let stop = Rc::new(Cell::new(false));
        let ((), first, second) =
            tokio::join!(edits(world, stop.clone()), load(world, stop.clone()), load(world, stop.clone()));
        assert!(first + second > 12, "too few requests to tell: {first} and {second}");
    });
}
