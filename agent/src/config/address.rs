//! Where the control plane is: a host and a port.

use std::{fmt, net::Ipv6Addr, str::FromStr};
use tombolo_core::Host;

/// `istiod.istio-system.svc:15012`, `10.0.0.1:15012`, `[fd00::1]:15012`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST:PORT: write it as in control-plane.example.com:15012");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match in_brackets {
            Some(address) => address.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string(),
            None => Host::parse(host).ok().filter(|host| !host.is_wildcard()).ok_or_else(wrong)?.as_str().to_owned(),
        };
        if port == 0 { Err(wrong()) } else { Ok(Self { host, port }) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for text in ["istiod.istio-system.svc:15012", "10.0.0.1:15012", "[fd00::1]:15012"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", ":", "host", "host:0", "host:65536", "fd00::1:15012", "[host]:1", "*.a:1", "http://host:1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
