//! What is spoken at a port, from what its owner says.
//!
//! In this order: `appProtocol`; a ServiceEntry's protocol word; the port's name, as Istio reads it: `PROTOCOL` or
//! `PROTOCOL-SUFFIX`. Words that are not known count as not said. Where nothing is said it is TCP: nothing is guessed from
//! the first bytes, so what a port does never depends on who speaks first.

use crate::ir::Protocol;

/// What is spoken at a port. `word` is a ServiceEntry's `protocol`, empty for others.
pub(super) fn protocol(app_protocol: Option<&str>, word: &str, name: &str) -> Protocol {
    app_protocol.and_then(parse).or_else(|| parse(word)).or_else(|| of_name(name)).unwrap_or(Protocol::Tcp)
}

/// Istio's protocol words, whatever their case, and Kubernetes' own (KEP-3726).
fn parse(word: &str) -> Option<Protocol> {
    let protocol = match &*word.to_ascii_lowercase() {
        "http" | "kubernetes.io/ws" => Protocol::Http,
        "http2" | "grpc" | "grpc-web" | "kubernetes.io/h2c" => Protocol::Http2,
        "https" | "tls" | "kubernetes.io/wss" => Protocol::Tls,
        "tcp" | "mongo" | "mysql" | "redis" => Protocol::Tcp,
        _ => return None,
    };
    Some(protocol)
}

fn of_name(name: &str) -> Option<Protocol> {
    parse(name)
        .or_else(|| if name.starts_with("grpc-web-") { parse("grpc-web") } else { parse(name.split_once('-')?.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_first_counts() {
        let cases = [
            (Some("kubernetes.io/h2c"), "", "http", Protocol::Http2),
            (Some("kubernetes.io/ws"), "", "tcp", Protocol::Http),
            (Some("example.com/own"), "", "http-web", Protocol::Http),
            (None, "GRPC", "http", Protocol::Http2),
            (None, "", "http", Protocol::Http),
            (None, "", "http2-api", Protocol::Http2),
            (None, "", "grpc-web-ui", Protocol::Http2),
            (None, "", "https-admin", Protocol::Tls),
            (None, "", "mongo", Protocol::Tcp),
            (None, "", "httpx", Protocol::Tcp),
            (None, "", "web-http", Protocol::Tcp),
            (None, "", "", Protocol::Tcp),
        ];
        for (app_protocol, word, name, expected) in cases {
            assert_eq!(protocol(app_protocol, word, name), expected, "{app_protocol:?} {word:?} {name:?}");
        }
    }
}
