//! Flags of calls on sockets.
#![forbid(unsafe_code)]

use super::{ALL, FlagSet, Part};

/// A socket's address family.
pub static ADDRESS_FAMILY: FlagSet = FlagSet {
    name: "address families",
    zero: None,
    parts: enumeration! {
        AF_UNSPEC, AF_UNIX, AF_INET, AF_AX25, AF_IPX, AF_APPLETALK, AF_X25, AF_INET6, AF_KEY, AF_NETLINK, AF_PACKET,
        AF_RDS, AF_PPPOX, AF_LLC, AF_IB, AF_MPLS, AF_CAN, AF_TIPC, AF_BLUETOOTH, AF_ALG, AF_NFC, AF_VSOCK, AF_XDP,
        AF_RXRPC, AF_QIPCRTR = 42, AF_SMC = 43, AF_KCM = 41, AF_LOCAL,
    },
    bits: &[],
};
/// A socket's type.
pub static SOCKET_TYPE: FlagSet = FlagSet {
    name: "socket types",
    zero: None,
    parts: &[Part {
        mask: 0xf,
        values: names! { SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET = 10 },
    }],
    bits: names! { SOCK_CLOEXEC, SOCK_NONBLOCK },
};
/// `accept4`.
pub static ACCEPT: FlagSet =
    FlagSet { name: "accept flags", zero: None, parts: &[], bits: names! { SOCK_CLOEXEC, SOCK_NONBLOCK } };
/// `sendto`, `recvfrom` and their kin.
pub static MESSAGE: FlagSet = FlagSet {
    name: "message flags",
    zero: None,
    parts: &[],
    bits: names! {
        MSG_OOB, MSG_PEEK, MSG_DONTROUTE, MSG_CTRUNC, MSG_TRUNC, MSG_DONTWAIT, MSG_EOR, MSG_WAITALL, MSG_FIN, MSG_SYN,
        MSG_CONFIRM, MSG_RST, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_MORE, MSG_WAITFORONE, MSG_ZEROCOPY = 0x400_0000,
        MSG_FASTOPEN, MSG_CMSG_CLOEXEC,
    },
};
/// `setsockopt`'s level.
pub static SOCKET_LEVEL: FlagSet = FlagSet {
    name: "option levels",
    zero: None,
    parts: enumeration! {
        SOL_IP, SOL_SOCKET, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_RAW, SOL_PACKET, SOL_NETLINK, SOL_ALG, SOL_VSOCK = 287,
    },
    bits: &[],
};
/// `shutdown`.
pub static SHUTDOWN: FlagSet = FlagSet {
    name: "shutdown directions",
    zero: None,
    parts: enumeration! { SHUT_RD, SHUT_WR, SHUT_RDWR },
    bits: &[],
};
