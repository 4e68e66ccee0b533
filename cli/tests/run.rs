//! `tombolo run` with a real Envoy: what it keeps alive, takes over, and leaves behind.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helpers fail as tests do

mod support;

use std::fs;
use support::{Backend, Mesh, envoy, get, is_running, kill, until};

/// The mark of the route that answered, and the server.
fn answered(mesh: &Mesh) -> Option<(String, String)> {
    let (status, head, body) = get(mesh.port, "/").ok().filter(|(status, ..)| *status == 200)?;
    assert_eq!(status, 200);
    let mark = head.lines().find_map(|line| line.strip_prefix("x-mark: ")).unwrap_or_default();
    Some((mark.to_owned(), body))
}

fn until_answered(mesh: &Mesh, mark: &str, by: &str) {
    let wanted = (mark.to_owned(), by.to_owned());
    until(&format!("{mark} by {by}"), || (answered(mesh)? == wanted).then_some(()));
}

/// A mesh with one service that answers.
fn serving() -> Option<(Mesh, Backend, support::Run)> {
    let mesh = Mesh::new(envoy()?);
    let backend = Backend::start("one");
    mesh.service("one", &[backend.port]);
    mesh.route("first", "one");
    let run = mesh.run();
    run.says(&["gateway demo/edge: http://127.0.0.1", &mesh.port.to_string()]);
    until_answered(&mesh, "first", "one");
    Some((mesh, backend, run))
}

#[test]
fn edits_apply_live_and_each_has_its_line() {
    let Some((mesh, _one, run)) = serving() else { return };
    let two = Backend::start("two");
    mesh.service("two", &[two.port]);
    run.says(&["added", "Service demo/two"]);
    mesh.route("second", "two");
    until_answered(&mesh, "second", "two");
    run.says(&["changed HTTPRoute demo/all", "gateway/demo/edge", "1 rds"]);
}

#[test]
fn a_broken_file_keeps_its_last_good_content_and_says_so() {
    let Some((mesh, _one, run)) = serving() else { return };
    mesh.write("route.yaml", "kind: HTTPRoute\nspec: [\n");
    run.says(&["error:", "route.yaml", "last good content keeps serving"]);
    until_answered(&mesh, "first", "one");
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: all, namespace: demo}\nspec: {ruls: []}\n";
    mesh.write("route.yaml", text);
    run.says(&["error:", "spec.ruls", "keeps serving"]);
    until_answered(&mesh, "first", "one");
    mesh.route("mended", "one");
    until_answered(&mesh, "mended", "one");
    run.says(&["resolved:", "spec.ruls"]);
}

#[test]
fn an_envoy_that_dies_is_started_again() {
    let Some((mesh, _one, _run)) = serving() else { return };
    let pid = mesh.envoys()[0];
    kill(pid, "KILL");
    mesh.logs(&[&format!("Envoy {pid} ended with signal 9")]);
    until("another Envoy", || mesh.envoys().into_iter().find(|new| *new != pid && is_running(*new)));
    until_answered(&mesh, "first", "one");
}

#[test]
fn an_agent_that_dies_is_started_again_and_takes_its_envoy_over() {
    let Some((mesh, _one, run)) = serving() else { return };
    let (agent, envoy) = (mesh.agents()[0], mesh.envoys()[0]);
    kill(agent, "KILL");
    run.says(&[&format!("agent {agent} ended with signal 9"), "starting it again"]);
    until("another agent", || mesh.agents().into_iter().find(|new| *new != agent && is_running(*new)));
    mesh.route("second", "one");
    until_answered(&mesh, "second", "one");
    assert_eq!(mesh.envoys(), [envoy]);
}

#[test]
fn ctrl_c_leaves_nothing_running() {
    let Some((mesh, _one, mut run)) = serving() else { return };
    let (agent, envoy) = (mesh.agents()[0], mesh.envoys()[0]);
    assert!(is_running(agent) && is_running(envoy));
    assert_eq!(run.interrupt(), 0);
    assert!(!is_running(agent) && !is_running(envoy));
    assert!(get(mesh.port, "/").is_err());
}

#[test]
fn a_gateway_that_is_deleted_loses_its_envoy() {
    let Some((mesh, _one, run)) = serving() else { return };
    let pid = mesh.envoys()[0];
    let text = fs::read_to_string(mesh.path("gateway.yaml")).unwrap();
    let without = text[..text.rfind("---").unwrap()].to_owned();
    mesh.write("gateway.yaml", &without);
    run.says(&["gateway demo/edge: gone"]);
    until("its Envoy ends", || (!is_running(pid)).then_some(()));
    until("it is forgotten", || mesh.envoys().is_empty().then_some(()));
    mesh.write("gateway.yaml", &text);
    until_answered(&mesh, "first", "one");
}

#[test]
fn the_envoys_of_a_killed_run_are_taken_over() {
    let Some((mesh, _one, mut run)) = serving() else { return };
    let pid = mesh.envoys()[0];
    run.kill();
    until_answered(&mesh, "first", "one");
    let mut next = mesh.run();
    next.says(&["took over agent", &mesh.agents()[0].to_string()]);
    mesh.route("second", "one");
    until_answered(&mesh, "second", "one");
    assert_eq!(mesh.envoys(), [pid]);
    assert_eq!(next.interrupt(), 0);
    assert!(!is_running(pid), "one that was taken over is stopped too");
}

#[test]
fn an_envoy_that_a_killed_run_had_not_written_down_is_replaced() {
    let Some((mesh, _one, mut run)) = serving() else { return };
    let pid = mesh.envoys()[0];
    run.kill();
    mesh.forget_processes();
    let next = mesh.run();
    next.says(&["agent", "replacing it"]);
    until("another Envoy", || mesh.envoys().first().copied().filter(|new| *new != pid));
    until("the old one ends", || (!is_running(pid)).then_some(()));
    until_answered(&mesh, "first", "one");
}

#[test]
fn the_envoy_of_a_gateway_that_went_while_nobody_looked_is_stopped() {
    let Some((mesh, _one, mut run)) = serving() else { return };
    let pid = mesh.envoys()[0];
    run.kill();
    fs::remove_file(mesh.path("gateway.yaml")).unwrap();
    let _next = mesh.run();
    until("its Envoy ends", || (!is_running(pid)).then_some(()));
}

#[test]
fn one_run_at_a_time_on_one_state() {
    let Some((mesh, _one, run)) = serving() else { return };
    let mut second = mesh.run();
    second.says(&["error:", "--state"]);
    assert_eq!(second.child.wait().unwrap().code(), Some(2));
    until_answered(&mesh, "first", "one");
    drop(run);
}

#[test]
fn two_gateways_may_have_one_port() {
    let Some((mesh, _one, run)) = serving() else { return };
    let text = fs::read_to_string(mesh.path("gateway.yaml")).unwrap();
    let another = text[text.rfind("---").unwrap()..].replace("name: edge", "name: side");
    mesh.write("side.yaml", &another);
    run.says(&["gateway demo/side: http://127.0.0.2", &mesh.port.to_string()]);
    until_answered(&mesh, "first", "one");
}

#[test]
fn what_a_proxy_rejects_is_told_of_the_object_it_came_from() {
    let Some(envoy) = envoy() else { return };
    let mesh = Mesh::new(envoy);
    let taken = std::net::TcpListener::bind(("127.0.0.1", mesh.port)).unwrap();
    let run = mesh.run();
    run.says(&["error:", "gateway.yaml", "Gateway demo/edge", "lds", "RejectedByProxy"]);
    let programmed = || {
        let statuses: serde_json::Value = serde_json::from_str(&mesh.page("/debug/status")?).ok()?;
        let gateway = statuses.as_object()?.iter().find(|(name, _)| name.contains("Gateway demo/edge"))?.1;
        let of = |object: &serde_json::Value| {
            let all = object["conditions"].as_array()?;
            let one = all.iter().find(|one| one["type"] == "Programmed")?;
            Some(format!("{} {}: {}", one["status"].as_str()?, one["reason"].as_str()?, one["message"].as_str()?))
        };
        Some([of(gateway)?, of(&gateway["listeners"][0])?])
    };
    let rejected = |said: &String| said.starts_with("False Invalid: ") && said.contains("cannot bind");
    until("its status says so", || programmed()?.iter().all(rejected).then_some(()));
    let text = fs::read_to_string(mesh.path("gateway.yaml")).unwrap();
    mesh.write("gateway.yaml", &text.replace(&mesh.port.to_string(), &support::free_port().to_string()));
    run.says(&["resolved:", "Gateway demo/edge", "RejectedByProxy"]);
    until("its status does no more", || (programmed()? == ["True Programmed: "; 2]).then_some(()));
    drop(taken);
}

#[test]
fn a_run_is_asked_for_its_proxies_by_the_address_of_its_pages() {
    let Some((mesh, _one, run)) = serving() else { return };
    let admin = format!("127.0.0.1:{}", mesh.admin);
    let said = |words: &[&str]| {
        let done = support::tombolo().args(words).args(["--admin", &admin]).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap())
    };
    let table = until("the gateway has all", || Some(said(&["status"]).1).filter(|table| !table.contains("STALE")));
    assert!(table.contains("gateway  SYNCED") && table.contains("connected to 1 of 1 replica"), "{table}");
    let (_, names) = said(&["proxy-config", "edge", "--type", "rds"]);
    assert!(names.contains("rds") && names.contains("SYNCED") && !names.contains("cds"), "{names}");
    let (_, routes) = said(&["proxy-config", "edge", "--type", "rds", "-o", "json"]);
    assert!(routes.contains("x-mark") && routes.contains("first"), "{routes}");
    let (code, error) = said(&["proxy-config", "ege"]);
    assert!(code == Some(2) && error.contains("near: edge."), "{error}");
    drop(run);
    let (code, error) = said(&["status"]);
    assert!(code == Some(2) && error.contains("is `tombolo run --admin` serving there?"), "{error}");
}
