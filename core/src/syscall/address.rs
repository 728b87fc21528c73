//! Socket addresses as text, both ways: `127.0.0.1:80`, `[::1]:80`, `unix:/run/x`, `unix:@abstract`.
#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::trace::BytesText;

/// A `struct sockaddr` as text: `127.0.0.1:80`, `[::1]:80`, `unix:/run/x`, `unix:@abstract`, `netlink:PID`,
/// else `family N`.
#[must_use]
pub fn show(bytes: &[u8]) -> String {
    let Some((family, rest)) = bytes.split_first_chunk::<2>() else { return "unix:".to_owned() };
    let family = u16::from_ne_bytes(*family);
    let known = match i32::from(family) {
        libc::AF_UNSPEC => Some("unspec".to_owned()),
        libc::AF_INET => inet(rest),
        libc::AF_INET6 => inet6(rest),
        libc::AF_UNIX => Some(unix(rest)),
        libc::AF_NETLINK => rest
            .get(2..6)
            .and_then(|pid| pid.try_into().ok())
            .map(|pid| format!("netlink:{}", u32::from_ne_bytes(pid))),
        _ => None,
    };
    known.unwrap_or_else(|| format!("family {family}"))
}

fn inet(rest: &[u8]) -> Option<String> {
    let port = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
    let host: [u8; 4] = rest.get(2..6)?.try_into().ok()?;
    Some(format!("{}:{port}", Ipv4Addr::from(host)))
}

fn inet6(rest: &[u8]) -> Option<String> {
    let port = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
    let host: [u8; 16] = rest.get(6..22)?.try_into().ok()?;
    // Without a scope the structure may be four bytes shorter.
    let scope = rest.get(22..26).and_then(|scope| scope.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let scope = if scope == 0 { String::new() } else { format!("%{scope}") };
    Some(format!("[{}{scope}]:{port}", Ipv6Addr::from(host)))
}

fn unix(rest: &[u8]) -> String {
    match rest.split_first() {
        None => "unix:".to_owned(),
        Some((0, name)) => format!("unix:@{}", BytesText(name.to_vec())),
        Some(_) => {
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            format!("unix:{}", BytesText(rest[..end].to_vec()))
        }
    }
}

/// A `struct sockaddr` from text: `127.0.0.1:80`, `[::1]:80`, `unix:/run/x`, `unix:@abstract`.
#[must_use]
pub fn parse(text: &[u8]) -> Option<Vec<u8>> {
    const UNIX_PATH_MAX: usize = 108;
    let family = |family: i32| (family as u16).to_ne_bytes().to_vec();
    if let Some(name) = text.strip_prefix(b"unix:") {
        let path = match name.strip_prefix(b"@") {
            Some(name) => [b"\0", name].concat(),
            None if name.is_empty() => Vec::new(),
            None if name.contains(&0) => return None,
            None => [name, b"\0"].concat(),
        };
        return (path.len() <= UNIX_PATH_MAX).then(|| [family(libc::AF_UNIX), path].concat());
    }
    match std::str::from_utf8(text).ok()?.parse().ok()? {
        SocketAddr::V4(addr) => Some(
            [&family(libc::AF_INET)[..], &addr.port().to_be_bytes(), &addr.ip().octets(), &[0; 8]].concat(),
        ),
        SocketAddr::V6(addr) => Some(inet6_bytes(family(libc::AF_INET6), &addr)),
    }
}

fn inet6_bytes(family: Vec<u8>, addr: &SocketAddrV6) -> Vec<u8> {
    [
        &family[..],
        &addr.port().to_be_bytes(),
        &addr.flowinfo().to_be_bytes(),
        &addr.ip().octets(),
        &addr.scope_id().to_ne_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_text() {
        assert_eq!(show(&[2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), "127.0.0.1:80");
        let mut inet6 = vec![10, 0, 1, 187, 0, 0, 0, 0];
        inet6.extend(Ipv6Addr::LOCALHOST.octets());
        assert_eq!(show(&inet6), "[::1]:443");
        inet6.extend(7_u32.to_ne_bytes());
        assert_eq!(show(&inet6), "[::1%7]:443");
        assert_eq!(show(b"\x01\0/run/x\0junk"), "unix:/run/x");
        assert_eq!(show(b"\x01\0\0name"), "unix:@name");
        assert_eq!(show(b"\x01\0"), "unix:");
        assert_eq!(show(&[16, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]), "netlink:5");
        assert_eq!(show(&[40, 0, 1, 2]), "family 40");
        assert_eq!(show(&[2, 0, 0]), "family 2");
    }

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        for address in ["127.0.0.1:80", "[::1]:443", "[fe80::1%3]:1", "unix:/run/x", "unix:@name", "unix:"] {
            assert_eq!(show(&parse(address.as_bytes()).unwrap()), address);
        }
        for bad in ["127.0.0.1", "::1:80", "unix", "localhost:80", "1.2.3.4:70000"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        let long = [b"unix:/".to_vec(), vec![b'x'; 108]].concat();
        assert_eq!(parse(&long), None);
    }
}
