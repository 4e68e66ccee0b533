//! It is started, it is ready, and when it dies it is started again.

use crate::support::{Application, DEADLINE, Home, eventually, program, running};
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, os::unix::fs::PermissionsExt};
use tokio::{sync::watch, time::timeout};
use tombolo_agent::envoy::{Keeper, Phase, readiness};

#[tokio::test]
async fn it_is_ready_when_it_has_its_first_config_and_others_have_no_reason_against() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let (keeper, control) = Keeper::new(home.settings());
    let (others, other) = watch::channel(vec!["no certificate yet".to_owned()]);
    let (sender, mut reasons) = watch::channel(vec![]);
    tokio::spawn(readiness(home.client(), control.status(), other, sender));
    let at_first = timeout(DEADLINE, reasons.wait_for(|reasons| reasons.len() == 2)).await.unwrap().unwrap().clone();
    assert_eq!(at_first, ["no certificate yet", "Envoy is not running"]);

    let kept = tokio::spawn(keeper.run());
    timeout(DEADLINE, reasons.wait_for(|reasons| *reasons == ["no certificate yet"])).await.unwrap().unwrap();
    others.send_replace(vec![]);
    timeout(DEADLINE, reasons.wait_for(Vec::is_empty)).await.unwrap().unwrap();
    assert_eq!(home.get("/").await.unwrap(), "hello");
    let mode = fs::metadata(home.path().join("envoy-admin.sock")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "only our user may administer it");

    control.end().await;
    kept.await.unwrap();
    assert_eq!(control.status().borrow().phase, Phase::Ended);
    assert!(home.get("/").await.is_err());
    assert!(!home.path().join("envoy.json").exists(), "nothing is left to take over");
}

#[tokio::test]
async fn one_that_dies_is_started_again_and_explained() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    let first = running(&control).await.pid.unwrap();
    kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();

    let mut status = control.status();
    let again = status.wait_for(|status| status.phase == Phase::Running && status.pid != Some(first));
    let again = timeout(DEADLINE, again).await.unwrap().unwrap().clone();
    assert_eq!(again.restarts, 1);
    let failure = again.failure.unwrap();
    assert!(failure.contains(&format!("Envoy {first} ended with signal 9")), "{failure}");
    home.serves().await;
    control.end().await;
    kept.await.unwrap();
}

#[tokio::test]
async fn what_envoy_said_last_explains_why_it_does_not_start() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let mut settings = home.settings();
    settings.bootstrap["admin"]["address"] = serde_json::json!({"no_such_field": 1});
    let (keeper, control) = Keeper::new(settings);
    let kept = tokio::spawn(keeper.run());
    let failure = eventually(|| async { control.status().borrow().failure.clone().ok_or("no failure yet") }).await;
    assert!(failure.contains("no_such_field") && failure.contains("exit code 1"), "{failure}");
    timeout(DEADLINE, control.end()).await.unwrap();
    kept.await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let application = Application::start().await;
    let home = Home::new("/no/such/envoy".as_ref(), application.address);
    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    let failure = eventually(|| async { control.status().borrow().failure.clone().ok_or("no failure yet") }).await;
    assert!(failure.contains("/no/such/envoy") && failure.contains("--envoy"), "{failure}");
    timeout(DEADLINE, control.end()).await.unwrap();
    kept.await.unwrap();
}
