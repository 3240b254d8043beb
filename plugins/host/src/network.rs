//! Traffic of network interfaces and of IP.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{MeterDef, Subject};
use nephoscope_plugin::{Failure, PollContext};

use crate::address::Addresses;
use crate::findings::Findings;
use crate::machine::Machine;
use crate::meter::*;
use crate::pollster::Area;
use crate::text::{Field, lines, name, number, words};
use crate::tree::read;

/// `/sys/class/net/<name>/speed` is in megabits per second, ceilometer's `speed` in bytes per second.
const BYTES_PER_MEGABIT: f64 = 125_000.0;

const INTERFACES: [MeterDef; 8] = [
    INCOMING_BYTES,
    OUTGOING_BYTES,
    OUTGOING_ERRORS,
    INCOMING_ERRORS,
    INCOMING_PACKETS,
    OUTGOING_PACKETS,
    INCOMING_DROPS,
    OUTGOING_DROPS,
];

const DATAGRAMS: [MeterDef; 2] = [IP_OUTGOING, IP_INCOMING];

/// The area of network meters.
pub(crate) struct Network;

#[async_trait]
impl Area for Network {
    const METERS: &'static [MeterDef] = NETWORK_METERS;

    async fn measure(&self, machine: &Machine, _: &PollContext, findings: &mut Findings<'_>) {
        let mut text = Vec::new();
        if findings.want(&INTERFACES) {
            match read(machine.tree.process("net/dev"), &mut text) {
                Ok(()) => interfaces(&text, machine, findings),
                Err(error) => findings.fail("interfaces", error),
            }
        }
        if findings.want(&DATAGRAMS) {
            match read(machine.tree.process("net/snmp"), &mut text) {
                Ok(()) => datagrams(&text, findings),
                Err(error) => findings.fail("ip", error),
            }
        }
    }
}

/// Parses `/proc/net/dev`. procfs is not used here: it rejects the whole file for one invalid line, and misses the name
/// without a following space.
fn interfaces(text: &[u8], machine: &Machine, findings: &mut Findings<'_>) {
    // If the kernel denies netlink (in a sandbox), samples have an empty address, as ceilometer's of interfaces without
    // one.
    let addresses = (machine.calls.addresses)().unwrap_or_default();
    let mut invalid = Vec::new();
    let mut is_empty = true;
    // The first two lines are headings.
    for line in lines(text).skip(2) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let bytes = parts.next().unwrap_or_default().trim_ascii();
        let Some(counters) = parts.next() else {
            if !bytes.is_empty() {
                invalid.push(line);
            }
            continue;
        };
        let interface = name(bytes);
        if !machine.options.interfaces.passes(&interface) {
            continue;
        }
        is_empty = false;
        let Some(counters) = Counters::of(counters) else {
            let message = format!("cannot parse the line of `{interface}` in /proc/net/dev");
            findings.fail(interface, Failure::transient(message));
            continue;
        };
        let subject = subject(machine, bytes, &interface, &addresses);
        counters.report(&subject, findings);
    }
    findings.fail_lines("interfaces", "/proc/net/dev", &invalid);
    if is_empty && invalid.is_empty() {
        let message = "the machine has no network interface that is measured";
        findings.fail("interfaces", Failure::not_supported(message));
    }
}

/// The counters of an interface.
struct Counters {
    incoming: Direction,
    outgoing: Direction,
}

/// The first four counters of a direction; the others differ between directions.
struct Direction {
    bytes: u64,
    packets: u64,
    errors: u64,
    drops: u64,
}

impl Counters {
    /// Parses the sixteen numbers after an interface's name, eight per direction.
    fn of(counters: &[u8]) -> Option<Self> {
        let mut words = words(counters);
        let incoming = Direction::of(&mut words)?;
        let mut words = words.skip(4);
        let outgoing = Direction::of(&mut words)?;
        Some(Self { incoming, outgoing })
    }

    fn report(&self, subject: &Arc<Subject>, findings: &mut Findings<'_>) {
        findings.add(&INCOMING_BYTES, subject, self.incoming.bytes);
        findings.add(&OUTGOING_BYTES, subject, self.outgoing.bytes);
        findings.add(&OUTGOING_ERRORS, subject, self.outgoing.errors);
        findings.add(&INCOMING_ERRORS, subject, self.incoming.errors);
        findings.add(&INCOMING_PACKETS, subject, self.incoming.packets);
        findings.add(&OUTGOING_PACKETS, subject, self.outgoing.packets);
        findings.add(&INCOMING_DROPS, subject, self.incoming.drops);
        findings.add(&OUTGOING_DROPS, subject, self.outgoing.drops);
    }
}

impl Direction {
    fn of<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        Some(Self {
            bytes: number(words.next()).ok()?,
            packets: number(words.next()).ok()?,
            errors: number(words.next()).ok()?,
            drops: number(words.next()).ok()?,
        })
    }
}

/// Creates the subject of an interface's samples, with ceilometer's metadata: name; speed in bytes per second, 0.0 if
/// unknown; hardware address in hexadecimal digits; IPv4 address. The last two are empty if there is none.
fn subject(machine: &Machine, bytes: &[u8], interface: &str, addresses: &Addresses) -> Arc<Subject> {
    let ask = |attribute| attribute_of(machine, bytes, attribute);
    // If the speed is unknown, the file cannot be read or contains -1.
    let speed = ask("speed").and_then(|speed| number(Some(speed.trim_ascii())).ok());
    let mac = ask("address").map(|address| hardware_address(&address));
    let ip = addresses
        .iter()
        .find(|(name, _)| name == bytes)
        .map(|(_, address)| address.to_string());
    machine.device(interface, |subject| {
        subject
            .metadata("name", interface.to_owned())
            .metadata("speed", speed.unwrap_or(0) as f64 * BYTES_PER_MEGABIT)
            .metadata("mac", mac.unwrap_or_default())
            .metadata("ip", ip.unwrap_or_default())
    })
}

/// Reads `/sys/class/net/<interface>/<attribute>`.
fn attribute_of(machine: &Machine, interface: &[u8], attribute: &str) -> Option<Vec<u8>> {
    // The kernel allows no such names, but the configured `proc` may be something else.
    if interface.contains(&b'/') || matches!(interface, b"" | b"." | b"..") {
        return None;
    }
    let mut text = Vec::new();
    read(
        machine.tree.interface(OsStr::from_bytes(interface), attribute),
        &mut text,
    )
    .ok()?;
    Some(text)
}

/// Converts `fa:16:3e:00:00:01` to `fa163e000001`; empty for the loopback interface's address, which is all zeros.
fn hardware_address(text: &[u8]) -> String {
    let digits: Vec<u8> = text
        .trim_ascii()
        .split(|byte| *byte == b':')
        .flatten()
        .copied()
        .collect();
    let is_address = digits.iter().all(u8::is_ascii_hexdigit) && digits.iter().any(|digit| *digit != b'0');
    match is_address {
        true => name(&digits),
        false => String::new(),
    }
}

/// Parses the datagrams of `/proc/net/snmp`: for each protocol a line of names and a line of numbers.
fn datagrams(text: &[u8], findings: &mut Findings<'_>) {
    let mut of_ip = lines(text).filter_map(|line| line.strip_prefix(b"Ip:"));
    let names = of_ip.next().unwrap_or_default();
    let numbers = of_ip.next().unwrap_or_default();
    let get = |wanted: &[u8]| {
        let mut pairs = words(names).zip(words(numbers));
        pairs
            .find(|(name, _)| *name == wanted)
            .map_or(Field::Missing, |(_, value)| number(Some(value)))
    };
    findings.host_field(&IP_OUTGOING, get(b"OutRequests"));
    findings.host_field(&IP_INCOMING, get(b"InReceives"));
    findings.fail_fields("ip", "/proc/net/snmp");
}
