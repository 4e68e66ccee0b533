//! What is left on the heap of what was deleted: nothing of it, and little of the room that it took.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use serde_json::{Value, json};
use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};
use tikv_jemalloc_ctl::{epoch, stats};
use tombolo_api::{AnyObject, gateway::CONTROLLER, manifest};
use tombolo_controlplane::{Edit, Update, World};
use tombolo_core::SourceId;
use tombolo_proto::envoy::envoy::config::core::v3::Node;
use tombolo_xds::{Classify, Classifying, Config, Hub, Peer, Refusal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Bytes that the allocator keeps at hand for a thread count as allocated.
const AT_HAND: usize = 128 << 10;

/// The whole process is measured: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn allocated() -> usize {
    epoch::advance().unwrap(); // else the figure is that of the last epoch
    stats::allocated::read().unwrap()
}

/// No proxies come.
struct Nobody;

impl Classify for Nobody {
    fn classify<'a>(&'a self, _: &'a Node, _: Option<&'a Peer>) -> Classifying<'a> {
        Box::pin(std::future::ready(Err(Refusal::Unavailable(String::new()))))
    }
}

/// All that is known, and all that is served.
struct Plane {
    source: SourceId,
    world: World,
    hub: Hub,
}

impl Plane {
    /// With one Service, which all pairs need.
    fn new() -> Self {
        let mut plane =
            Self { source: SourceId::new("here"), world: World::default(), hub: Hub::new(Config::default(), Nobody) };
        let objects = [
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "tombolo"},
                "spec": {"controllerName": CONTROLLER}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app", "namespace": "shop"},
                "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80}]}}),
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": "app", "namespace": "shop", "labels": {"kubernetes.io/service-name": "app"}},
                "addressType": "IPv4", "endpoints": [{"addresses": ["10.98.9.2"]}], "ports": [{"name": "http", "port": 80}]}),
        ];
        objects.into_iter().for_each(|document| plane.apply(object(document)));
        plane
    }

    /// Gateways with a route each, and a ServiceEntry.
    fn add(&mut self, numbers: Range<usize>) {
        numbers.flat_map(objects).for_each(|object| self.apply(object));
    }

    fn delete(&mut self, numbers: Range<usize>) {
        for object in numbers.flat_map(objects) {
            let key = object.key(self.source);
            self.edit(Edit::Delete(key));
        }
    }

    fn apply(&mut self, object: AnyObject) {
        self.edit(Edit::Apply(object, None));
    }

    fn edit(&mut self, edit: Edit) {
        let update = Update { edits: vec![edit], ..Update::default() };
        let (_, changes) = self.world.update(self.source, update, SystemTime::now());
        self.hub.publish(changes);
    }
}

fn object(document: Value) -> AnyObject {
    let decoded = manifest::decode(document, None);
    decoded.object.unwrap_or_else(|| panic!("{:?}", decoded.problems))
}

fn objects(number: usize) -> [AnyObject; 3] {
    let metadata = json!({"name": format!("n{number}"), "namespace": "shop"});
    let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata,
        "spec": {"gatewayClassName": "tombolo", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            "addresses": [{"type": "Hostname", "value": "app.shop.svc.cluster.local"}]}});
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata,
        "spec": {"parentRefs": [{"name": format!("n{number}")}], "hostnames": [format!("r{number}.example.com")],
            "rules": [{"backendRefs": [{"name": "app", "port": 80}]}]}});
    let entry = json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": metadata,
        "spec": {"hosts": [format!("e{number}.example.com")], "resolution": "STATIC",
            "addresses": [format!("10.1.{}.{}", number / 250, number % 250)],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "endpoints": [{"address": "10.2.3.4"}]}});
    [gateway, route, entry].map(object)
}

#[test]
fn what_comes_and_goes_under_ever_other_names_does_not_grow_the_heap() {
    const AT_ONCE: usize = 50;
    let _alone = alone();
    let mut plane = Plane::new();
    let round = |number: usize| {
        let numbers = number * AT_ONCE..(number + 1) * AT_ONCE;
        plane.add(numbers.clone());
        plane.delete(numbers);
        allocated()
    };
    let sizes: Vec<usize> = (0..32).map(round).collect();
    // Tables are of different sizes at different times; what is lost in each round shows in all of the last.
    let (most, least) = (sizes[..8].iter().max().unwrap(), sizes[24..].iter().min().unwrap());
    assert!(*least < most + AT_HAND, "{sizes:?}");
}

#[test]
fn after_most_was_deleted_the_heap_is_about_what_it_was_before_it_came() {
    const FEW: usize = 50;
    let _alone = alone();
    let (nothing, mut plane) = (allocated(), Plane::new());
    plane.add(0..FEW);
    let before = allocated() - nothing;
    plane.add(FEW..16 * FEW);
    let most = allocated() - nothing;
    plane.delete(FEW..16 * FEW);
    let after = allocated() - nothing;
    // Tables keep up to twice the room of what is in them: that does not follow what was there, which is what would.
    let stayed = after.saturating_sub(before + AT_HAND);
    assert!(stayed * 30 < most - before, "{before} bytes before, {most} at most, {after} after");
}
