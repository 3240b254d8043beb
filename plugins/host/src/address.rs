//! The IPv4 addresses of network interfaces, read from the kernel through netlink.

use std::net::Ipv4Addr;

use rustix::io::{Errno, Result};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// The maximum size of a message of a dump (linux/netlink.h).
const MESSAGE: usize = 8192;

/// The maximum number of messages of a dump; each contains about 100 addresses.
const MAX_MESSAGES: usize = 1024;

// linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_HEADER: usize = 16;
const IFADDRMSG: usize = 8;
const ATTRIBUTE_HEADER: usize = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const AF_INET: u8 = 2;

/// Addresses by the names of their interfaces.
pub(crate) type Addresses = Vec<(Vec<u8>, Ipv4Addr)>;

/// Returns the first IPv4 address of each interface that has one.
pub(crate) fn of_interfaces() -> Result<Addresses> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // NETLINK_ROUTE is protocol number 0.
        None,
    )?;
    sendto(
        &socket,
        &request(),
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut addresses = Vec::new();
    let mut buffer = vec![0; MESSAGE];
    for _ in 0..MAX_MESSAGES {
        // The kernel queues the first message before `sendto` returns, and the next one when this one is received: no
        // call waits.
        let (_, length) = recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        let message = buffer.get(..length).ok_or(Errno::MSGSIZE)?;
        if collect(message, &mut addresses)? {
            return Ok(addresses);
        }
    }
    Err(Errno::MSGSIZE)
}

/// Builds the request for all IPv4 addresses.
fn request() -> [u8; NLMSG_HEADER + IFADDRMSG] {
    let mut request = [0; NLMSG_HEADER + IFADDRMSG];
    let fields = ((NLMSG_HEADER + IFADDRMSG) as u32)
        .to_ne_bytes()
        .into_iter()
        .chain(RTM_GETADDR.to_ne_bytes())
        .chain((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes())
        // Sequence number and port.
        .chain([0; 8])
        .chain([AF_INET]);
    for (byte, field) in request.iter_mut().zip(fields) {
        *byte = field;
    }
    request
}

/// Parses one received message. Returns whether the dump has ended.
fn collect(mut rest: &[u8], addresses: &mut Addresses) -> Result<bool> {
    while let Some((length, kind)) = header(rest) {
        let body = rest.get(NLMSG_HEADER..length).ok_or(Errno::BADMSG)?;
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(Errno::PROTO),
            RTM_NEWADDR => {
                if let Some((name, address)) = address(body)
                    && !addresses.iter().any(|(known, _)| *known == name)
                {
                    addresses.push((name, address));
                }
            }
            _ => {}
        }
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    Ok(false)
}

/// Length and type of a message.
fn header(message: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(*message.first_chunk()?);
    let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
    Some((usize::try_from(length).ok()?, kind))
}

/// Returns name and address from the body of an address message.
fn address(body: &[u8]) -> Option<(Vec<u8>, Ipv4Addr)> {
    let mut name = None;
    let mut address = None;
    let mut local = None;
    let mut rest = body.get(IFADDRMSG..)?;
    while let Some(length) = rest.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes)) {
        let length = usize::from(length);
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let value = rest.get(ATTRIBUTE_HEADER..length)?;
        match kind {
            IFA_ADDRESS => address = value.first_chunk().copied(),
            IFA_LOCAL => local = value.first_chunk().copied(),
            // Further addresses may have labels such as `eth0:1`.
            IFA_LABEL => name = value.split(|byte| matches!(byte, 0 | b':')).next(),
            _ => {}
        }
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    // On a point-to-point link, IFA_ADDRESS is the peer's address.
    let address: [u8; 4] = local.or(address)?;
    Some((name?.to_vec(), Ipv4Addr::from(address)))
}

/// Messages and attributes start at multiples of four.
fn aligned(length: usize) -> usize {
    // At least the header's length, so that parsing always advances.
    length.max(ATTRIBUTE_HEADER).next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
        let body = attributes.concat();
        let mut bytes = ((NLMSG_HEADER + IFADDRMSG + body.len()) as u32)
            .to_ne_bytes()
            .to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10 + IFADDRMSG]);
        bytes.extend(body);
        bytes
    }

    fn parsed(messages: &[Vec<u8>]) -> (Result<bool>, Vec<(String, String)>) {
        let mut addresses = Vec::new();
        let ended = collect(&messages.concat(), &mut addresses);
        let shown = addresses
            .into_iter()
            .map(|(name, address)| (String::from_utf8(name).unwrap(), address.to_string()))
            .collect();
        (ended, shown)
    }

    #[test]
    fn the_first_address_of_each_interface_is_used_and_the_own_side_of_a_link() {
        let (ended, addresses) = parsed(&[
            message(
                RTM_NEWADDR,
                &[
                    attribute(IFA_LOCAL, &[192, 0, 2, 7]),
                    attribute(IFA_LABEL, b"eth0\0"),
                ],
            ),
            message(
                RTM_NEWADDR,
                &[
                    attribute(IFA_LOCAL, &[192, 0, 2, 8]),
                    attribute(IFA_LABEL, b"eth0:1\0"),
                ],
            ),
            message(
                RTM_NEWADDR,
                &[
                    attribute(IFA_ADDRESS, &[198, 51, 100, 1]),
                    attribute(IFA_LOCAL, &[198, 51, 100, 2]),
                    attribute(IFA_LABEL, b"tun0\0"),
                ],
            ),
            message(NLMSG_DONE, &[]),
        ]);
        assert_eq!(ended, Ok(true));
        let expected = [("eth0", "192.0.2.7"), ("tun0", "198.51.100.2")];
        assert_eq!(
            addresses,
            expected.map(|(name, address)| (name.into(), address.into()))
        );
    }

    #[test]
    fn truncated_messages_and_wrong_lengths_are_errors() {
        let whole = message(RTM_NEWADDR, &[attribute(IFA_LABEL, b"eth0\0")]);
        assert_eq!(parsed(&[whole[..20].to_vec()]).0, Err(Errno::BADMSG));
        assert_eq!(parsed(&[vec![0; 64]]).0, Err(Errno::BADMSG));
        assert_eq!(parsed(&[vec![0xff; 64]]).0, Err(Errno::BADMSG));
        assert_eq!(parsed(&[message(NLMSG_ERROR, &[])]).0, Err(Errno::PROTO));
        let empty = message(RTM_NEWADDR, &[vec![0; 8]]);
        assert_eq!(parsed(&[empty]), (Ok(false), vec![]));
    }

    #[test]
    fn this_machine_reports_its_addresses() {
        for (name, _) in of_interfaces().unwrap() {
            assert!(!name.is_empty());
        }
    }
}
