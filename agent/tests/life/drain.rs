//! An Envoy that is to end finishes what it is doing, but not for ever.

use crate::support::{Application, DEADLINE, Home, eventually, program, running};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tombolo_agent::envoy::{Keeper, Phase};

#[tokio::test]
async fn a_slow_request_is_finished_before_the_end() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Arc::new(Home::new(&program, application.address));
    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    let slow = tokio::spawn({
        let home = home.clone();
        async move { home.get("/slow").await }
    });
    timeout(DEADLINE, application.is_asked()).await.unwrap();

    let ending = tokio::spawn({
        let control = control.clone();
        async move { control.end().await }
    });
    eventually(|| async {
        let state = home.client().state().await.map_err(|error| error.to_string())?;
        if state == "DRAINING" { Ok(()) } else { Err(state) }
    })
    .await;
    assert!(!ending.is_finished(), "a request is still unanswered");
    application.release();
    assert_eq!(slow.await.unwrap().unwrap(), "hello");
    timeout(DEADLINE, ending).await.unwrap().unwrap();
    kept.await.unwrap();
    assert!(home.get("/").await.is_err());
}

#[tokio::test]
async fn what_takes_longer_than_the_deadline_is_cut_off() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Arc::new(Home::new(&program, application.address));
    let mut settings = home.settings();
    settings.drain.deadline = Duration::from_millis(500);
    let (keeper, control) = Keeper::new(settings);
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    let slow = tokio::spawn({
        let home = home.clone();
        async move { home.get("/slow").await.map_err(|error| error.to_string()) }
    });
    timeout(DEADLINE, application.is_asked()).await.unwrap();
    timeout(DEADLINE, control.end()).await.unwrap();
    kept.await.unwrap();
    slow.await.unwrap().unwrap_err();
    assert!(home.get("/").await.is_err());
}

#[tokio::test]
async fn one_that_is_drained_runs_on_but_takes_no_more_connections_after_the_deadline() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let mut settings = home.settings();
    settings.drain.deadline = Duration::from_secs(1);
    let (keeper, control) = Keeper::new(settings);
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    let pid = running(&control).await.pid;
    timeout(DEADLINE, control.drain()).await.unwrap();
    let drained = control.status().borrow().clone();
    assert_eq!((drained.phase, drained.pid), (Phase::Drained, pid));
    eventually(|| async {
        match home.get("/").await {
            Ok(_) => Err("it still takes connections"),
            Err(_) => Ok(()),
        }
    })
    .await;
    assert!(home.client().answers().await);
    timeout(DEADLINE, control.drain()).await.unwrap(); // a second time is no news
    timeout(DEADLINE, control.end()).await.unwrap();
    kept.await.unwrap();
}

#[tokio::test]
async fn it_takes_connections_for_as_long_as_callers_may_not_know_yet() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let mut settings = home.settings();
    settings.drain.deadline = 2 * DEADLINE;
    settings.drain.minimum = 2 * DEADLINE;
    let (keeper, control) = Keeper::new(settings);
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    let ending = tokio::spawn({
        let control = control.clone();
        async move { control.end().await }
    });
    eventually(|| async {
        let state = home.client().state().await.map_err(|error| error.to_string())?;
        if state == "DRAINING" { Ok(()) } else { Err(state) }
    })
    .await;
    assert_eq!(home.get("/").await.unwrap(), "hello");
    assert!(!ending.is_finished());
    timeout(DEADLINE, control.kill()).await.unwrap(); // told a second time
    ending.await.unwrap();
    kept.await.unwrap();
    assert!(home.get("/").await.is_err());
}

#[tokio::test]
async fn one_that_stands_still_is_ended_all_the_same() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    let pid = running(&control).await.pid.and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    timeout(DEADLINE, control.end()).await.unwrap();
    kept.await.unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err());
}
