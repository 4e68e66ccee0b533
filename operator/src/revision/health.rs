//! How a Deployment fares, and why. No client.

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus},
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use std::time::Duration;

/// How a Deployment fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// How many replicas there should be.
    pub(crate) wanted: u32,
    /// How many serve, of whatever version.
    pub(crate) available: u32,
    /// How many are of the version that is wanted.
    pub(crate) updated: u32,
    /// None is of another version than the one that is wanted.
    pub(crate) uniform: bool,
    /// All serve, and all are as wanted.
    pub(crate) complete: bool,
    /// What keeps it from that, if it is more than a little patience.
    pub(crate) trouble: Option<Trouble>,
}

/// What keeps a Deployment from being complete, in Kubernetes' own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// True where all replicas serve, and all are as wanted.
pub(crate) fn is_complete(deployment: &Deployment) -> bool {
    of(deployment, &[], Timestamp::MIN).complete
}

/// How a Deployment fares, given its pods as they are now.
pub(crate) fn of(deployment: &Deployment, pods: &[Pod], now: Timestamp) -> Health {
    let count = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    let wanted = deployment.spec.replicas.map_or(1, |replicas| count(Some(replicas)));
    let seen = status.observed_generation >= deployment.metadata.generation;
    let (total, updated) = (count(status.replicas), count(status.updated_replicas));
    let available = count(status.available_replicas);
    let complete = seen && updated == wanted && total == wanted && available == wanted;
    let uniform = seen && total == updated;
    let trouble = (!complete && seen).then(|| trouble(deployment, pods, now)).flatten();
    Health { wanted, available, updated, uniform, complete, trouble }
}

/// A pod's own reason before the Deployment's: it says more. Pods that are to go have nothing to say.
fn trouble(deployment: &Deployment, pods: &[Pod], now: Timestamp) -> Option<Trouble> {
    let stay = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    stay.filter_map(|pod| of_pod(pod, now)).next().or_else(|| of_deployment(deployment))
}

/// Reasons for which a container waits that pass by themselves.
const PASSING: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// What the kubelet says of a container while it waits to start it again.
const CRASHING: &str = "CrashLoopBackOff";

fn of_pod(pod: &Pod, now: Timestamp) -> Option<Trouble> {
    let (name, status) = (pod.metadata.name.as_deref().unwrap_or_default(), pod.status.as_ref()?);
    let say = |reason: &str, message: &str| Trouble {
        reason: reason.to_owned(),
        message: format!("pod {name}: {reason}: {message}"),
    };
    let scheduled = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled");
    if let Some(condition) = scheduled.filter(|condition| condition.status == "False") {
        let reason = condition.reason.as_deref().unwrap_or("Unschedulable");
        return Some(say(reason, condition.message.as_deref().unwrap_or_default()));
    }
    let of_container = status.container_statuses.iter().flatten().find_map(|container| {
        let last = ended(container).map(how).unwrap_or_default();
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).filter(|reason| !PASSING.contains(reason));
        match (reason, waiting) {
            (Some(reason), Some(waiting)) => {
                let message = waiting.message.as_deref().unwrap_or_default();
                Some(say(reason, format!("{message}{last}").trim()))
            }
            _ if crashes(container, now) => {
                Some(say(CRASHING, &format!("started again {} times{last}", container.restart_count)))
            }
            _ => None,
        }
    });
    of_container.or_else(|| of_unready(pod, status, now).map(|(reason, message)| say(reason, &message)))
}

/// Reason and message of a pod that runs and does not get ready.
fn of_unready<'a>(pod: &'a Pod, status: &'a PodStatus, now: Timestamp) -> Option<(&'a str, String)> {
    let unready = unready(status, now)?;
    let what = format!("what runs has not been ready for more than {} s", SLOW.as_secs());
    let said = |text: &'a Option<String>| text.as_deref().filter(|text| !text.is_empty());
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let message = match (said(&unready.reason), said(&unready.message), node) {
        // The kubelet says why. Whoever speaks for it where its node is lost, does not.
        (None, None, Some(node)) => format!("{what}, and its node may be gone: kubectl get node {node}"),
        (_, None, _) => format!("{what}, and its log says why"),
        (_, Some(message), _) => format!("{message}: {what}, and its log says why"),
    };
    Some((said(&unready.reason).unwrap_or("NotReady"), message))
}

/// Whoever has run for so long and is not ready has not just begun: a control plane is ready once it has listed everything.
const SLOW: SignedDuration = SignedDuration::from_secs(60);

/// What the kubelet says of a pod that is not ready, and was not for long though all of it runs.
fn unready(status: &PodStatus, now: Timestamp) -> Option<&PodCondition> {
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready")?;
    let is_long = |since: &Time| now.duration_since(since.0) > SLOW;
    let runs = |container: &ContainerStatus| {
        let running = container.state.as_ref().and_then(|state| state.running.as_ref());
        running.and_then(|running| running.started_at.as_ref()).is_some_and(is_long)
    };
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let is_unready = ready.status == "False" && ready.last_transition_time.as_ref().is_some_and(is_long);
    (is_unready && !containers.is_empty() && containers.iter().all(runs)).then_some(ready)
}

/// How a container's program ended last.
fn ended(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let states = [&container.state, &container.last_state];
    states.into_iter().flatten().find_map(|state| state.terminated.as_ref())
}

/// A container that ran so long before it ended is started again without a wait.
const LONG: Duration = Duration::from_secs(10 * 60);

/// True where a container that is started again and again is just not waiting for it: it runs for a moment, or has just ended.
/// The kubelet tells so only while it waits.
fn crashes(container: &ContainerStatus, now: Timestamp) -> bool {
    // The first time it is started again at once: that is no loop.
    let again = container.restart_count > 1 && !container.ready;
    let is_short = |from: Timestamp, to: Timestamp| to.duration_since(from).unsigned_abs() < LONG;
    let ended_soon = ended(container).is_some_and(|ended| match (&ended.started_at, &ended.finished_at) {
        (Some(started), Some(finished)) => is_short(started.0, finished.0),
        _ => true,
    });
    // What has run for long does not crash, whatever it did before and whyever it is not ready.
    let running = container.state.as_ref().and_then(|state| state.running.as_ref());
    let started = running.and_then(|running| running.started_at.as_ref());
    again && ended_soon && started.is_none_or(|started| is_short(started.0, now))
}

fn how(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let message = ended.message.as_deref().map(|message| format!(": {}", message.trim())).unwrap_or_default();
    format!(" (it ended with {reason}, exit code {}{message})", ended.exit_code)
}

fn of_deployment(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.as_ref()?.conditions.as_deref().unwrap_or_default();
    let failed = |about: &str, status: &str| {
        let is = |text: &Option<String>, expected| text.as_deref() == Some(expected);
        conditions.iter().find(|condition| is(&condition.type_, about) && is(&condition.status, status))
    };
    let condition = failed("ReplicaFailure", "True").or_else(|| failed("Progressing", "False"))?;
    Some(Trouble {
        reason: condition.reason.clone().unwrap_or_else(|| "DeploymentFailed".to_owned()),
        message: condition.message.clone().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn deployment(status: &Value) -> Deployment {
        let document = json!({"metadata": {"generation": 2}, "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status});
        serde_json::from_value(document).unwrap()
    }

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "d-1"}, "status": status})).unwrap()
    }

    const UPDATING: &str = r#"{"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2}"#;

    #[test]
    fn complete_is_what_the_controller_has_seen_and_done() {
        let complete = |status: Value| is_complete(&deployment(&status));
        let done = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(complete(done.clone()));
        for (field, value) in
            [("observedGeneration", 1), ("replicas", 3), ("updatedReplicas", 1), ("availableReplicas", 1)]
        {
            let mut status = done.clone();
            status[field] = value.into();
            assert!(!complete(status), "{field} {value}");
        }
        assert!(!complete(json!({})));
    }

    #[test]
    fn an_update_has_pods_of_two_versions_and_a_lost_pod_is_none() {
        let of = |status: Value| of(&deployment(&status), &[], at("10:21"));
        let updating = of(serde_json::from_str(UPDATING).unwrap());
        assert!(!updating.uniform && !updating.complete);
        let lost = of(json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}));
        assert!(lost.uniform && !lost.complete);
        let unseen = of(json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}));
        assert!(!unseen.uniform, "nobody has seen what is wanted");
    }

    #[test]
    fn a_pods_own_reason_is_told() {
        let updating = deployment(&serde_json::from_str(UPDATING).unwrap());
        let waiting = |reason: &str| {
            let state = json!({"waiting": {"reason": reason, "message": "because"}});
            let last = json!({"terminated": {"exitCode": 2, "reason": "Error", "message": "no settings\n"}});
            trouble_of(&container(1, false, &state, &last))
        };
        assert_eq!(waiting("ContainerCreating"), None);
        let trouble = waiting("CrashLoopBackOff").unwrap();
        assert_eq!(trouble.reason, "CrashLoopBackOff");
        assert_eq!(
            trouble.message,
            "pod d-1: CrashLoopBackOff: because (it ended with Error, exit code 2: no settings)"
        );
        let unschedulable = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]});
        assert_eq!(of(&updating, &[pod(&unschedulable)], at("10:21")).trouble.unwrap().reason, "Unschedulable");
    }

    fn container(restarts: u32, ready: bool, state: &Value, last: &Value) -> Value {
        json!({"name": "discovery", "image": "i", "imageID": "", "ready": ready, "restartCount": restarts,
            "state": state, "lastState": last})
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}:00Z").parse().unwrap()
    }

    fn trouble_at(time: &str, container: &Value) -> Option<Trouble> {
        let updating = deployment(&serde_json::from_str(UPDATING).unwrap());
        of(&updating, &[pod(&json!({"containerStatuses": [container]}))], at(time)).trouble
    }

    fn trouble_of(container: &Value) -> Option<Trouble> {
        trouble_at("10:21", container)
    }

    fn terminated(minutes: u32) -> Value {
        json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "no settings\n",
            "startedAt": "2026-01-01T10:00:00Z", "finishedAt": format!("2026-01-01T10:{minutes:02}:02Z")}})
    }

    #[test]
    fn a_container_that_crashes_does_so_while_it_runs_for_a_moment_too() {
        let (running, none) = (json!({"running": {"startedAt": "2026-01-01T10:20:00Z"}}), json!({}));
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        let loops = [
            container(1, false, &waiting, &terminated(0)),
            container(2, false, &running, &terminated(0)),
            container(2, false, &terminated(0), &terminated(0)),
            container(3, false, &waiting, &terminated(0)),
        ];
        for container in &loops {
            let trouble = trouble_of(container).unwrap();
            assert_eq!(trouble.reason, "CrashLoopBackOff", "so that nobody is told again of what did not change");
            assert!(
                trouble.message.ends_with(" (it ended with Error, exit code 1: no settings)"),
                "{}",
                trouble.message
            );
        }
        for calm in [
            container(0, false, &running, &none),
            container(0, false, &terminated(0), &none),
            container(1, false, &running, &terminated(0)),
            container(5, true, &running, &terminated(0)),
            container(5, false, &running, &terminated(40)),
        ] {
            assert_eq!(trouble_of(&calm), None, "{calm}");
        }
    }

    #[test]
    fn a_container_that_crashed_and_runs_since_does_not_crash() {
        let running = json!({"running": {"startedAt": "2026-01-01T10:20:00Z"}});
        let container = container(2, false, &running, &terminated(0));
        assert!(trouble_at("10:29", &container).is_some());
        assert_eq!(trouble_at("10:30", &container), None);
        assert_eq!(trouble_at("14:00", &container), None);
        // The node's clock may be ahead.
        assert!(trouble_at("10:19", &container).is_some());
    }

    #[test]
    fn a_pod_that_runs_and_does_not_get_ready_is_told_of() {
        let updating = deployment(&serde_json::from_str(UPDATING).unwrap());
        let pod = |started: &str, ready: &str, since: &str| {
            let running = json!({"running": {"startedAt": format!("2026-01-01T{started}:00Z")}});
            let condition = json!({"type": "Ready", "status": ready, "reason": "ContainersNotReady",
                "message": "containers with unready status: [discovery]",
                "lastTransitionTime": format!("2026-01-01T{since}:00Z")});
            let containers = [container(0, ready == "True", &running, &json!({}))];
            pod(&json!({"conditions": [condition], "containerStatuses": containers}))
        };
        let trouble = |time: &str, pod| of(&updating, &[pod], at(time)).trouble;
        let said = trouble("10:22", pod("10:20", "False", "10:19")).unwrap();
        assert_eq!(said.reason, "ContainersNotReady");
        let expected = "pod d-1: ContainersNotReady: containers with unready status: [discovery]: what runs has not been ready \
                        for more than 60 s, and its log says why";
        assert_eq!(said.message, expected);
        assert!(trouble("10:30", pod("10:20", "False", "10:19")) == Some(said), "what lasts is not told again");
        for calm in [
            pod("10:21", "False", "10:19"), // its image took long
            pod("10:00", "False", "10:21"), // it was ready until now
            pod("10:20", "True", "10:20"),
            pod("10:25", "False", "10:25"), // the node's clock is ahead
        ] {
            assert_eq!(trouble("10:22", calm), None);
        }
    }

    #[test]
    fn where_nobody_says_why_a_pod_is_not_ready_its_node_may_be_gone() {
        let updating = deployment(&serde_json::from_str(UPDATING).unwrap());
        let running = json!({"running": {"startedAt": "2026-01-01T10:00:00Z"}});
        let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T10:19:00Z"});
        let status =
            json!({"conditions": [condition], "containerStatuses": [container(0, true, &running, &json!({}))]});
        let mut pod = pod(&status);
        let said = |pod: &Pod| of(&updating, std::slice::from_ref(pod), at("10:22")).trouble.unwrap();
        assert!(said(&pod).message.ends_with("its log says why"), "no node is known");
        pod.spec = serde_json::from_value(json!({"nodeName": "n-1", "containers": []})).unwrap();
        let expected = "pod d-1: NotReady: what runs has not been ready for more than 60 s, and its node may be gone: \
                        kubectl get node n-1";
        let trouble = said(&pod);
        assert_eq!((&*trouble.reason, &*trouble.message), ("NotReady", expected));
    }

    #[test]
    fn a_pod_that_is_to_go_is_not_told_of() {
        let updating = deployment(&serde_json::from_str(UPDATING).unwrap());
        let waiting = container(1, false, &json!({"waiting": {"reason": "ErrImagePull"}}), &json!({}));
        let mut pod = pod(&json!({"containerStatuses": [waiting]}));
        assert!(of(&updating, std::slice::from_ref(&pod), at("10:21")).trouble.is_some());
        pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T10:00:00Z")).unwrap();
        assert_eq!(of(&updating, &[pod], at("10:21")).trouble, None);
    }

    #[test]
    fn a_deployment_without_pods_has_its_reason() {
        let mut status: Value = serde_json::from_str(UPDATING).unwrap();
        status["conditions"] =
            json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}]);
        let trouble = of(&deployment(&status), &[], at("10:21")).trouble.unwrap();
        assert_eq!((&*trouble.reason, &*trouble.message), ("FailedCreate", "quota"));
    }
}
