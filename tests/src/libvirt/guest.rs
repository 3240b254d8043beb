//! Domains that need 8 MiB and almost no CPU: their boot sector halts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The boot sector: disable interrupts, halt, repeat.
const BOOT: [u8; 5] = [0xfa, 0xf4, 0xeb, 0xfd, 0x00];

const SECTOR: usize = 512;

/// The content of the drive.
pub(crate) const MEDIUM: [u8; 4096] = [0; 4096];

/// A domain as Nova defines it.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The number from which its name and UUID are derived, at least 1.
    pub number: u32,
    /// The number of disks, at least 1; it boots from the first.
    pub disks: u32,
    /// The number of interfaces of type `ethernet`, in the network of the daemon.
    pub interfaces: u32,
    /// Whether the definition contains Nova's metadata.
    pub is_novas: bool,
}

impl Guest {
    /// The namespace of Nova's metadata.
    pub const NAMESPACE: &str = "http://openstack.org/xmlns/libvirt/nova/1.1";

    /// Returns a domain with one disk and one interface.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self {
            number,
            disks: 1,
            interfaces: 1,
            is_novas: true,
        }
    }

    /// Returns domains with different numbers of devices.
    #[must_use]
    pub fn some(count: u32) -> Vec<Self> {
        let guests = (1..=count).map(|number| Self {
            disks: 1 + number % 3,
            interfaces: number % 3,
            ..Self::new(number)
        });
        guests.collect()
    }

    /// Returns the domain's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("instance-{:08x}", self.number)
    }

    /// Returns the domain's UUID.
    #[must_use]
    pub fn uuid(&self) -> String {
        format!("11111111-1111-4111-8111-{:012x}", self.number)
    }

    fn disk(&self, disk: u32) -> (String, String) {
        let letter = char::from(b'a' + u8::try_from(disk).unwrap());
        (format!("{}-{letter}.img", self.name()), format!("vd{letter}"))
    }

    fn tap(&self, interface: u32) -> String {
        format!("tap{:x}-{interface}", self.number)
    }

    /// Writes the disk files into a folder; the first one boots.
    pub(crate) fn write_disks(&self, folder: &Path) {
        for disk in 0..self.disks {
            let size = SECTOR * 2048 * (disk as usize + 1);
            let mut content = vec![0; size];
            content[..BOOT.len()].copy_from_slice(&BOOT);
            content[SECTOR - 2..SECTOR].copy_from_slice(&[0x55, 0xaa]);
            fs::write(folder.join(self.disk(disk).0), content).unwrap();
        }
    }

    /// Returns the definition, with disks in a folder.
    pub(crate) fn definition(&self, folder: &Path) -> String {
        let (name, uuid, folder) = (self.name(), self.uuid(), folder.display());
        let mut devices = String::new();
        for disk in 0..self.disks {
            let (file, device) = self.disk(disk);
            write!(
                devices,
                "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{folder}/{file}'/>\
                 <target dev='{device}' bus='virtio'/></disk>"
            )
            .unwrap();
        }
        for interface in 0..self.interfaces {
            let tap = self.tap(interface);
            write!(
                devices,
                "<interface type='ethernet'><mac address='fa:16:3e:00:{:02x}:{interface:02x}'/><target dev='{tap}'/>\
                 <model type='virtio'/></interface>",
                self.number
            )
            .unwrap();
        }
        let metadata = if self.is_novas {
            self.metadata()
        } else {
            String::new()
        };
        format!(
            "<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid>{metadata}\
             <memory unit='KiB'>8192</memory><vcpu>1</vcpu>\
             <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os><features><acpi/></features>\
             <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}\
             <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>\
             <controller type='sata' index='0'/><memballoon model='virtio'/></devices></domain>"
        )
    }

    fn metadata(&self) -> String {
        let number = self.number;
        format!(
            "<metadata><nova:instance xmlns:nova='{}'>\
             <nova:name>web-{number}</nova:name>\
             <nova:flavor name='m1.tiny' id='fl-1'><nova:memory>8</nova:memory><nova:disk>{number}</nova:disk>\
             <nova:vcpus>1</nova:vcpus></nova:flavor>\
             <nova:owner><nova:user uuid='u-{number}'>u</nova:user><nova:project uuid='p-1'>p</nova:project></nova:owner>\
             <nova:root type='image' uuid='img-1'/></nova:instance></metadata>",
            Self::NAMESPACE
        )
    }
}
