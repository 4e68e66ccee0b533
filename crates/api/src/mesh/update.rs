//! How a new version or new settings take over.

use super::{Amount, Percent, Period};
use schemars::JsonSchema;
use serde::Deserialize;

/// How a new version or new settings take over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Update {
    /// `InPlace` where absent.
    pub strategy: Strategy,
    /// How a canary is led; without effect for `InPlace`.
    pub canary: Option<Canary>,
}

/// How a new version or new settings take over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Strategy {
    /// The control plane is replaced; proxies keep what they have meanwhile.
    #[default]
    InPlace,
    /// A second control plane is started, and proxies move to it by and by.
    Canary,
}

/// How a canary is led.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Canary {
    /// What is compared before any proxy moves.
    pub gate: Gate,
    /// The shares of proxies that move, one after the other: ascending, the last 100. 5 for 2m, 25 for 5m, then 100, where
    /// absent.
    #[schemars(length(min = 1, max = 20), extend("x-kubernetes-validations" = [
        {"rule": "self[size(self) - 1].weight == 100", "message": "the last step moves all: its weight is 100"},
        {
            "rule": "self.map(s, s.weight).isSorted() && self.all(a, self.exists_one(b, a.weight == b.weight))",
            "message": "each step moves more than the one before",
        },
    ]))]
    pub steps: Vec<Step>,
    /// What stops a canary.
    pub analysis: Analysis,
    /// Who takes a stopped canary back; `Automatic` where absent.
    pub rollback: Rollback,
    /// How long nothing has used an old revision before it goes; 10m where absent.
    pub retire_after: Period,
}

impl Default for Canary {
    fn default() -> Self {
        let step = |weight, minutes: u64| Step { weight, pause: Period::from_secs(minutes * 60) };
        Self {
            gate: Gate::default(),
            steps: vec![step(5, 2), step(25, 5), step(100, 0)],
            analysis: Analysis::default(),
            rollback: Rollback::default(),
            retire_after: Period::from_secs(600),
        }
    }
}

/// What both revisions would send to every connected proxy is compared before any moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Gate {
    /// `Enforce` where absent.
    pub mode: GateMode,
    /// The most proxies that may receive something else; any number where absent.
    pub max_changed_proxies: Option<Amount>,
}

/// What becomes of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum GateMode {
    /// Nothing moves while it exceeds the limit.
    #[default]
    Enforce,
    /// It is shown.
    Report,
}

/// One step of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Step {
    /// The share of proxies on the new revision, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub weight: u32,
    /// How long the step lasts before the next; none where absent.
    #[serde(default)]
    pub pause: Period,
}

/// What stops a canary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Analysis {
    /// The most resources that proxies may reject; 0 where absent.
    pub max_rejected_configs: u32,
    /// The most moved proxies that may be unready; none where absent.
    pub max_unready: Amount,
    /// The most by which the share of failed requests may rise; not looked at where absent.
    pub max_error_rate_increase: Option<Percent>,
}

/// Who takes a stopped canary back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Rollback {
    /// The operator, at once.
    #[default]
    Automatic,
    /// People: it stays where it stopped.
    Manual,
}
