//! Backends that are no Kubernetes Service: hosts of ServiceEntries, machines among them.

use crate::support::{World, route, traffic};

/// A route to a host.
fn to(name: &str, host: &str) -> String {
    let backend = format!("{{group: networking.istio.io, kind: Hostname, name: {host}, port: 80}}");
    route(name, &format!("\n  - backendRefs: [{backend}]"))
}

fn entry(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: infra}}\n\
         spec:\n  hosts: [{name}.example.com]\n  location: MESH_INTERNAL\n{spec}\n"
    )
}

/// Applies a ServiceEntry and a route to it, and waits for an answer.
async fn reaches(world: &World, name: &str, spec: &str, backend: &str) {
    let manifests = entry(name, spec) + &to(name, &format!("{name}.example.com"));
    world.apply(name, &manifests).await;
    let answer = world.get("http", &format!("{name}.test"), "/").reaches(backend).await;
    assert_eq!(answer.echo["host"], format!("{name}.test"));
}

#[test]
fn endpoints_stand_in_the_entry() {
    traffic(async |world| {
        let port = world.backend("v1").port();
        let spec = format!(
            "  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n\
             \x20 endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]"
        );
        reaches(world, "static", &spec, "v1").await;
    });
}

#[test]
fn machines_are_chosen_by_their_labels() {
    traffic(async |world| {
        let [v1, v2] = ["v1", "v2"].map(|name| world.backend(name).port());
        let machine = |name: &str, app: &str, port: u16| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n\
                 metadata: {{name: {name}, namespace: infra}}\n\
                 spec: {{address: 127.0.0.1, labels: {{app: {app}}}, ports: {{http: {port}}}}}\n"
            )
        };
        world.apply("machines", &(machine("one", "machine", v1) + &machine("other", "other", v2))).await;
        let spec = "  resolution: STATIC\n  ports: [{number: 80, name: http, protocol: HTTP}]\n\
                    \x20 workloadSelector: {labels: {app: machine}}";
        reaches(world, "machines-by-label", spec, "v1").await;
        // The first leaves, the other takes its place.
        world.apply("machines", &(machine("one", "other", v1) + &machine("other", "machine", v2))).await;
        world.get("http", "machines-by-label.test", "/").reaches("v2").await;
    });
}

#[test]
fn names_are_resolved() {
    traffic(async |world| {
        let port = world.backend("v3").port();
        for resolution in ["DNS", "DNS_ROUND_ROBIN"] {
            let spec = format!(
                "  resolution: {resolution}\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n\
                 \x20 endpoints: [{{address: localhost, ports: {{http: {port}}}}}]"
            );
            reaches(world, &resolution.to_lowercase().replace('_', "-"), &spec, "v3").await;
        }
    });
}
