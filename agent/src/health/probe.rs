//! What to probe, and how often: `istio.networking.v1.ReadinessProbe`, which is `spec.probe` of a WorkloadGroup.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A day: what is longer in a probe is a mistake.
const LONGEST: u32 = 86_400;
/// Failures or successes in a row.
const HIGHEST: u32 = 10_000;

/// A probe of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Probe {
    /// How often, and how often in a row.
    #[serde(flatten)]
    pub timing: Timing,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}

/// How often a probe is tried, and what its outcomes come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// Before the first try, in seconds. 0.
    pub initial_delay_seconds: u32,
    /// For one try, in seconds. 1.
    pub timeout_seconds: u32,
    /// From one try to the next, in seconds. 10.
    pub period_seconds: u32,
    /// Successes in a row that make a workload healthy. 1.
    pub success_threshold: u32,
    /// Failures in a row that make it unhealthy. 3.
    pub failure_threshold: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            initial_delay_seconds: 0,
            timeout_seconds: 1,
            period_seconds: 10,
            success_threshold: 1,
            failure_threshold: 3,
        }
    }
}

impl Timing {
    pub(crate) fn initial_delay(self) -> Duration {
        Duration::from_secs(self.initial_delay_seconds.into())
    }

    pub(crate) fn timeout(self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }

    pub(crate) fn period(self) -> Duration {
        Duration::from_secs(self.period_seconds.into())
    }
}

/// What is probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// An HTTP request; 200 to 399 is success.
    HttpGet(HttpGet),
    /// A connection; that it comes about is success.
    TcpSocket(TcpSocket),
    /// A program; exit code 0 is success.
    Exec(Exec),
    /// `grpc.health.v1.Health/Check`; `SERVING` is success.
    Grpc(Grpc),
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpGet {
    /// The path and query; `/` where empty.
    #[serde(default)]
    pub path: String,
    /// The port.
    pub port: u16,
    /// The host to connect to; the workload itself where absent. To set the request's host, use a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `HTTP`, or `HTTPS`: whose certificate is not looked at.
    #[serde(default)]
    pub scheme: Scheme,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_headers: Vec<Header>,
}

/// How HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// In the clear.
    #[default]
    #[serde(rename = "HTTP", alias = "http", alias = "")]
    Http,
    /// Over TLS.
    #[serde(rename = "HTTPS", alias = "https")]
    Https,
}

/// A header of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpSocket {
    /// The host; the workload itself where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The port.
    pub port: u16,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
}

/// A gRPC health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grpc {
    /// The port.
    pub port: u16,
    /// The service to ask for; the server as a whole where empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
}

/// A probe as it is written: 0 is as good as nothing, as in protobuf.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Fields {
    initial_delay_seconds: u32,
    timeout_seconds: u32,
    period_seconds: u32,
    success_threshold: u32,
    failure_threshold: u32,
    http_get: Option<HttpGet>,
    tcp_socket: Option<TcpSocket>,
    exec: Option<Exec>,
    grpc: Option<Grpc>,
}

impl TryFrom<Fields> for Probe {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let action = fields.action()?;
        action.check()?;
        let default = Timing::default();
        let bounded = |name: &str, value: u32, default: u32, highest: u32| match value {
            0 => Ok(default),
            value if value > highest => Err(format!("{name} is {value}; at most {highest} makes sense")),
            value => Ok(value),
        };
        let seconds = |name, value, default| bounded(name, value, default, LONGEST);
        let timing = Timing {
            initial_delay_seconds: seconds("initialDelaySeconds", fields.initial_delay_seconds, 0)?,
            timeout_seconds: seconds("timeoutSeconds", fields.timeout_seconds, default.timeout_seconds)?,
            period_seconds: seconds("periodSeconds", fields.period_seconds, default.period_seconds)?,
            success_threshold: bounded("successThreshold", fields.success_threshold, 1, HIGHEST)?,
            failure_threshold: bounded("failureThreshold", fields.failure_threshold, 3, HIGHEST)?,
        };
        Ok(Self { timing, action })
    }
}

impl Fields {
    fn action(&self) -> Result<Action, String> {
        let actions = [
            self.http_get.clone().map(Action::HttpGet),
            self.tcp_socket.clone().map(Action::TcpSocket),
            self.exec.clone().map(Action::Exec),
            self.grpc.clone().map(Action::Grpc),
        ];
        let mut named = actions.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(action), None) => Ok(action),
            (None, _) => Err("nothing to probe: name one of httpGet, tcpSocket, exec and grpc".to_owned()),
            _ => Err("more than one thing to probe: name only one of httpGet, tcpSocket, exec and grpc".to_owned()),
        }
    }
}

impl Action {
    fn check(&self) -> Result<(), String> {
        let port = match self {
            Self::HttpGet(HttpGet { port, http_headers, path, .. }) => {
                super::http::check(path, http_headers)?;
                *port
            }
            Self::TcpSocket(TcpSocket { port, .. }) | Self::Grpc(Grpc { port, .. }) => *port,
            Self::Exec(Exec { command }) if command.first().is_none_or(String::is_empty) => {
                return Err("exec.command is empty: name a program, and its arguments one by one".to_owned());
            }
            Self::Exec(_) => return Ok(()),
        };
        if port == 0 { Err("port 0 cannot be probed: name one from 1 to 65535".to_owned()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_probe_is_read_as_istio_and_kubernetes_write_it() {
        let probe: Probe = serde_json::from_value(json!({
            "periodSeconds": 5,
            "failureThreshold": 0,
            "httpGet": {"path": "/healthz", "port": 8080, "httpHeaders": [{"name": "Host", "value": "web"}]},
        }))
        .unwrap();
        assert_eq!(probe.timing, Timing { period_seconds: 5, ..Timing::default() });
        let Action::HttpGet(get) = &probe.action else { panic!("{probe:?}") };
        assert_eq!((get.port, get.scheme, get.path.as_str()), (8080, Scheme::Http, "/healthz"));
        assert_eq!(serde_json::from_value::<Probe>(json!(probe)).unwrap(), probe);
    }

    #[test]
    fn impossible_probes_are_refused_with_a_way_out() {
        let cases = [
            (json!({}), "nothing to probe"),
            (json!({"tcpSocket": {"port": 1}, "grpc": {"port": 1}}), "only one of"),
            (json!({"tcpSocket": {"port": 0}}), "1 to 65535"),
            (json!({"tcpSocket": {"port": 70_000}}), "u16"),
            (json!({"exec": {"command": []}}), "name a program"),
            (json!({"tcpSocket": {"port": 1}, "periodSeconds": 100_000}), "periodSeconds is 100000"),
            (json!({"tcpSocket": {"port": 1}, "periodSeconds": -1}), "-1"),
            (json!({"httpGet": {"port": 1, "scheme": "FTP"}}), "FTP"),
            (json!({"httpGet": {"port": 1, "path": "a b"}}), "path"),
            (json!({"httpGet": {"port": 1, "httpHeaders": [{"name": "a b"}]}}), "header"),
        ];
        for (value, expected) in cases {
            let error = serde_json::from_value::<Probe>(value.clone()).unwrap_err().to_string();
            assert!(error.contains(expected), "{value}: {error}");
        }
    }
}
