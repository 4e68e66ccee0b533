//! How the workloads of a WorkloadGroup are probed.

use crate::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tombolo_core::{FieldPath, Port};

/// `ReadinessProbe`: how an agent finds out whether its application serves. Exactly one of the four methods is set. Zero
/// and absent mean the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.httpGet), has(self.tcpSocket), has(self.exec), has(self.grpc)].filter(m, m).size() == 1",
    "message": "exactly one of httpGet, tcpSocket, exec and grpc is needed",
}]))]
pub struct ReadinessProbe {
    /// Seconds from the agent's start to the first probe; 0 where absent.
    #[schemars(range(max = 2_147_483_647))]
    pub initial_delay_seconds: u32,
    /// Seconds after which a probe has failed; 1 where absent.
    #[schemars(range(max = 2_147_483_647))]
    pub timeout_seconds: u32,
    /// Seconds from one probe to the next; 10 where absent.
    #[schemars(range(max = 2_147_483_647))]
    pub period_seconds: u32,
    /// Successes in a row after which a failed workload serves again; 1 where absent.
    #[schemars(range(max = 2_147_483_647))]
    pub success_threshold: u32,
    /// Failures in a row after which a workload serves no more; 3 where absent.
    #[schemars(range(max = 2_147_483_647))]
    pub failure_threshold: u32,
    /// Ready where an HTTP request is answered by 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpProbe>,
    /// Ready where a TCP connection is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpProbe>,
    /// Ready where a command exits with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecProbe>,
    /// Ready where gRPC's health service says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcProbe>,
}

/// `HTTPHealthCheckConfig`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpProbe {
    /// The path requested; `/` where absent.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub path: Arc<str>,
    /// The port requested from.
    #[schemars(with = "u16", range(min = 1, max = 65535))]
    pub port: Port,
    /// The host connected to; the workload's own address where absent. For another Host header, use `httpHeaders`.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub host: Arc<str>,
    /// `HTTP` or `HTTPS`; HTTP where absent.
    #[serde(default, skip_serializing_if = "is_empty")]
    #[schemars(extend("enum" = ["", "HTTP", "HTTPS"]))]
    pub scheme: Arc<str>,
    /// Headers sent along; names may repeat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_headers: Vec<HttpHeader>,
}

/// `HTTPHeader`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpHeader {
    /// The header's name.
    #[schemars(regex(pattern = r"^[-_A-Za-z0-9]+$"))]
    pub name: Arc<str>,
    /// Its value.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub value: Arc<str>,
}

/// `TCPHealthCheckConfig`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TcpProbe {
    /// The host connected to; `localhost` where absent.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub host: Arc<str>,
    /// The port connected to.
    #[schemars(with = "u16", range(min = 1, max = 65535))]
    pub port: Port,
}

/// `ExecHealthCheckConfig`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecProbe {
    /// The program and its arguments; no shell.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub command: Vec<Arc<str>>,
}

/// `GrpcHealthCheckConfig`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrpcProbe {
    /// The port called.
    #[schemars(with = "u16", range(min = 1, max = 65535))]
    pub port: Port,
    /// The service asked for; empty for the server as a whole.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub service: Arc<str>,
}

/// What is empty says nothing, and is not written.
fn is_empty(text: &str) -> bool {
    text.is_empty()
}

impl ReadinessProbe {
    /// Checks what the types alone cannot.
    pub(super) fn check(&self, field: &FieldPath, report: &mut Report) {
        let methods = [self.http_get.is_some(), self.tcp_socket.is_some(), self.exec.is_some(), self.grpc.is_some()];
        let count = methods.into_iter().filter(|m| *m).count();
        if count != 1 {
            let message = format!("has {count} methods, exactly one is needed");
            report.error(field.clone(), "Conflict", message, "set one of httpGet, tcpSocket, exec and grpc");
        }
        self.check_numbers(field, report);
        if let Some(http) = &self.http_get {
            http.check(&field.key("httpGet"), report);
        }
        if let Some(exec) = &self.exec {
            exec.check(&field.key("exec").key("command"), report);
        }
    }

    /// Kubernetes and Istio count in 32 bits, signed.
    fn check_numbers(&self, field: &FieldPath, report: &mut Report) {
        let numbers = [
            ("initialDelaySeconds", self.initial_delay_seconds),
            ("timeoutSeconds", self.timeout_seconds),
            ("periodSeconds", self.period_seconds),
            ("successThreshold", self.success_threshold),
            ("failureThreshold", self.failure_threshold),
        ];
        for (name, number) in numbers.into_iter().filter(|(_, n)| i32::try_from(*n).is_err()) {
            let message = format!("{number} is too large");
            report.error(field.key(name), "OutOfRange", message, "use at most 2147483647");
        }
    }
}

impl HttpProbe {
    fn check(&self, field: &FieldPath, report: &mut Report) {
        if !matches!(&*self.scheme, "" | "HTTP" | "HTTPS") {
            let message = format!("{:?} is not a scheme that can be probed", self.scheme);
            report.error(field.key("scheme"), "InvalidValue", message, "use HTTP or HTTPS");
        }
        for (i, header) in self.http_headers.iter().enumerate() {
            let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            if header.name.is_empty() || !header.name.bytes().all(valid) {
                let message = format!("{:?} is not the name of a header", header.name);
                let field = field.key("httpHeaders").index(i).key("name");
                report.error(field, "InvalidValue", message, "use letters, digits, '-' and '_'");
            }
        }
    }
}

impl ExecProbe {
    fn check(&self, field: &FieldPath, report: &mut Report) {
        if self.command.is_empty() {
            report.error(field.clone(), "Required", "no command is given", "name a program");
        }
        for (i, _) in self.command.iter().enumerate().filter(|(_, word)| word.is_empty()) {
            report.error(field.index(i), "Required", "an argument is empty", "remove it, or fill it in");
        }
    }
}
