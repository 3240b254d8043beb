//! A domain's definition: its devices, and Nova's metadata.

mod nova;

pub(crate) use nova::{NovaError, NovaFlavor, NovaMetadata};

use crate::xml::{Element, XmlError};

/// A domain's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    /// For example `hvm`.
    pub(crate) os_type: Option<String>,
    /// For example `x86_64`.
    pub(crate) architecture: Option<String>,
    /// Disks with a medium.
    pub(crate) disks: Vec<Disk>,
    /// Interfaces with a device on the host.
    pub(crate) interfaces: Vec<Interface>,
    /// Whether QEMU can query the guest's memory.
    pub(crate) has_balloon: bool,
    /// `None` for a domain that Nova did not create.
    pub(crate) nova: Option<Result<NovaMetadata, NovaError>>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The device name in the guest, for example `vda`.
    pub(crate) device: String,
    /// Whether QEMU itself does the I/O, not another process.
    pub(crate) is_qemu: bool,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    /// The device name on the host, for example `tap0`.
    pub(crate) device: String,
    pub(crate) mac: String,
    /// The name of its filter, which old Neutron agents set for each port.
    pub(crate) filter: Option<String>,
    /// The filter's parameters, then `interfaceid` and `bridge`; a later value replaces an earlier one of the same name.
    pub(crate) parameters: Vec<(String, Option<String>)>,
}

impl Definition {
    pub(crate) fn parse(text: &str) -> Result<Self, XmlError> {
        let domain = Element::parse(text)?;
        let os_type = domain.find(&["os", "type"]);
        let devices = domain.child("devices");
        let all = |name| devices.into_iter().flat_map(move |devices| devices.all(name));
        Ok(Self {
            os_type: os_type.map(|os_type| os_type.text.clone()),
            architecture: os_type.and_then(|os_type| owned(os_type.attribute("arch"))),
            disks: all("disk").filter_map(Disk::of).collect(),
            interfaces: all("interface").filter_map(Interface::of).collect(),
            has_balloon: all("memballoon").any(|balloon| {
                balloon
                    .attribute("model")
                    .is_some_and(|model| model.starts_with("virtio"))
            }),
            nova: domain.child("metadata").and_then(NovaMetadata::of),
        })
    }
}

impl Disk {
    /// An ejected medium has no source, and no meaningful statistics.
    fn of(disk: &Element) -> Option<Self> {
        disk.child("source")?;
        let device = disk.child("target")?.attribute("dev")?;
        (!device.is_empty()).then(|| Self {
            device: device.to_owned(),
            is_qemu: disk.attribute("type") != Some("vhostuser"),
        })
    }
}

impl Interface {
    /// A passed-through device has no name on the host.
    fn of(interface: &Element) -> Option<Self> {
        let device = interface.child("target")?.attribute("dev")?.to_owned();
        let mac = interface.child("mac")?.attribute("address")?.to_owned();
        let filter = interface.child("filterref");
        let mut parameters = Vec::new();
        for parameter in filter.into_iter().flat_map(|filter| filter.all("parameter")) {
            let name = parameter.attribute("name").unwrap_or_default().to_lowercase();
            put(&mut parameters, name, owned(parameter.attribute("value")));
        }
        let attribute =
            |path: &[&str], name| owned(interface.find(path).and_then(|found| found.attribute(name)));
        let port = attribute(&["virtualport", "parameters"], "interfaceid");
        put(&mut parameters, "interfaceid".to_owned(), port);
        put(
            &mut parameters,
            "bridge".to_owned(),
            attribute(&["source"], "bridge"),
        );
        Some(Self {
            device,
            mac,
            filter: filter.and_then(|filter| owned(filter.attribute("filter"))),
            parameters,
        })
    }
}

/// Sets a parameter; replaces an earlier value of the same name.
fn put(parameters: &mut Vec<(String, Option<String>)>, name: String, value: Option<String>) {
    match parameters.iter_mut().find(|(known, _)| *known == name) {
        Some((_, place)) => *place = value,
        None => parameters.push((name, value)),
    }
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces(devices: &str) -> Vec<Interface> {
        Definition::parse(&format!("<domain><devices>{devices}</devices></domain>"))
            .unwrap()
            .interfaces
    }

    fn parameters(interface: &Interface) -> Vec<(&str, Option<&str>)> {
        let pairs = interface.parameters.iter();
        pairs
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect()
    }

    #[test]
    fn an_interface_has_the_parameters_of_its_filter_its_port_and_its_bridge() {
        let found = interfaces(
            "<interface type='bridge'><mac address='fa:16:3e:00:00:01'/><source bridge='br-int'/>\
             <virtualport type='openvswitch'><parameters interfaceid='port-1'/></virtualport><target dev='tap-1'/>\
             </interface>\
             <interface type='bridge'><mac address='fa:16:3e:00:00:02'/><source bridge='qbr2'/><target dev='tap-2'/>\
             <filterref filter='nova-f-2'><parameter name='IP' value='10.0.0.2'/></filterref></interface>",
        );
        let [one, two] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((one.device.as_str(), &one.filter), ("tap-1", &None));
        assert_eq!(
            parameters(one),
            [("interfaceid", Some("port-1")), ("bridge", Some("br-int"))]
        );
        assert_eq!(two.filter.as_deref(), Some("nova-f-2"));
        assert_eq!(
            parameters(two),
            [
                ("ip", Some("10.0.0.2")),
                ("interfaceid", None),
                ("bridge", Some("qbr2"))
            ]
        );
    }

    #[test]
    fn the_bridge_replaces_a_filter_parameter_of_the_same_name() {
        let found = interfaces(
            "<interface><mac address='m'/><target dev='t'/><source bridge='b'/>\
             <filterref filter='f'><parameter name='BRIDGE' value='x'/></filterref></interface>",
        );
        assert_eq!(
            parameters(&found[0]),
            [("bridge", Some("b")), ("interfaceid", None)]
        );
    }

    #[test]
    fn devices_without_statistics_are_omitted() {
        let definition = Definition::parse(
            "<domain><devices>\
             <disk device='cdrom'><target dev='hdc'/></disk>\
             <disk><source file='/x'/></disk>\
             <disk><source file='/x'/><target dev=''/></disk>\
             <disk type='network'><source protocol='rbd' name='p/v'/><target dev='vdb'/></disk>\
             <interface type='hostdev'><mac address='m'/></interface>\
             <interface><target dev='tap'/></interface>\
             <memballoon model='none'/></devices></domain>",
        )
        .unwrap();
        let disks: Vec<_> = definition.disks.iter().map(|disk| disk.device.as_str()).collect();
        assert_eq!(disks, ["vdb"]);
        assert!(definition.interfaces.is_empty() && !definition.has_balloon && definition.nova.is_none());
    }
}
