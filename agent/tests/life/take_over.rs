//! An Envoy outlives its agent, and the next agent takes it over.

use crate::support::{Application, DEADLINE, Home, eventually, get, program, running, settings};
use std::{
    env,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::{interval, timeout};
use tombolo_agent::envoy::{Keeper, Phase};

/// Tells the test below to be an agent: state directory, listener, application, Envoy.
const AGENT: &str = "TOMBOLO_TEST_AGENT";

/// An agent that keeps an Envoy until it is killed; as a process of its own, because it has to die without a word.
#[tokio::test]
async fn an_agent_in_a_process_of_its_own() {
    let Ok(told) = env::var(AGENT) else { return };
    let told: Vec<_> = told.split('|').collect();
    let [directory, address, application, program] = told[..] else { panic!("{told:?}") };
    let (address, application) = (address.parse().unwrap(), application.parse().unwrap());
    let (keeper, control) = Keeper::new(settings(program.as_ref(), directory.as_ref(), address, application));
    tokio::spawn(async move {
        let mut status = control.status();
        while status.changed().await.is_ok() {
            let json = serde_json::to_vec(&*status.borrow_and_update()).unwrap();
            let path = PathBuf::from(control_file());
            std::fs::write(path.with_extension("new"), json).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        }
    });
    keeper.run().await;
}

/// Where that agent says how its Envoy is.
fn control_file() -> String {
    let told = env::var(AGENT).unwrap();
    format!("{}/status.json", told.split('|').next().unwrap())
}

fn agent(home: &Home, application: &Application, program: &std::path::Path) -> Child {
    let told = format!("{}|{}|{}|{}", home.path().display(), home.address, application.address, program.display());
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "take_over::an_agent_in_a_process_of_its_own", "--nocapture"]);
    command.env(AGENT, told).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

/// The status that the agent of this home last wrote down, where `reached` holds of it.
async fn status(home: &Home, reached: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    eventually(|| async {
        let text = std::fs::read(home.path().join("status.json")).map_err(|error| error.to_string())?;
        let status = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if reached(&status) { Ok(status) } else { Err(status.to_string()) }
    })
    .await
}

#[tokio::test]
async fn requests_go_on_while_the_agent_is_killed_and_started_again() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let mut first = agent(&home, &application, &program);
    home.serves().await;
    let envoy = status(&home, |status| status["phase"] == "running").await["pid"].clone();

    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let address = home.address;
    let load = tokio::spawn(async move {
        let (mut answered, mut pace) = (0, interval(Duration::from_millis(5)));
        while stopped.try_recv().is_err() {
            pace.tick().await;
            get(address, "/").await.unwrap_or_else(|error| panic!("after {answered} answers: {error}"));
            answered += 1;
        }
        answered
    });
    for _ in 0..3 {
        first.kill().unwrap(); // SIGKILL
        first.wait().unwrap();
        std::fs::remove_file(home.path().join("status.json")).unwrap();
        first = agent(&home, &application, &program);
        let taken = status(&home, |status| status["phase"] == "running").await;
        assert_eq!((&taken["pid"], &taken["taken_over"]), (&envoy, &true.into()));
    }
    stop.send(()).unwrap();
    let answered = timeout(DEADLINE, load).await.unwrap().unwrap();
    assert!(answered > 0);
    first.kill().unwrap();
    first.wait().unwrap();
}

#[tokio::test]
async fn one_that_is_left_is_taken_over_and_then_ended() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    let pid = running(&control).await.pid;
    control.leave().await;
    kept.await.unwrap();
    assert_eq!(control.status().borrow().phase, Phase::Left);
    assert_eq!(home.get("/").await.unwrap(), "hello");

    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    let taken = running(&control).await;
    assert!(taken.taken_over && taken.pid == pid, "{taken:?}");
    control.end().await;
    kept.await.unwrap();
    assert!(home.get("/").await.is_err());
}

#[tokio::test]
async fn one_that_was_started_from_something_else_is_replaced_but_a_new_name_alone_does_not_count() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let mut pids = vec![];
    let mut settings = home.settings();
    for step in ["at first", "another name", "another number of threads"] {
        match step {
            "another name" => settings.bootstrap["node"]["id"] = "sidecar~127.0.0.9~new.shop~shop".into(),
            "another number of threads" => settings.concurrency = Some(2),
            _ => {}
        }
        let (keeper, control) = Keeper::new(settings.clone());
        let kept = tokio::spawn(keeper.run());
        pids.push(running(&control).await.pid);
        home.serves().await;
        kept.abort(); // as if the agent had died
        _ = kept.await;
    }
    assert_eq!(pids[0], pids[1]);
    assert_ne!(pids[1], pids[2]);
}

#[tokio::test]
async fn one_that_nobody_has_written_down_is_ended_first() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    let first = running(&control).await.pid;
    kept.abort();
    std::fs::remove_file(home.path().join("envoy.json")).unwrap();

    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    assert_ne!(running(&control).await.pid, first);
    home.serves().await;
    control.end().await;
    kept.await.unwrap();
}

#[tokio::test]
async fn one_that_was_draining_is_replaced() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    let first = running(&control).await.pid;
    timeout(DEADLINE, control.drain()).await.unwrap();
    kept.abort();

    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    let second = running(&control).await;
    assert!(second.pid != first && !second.taken_over, "{second:?}");
    home.serves().await;
    control.end().await;
    kept.await.unwrap();
}

/// Pids and start times come again when a machine is started anew: whoever has them then is not touched.
#[tokio::test]
async fn another_process_with_its_pid_after_a_restart_of_the_machine_is_left_alone() {
    let Some(program) = program() else { return };
    let application = Application::start().await;
    let home = Home::new(&program, application.address);
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", bystander.id())).unwrap();
    let started: u64 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let process = serde_json::json!({"pid": bystander.id(), "started": started});
    let record = serde_json::json!({"process": process, "boot": "another", "bootstrap": "x"});
    std::fs::write(home.path().join("envoy.json"), record.to_string()).unwrap();

    let (keeper, control) = Keeper::new(home.settings());
    let kept = tokio::spawn(keeper.run());
    home.serves().await;
    assert_eq!(bystander.try_wait().unwrap(), None);
    control.end().await;
    kept.await.unwrap();
    assert_eq!(bystander.try_wait().unwrap(), None);
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
