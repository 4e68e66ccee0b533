//! Virtual addresses as services write them, in one spelling each.

use std::{net::IpAddr, sync::Arc};

/// An address or a network (CIDR) in its usual spelling, so that what is equal reads equal: `2001:DB8:0::1` is `2001:db8::1`,
/// `10.1.2.3/16` is `10.1.0.0/16`, `10.0.0.1/32` is `10.0.0.1`. `None` for anything else.
pub(super) fn canonical(text: &str) -> Option<Arc<str>> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_string().into());
    }
    let (ip, bits) = network(text)?;
    let all = if ip.is_ipv4() { 32 } else { 128 };
    Some(if bits == all { ip.to_string().into() } else { format!("{ip}/{bits}").into() })
}

/// `10.1.2.3/16` as the first address of the network, and the length of its prefix in bits.
pub(super) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, bits) = text.split_once('/')?;
    let bits: u8 = bits.parse().ok()?;
    match ip.parse().ok()? {
        IpAddr::V4(ip) => {
            let host = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            (bits <= 32).then(|| (IpAddr::V4((ip.to_bits() & !host).into()), bits))
        }
        IpAddr::V6(ip) => {
            let host = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
            (bits <= 128).then(|| (IpAddr::V6((ip.to_bits() & !host).into()), bits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_addresses_read_equal() {
        let cases = [
            ("10.0.0.1", Some("10.0.0.1")),
            ("2001:DB8:0::1", Some("2001:db8::1")),
            ("10.1.2.3/16", Some("10.1.0.0/16")),
            ("10.0.0.1/32", Some("10.0.0.1")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("2001:db8::1/64", Some("2001:db8::/64")),
            ("2001:db8::1/128", Some("2001:db8::1")),
            ("10.0.0.1/33", None),
            ("2001:db8::1/129", None),
            ("10.0.0.1/x", None),
            ("example.com", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text).as_deref(), expected, "{text}");
        }
    }
}
