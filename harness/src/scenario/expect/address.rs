//! Socket addresses: `127.0.0.1:80`, `10.0.0.0/8`, `:443`, `unix:/run/*`.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Glob;
use super::form::{FormError, from_scalar};
use crate::schema::shape::{self, Shape, Shaped};

/// Addresses that a call may go to.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "Shaped<Self>")]
pub struct AddressPattern {
    text: String,
    kind: Kind,
}

impl Shape for AddressPattern {
    fn shape(_: &mut SchemaGenerator) -> Schema {
        shape::text_like(r"^(unix:.*|:[0-9]+|\[?[0-9a-fA-F:.]+(/[0-9]+)?\]?(:[0-9]+)?)$")
    }
}

#[derive(Debug, Clone)]
enum Kind {
    /// A network (an address and how many of its bits count), a port, or both.
    Net(Option<(IpAddr, u8)>, Option<u16>),
    /// A name behind `unix:`.
    Unix(Glob),
}

const WANTED: &str =
    "an address, such as `127.0.0.1:80`, `[::1]:80`, `10.0.0.0/8`, `10.0.0.0/8:443`, `:443` or `unix:/run/*`";

impl FromStr for AddressPattern {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let kind = match text.strip_prefix("unix:") {
            Some(name) => Kind::Unix(name.parse()?),
            None => net(text).ok_or_else(|| FormError::shape(text, WANTED))?,
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

fn net(text: &str) -> Option<Kind> {
    // `[::1]:80` and `[fc00::/7]:80` keep their own colons inside the brackets; a bare IPv6 address has no port.
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
    } else if text.matches(':').count() > 1 {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    if host.is_empty() {
        return port.map(|port| Kind::Net(None, Some(port)));
    }
    let (address, bits) = match host.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (host, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    (bits <= width).then_some(Kind::Net(Some((address, bits)), port))
}

from_scalar!(AddressPattern, "an address, such as `127.0.0.1:80`, `10.0.0.0/8`, `:443` or `unix:/run/*`");

impl AddressPattern {
    /// Whether it matches this address, as a verdict shows it.
    #[must_use]
    pub fn matches(&self, address: &str) -> bool {
        match &self.kind {
            Kind::Unix(glob) => {
                address.strip_prefix("unix:").is_some_and(|name| glob.matches(name.as_bytes()))
            }
            Kind::Net(wanted, port) => address.parse::<SocketAddr>().is_ok_and(|seen| {
                port.is_none_or(|port| port == seen.port())
                    && wanted.is_none_or(|(network, bits)| within(seen.ip(), network, bits))
            }),
        }
    }
}

fn within(seen: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shifted = |address: u128, width: u32| address.checked_shr(width - u32::from(bits)).unwrap_or(0);
    match (seen, network) {
        (IpAddr::V4(seen), IpAddr::V4(network)) => {
            shifted(seen.to_bits().into(), 32) == shifted(network.to_bits().into(), 32)
        }
        (IpAddr::V6(seen), IpAddr::V6(network)) => {
            shifted(seen.to_bits(), 128) == shifted(network.to_bits(), 128)
        }
        _ => false,
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_ports_and_names_match() {
        for (pattern, seen, wanted) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1", "127.0.0.1:81", true),
            ("10.0.0.0/8", "10.200.0.1:1", true),
            ("10.0.0.0/8", "11.0.0.1:1", false),
            ("10.0.0.0/8:443", "10.0.0.1:1", false),
            ("0.0.0.0/0", "8.8.8.8:53", true),
            ("0.0.0.0/0", "[::1]:53", false),
            ("::/0", "[::1]:53", true),
            (":53", "[::1]:53", true),
            ("[::1]:80", "[::1]:80", true),
            ("[fc00::/7]:80", "[fd00::1]:80", true),
            ("fe80::/10", "[::1]:80", false),
            ("unix:/run/*", "unix:/run/x/y", true),
            ("unix:@a*", "unix:@abc", true),
            ("unix:/run/*", "127.0.0.1:80", false),
        ] {
            assert_eq!(pattern.parse::<AddressPattern>().unwrap().matches(seen), wanted, "{pattern} {seen}");
        }
        for wrong in ["", ":", "localhost:80", "10.0.0.0/33", "1.2.3.4:99999", "[::1", "[::1]80"] {
            assert!(wrong.parse::<AddressPattern>().is_err(), "{wrong}");
        }
    }
}
