//! This machine: CPU, load, memory, disks, file systems, network interfaces.
//!
//! Names, types, units and resource ids are those of ceilometer's `hardware.*` meters, which it asked an SNMP
//! agent on each node for; here the agent on the node reads the kernel's files itself, each of them at most
//! once a cycle, and only those that a wanted meter needs. Further meters follow the same pattern.
//!
//! - Samples of the machine as a whole have the host's name as their resource id, those of a device
//!   `<host>.<device>`. All of them say `source: hardware`, as ceilometer's do.
//! - What the kernel writes in an odd way costs the samples that depend on it and no others: it is reported
//!   as a failure of a resource of its own, for example `<host>.eth0`.

mod address;
mod cpu;
mod discovery;
mod disk;
mod file_system;
mod filter;
mod findings;
mod machine;
mod memory;
mod meter;
mod mount;
mod network;
mod options;
mod plugin;
mod pollster;
#[cfg(test)]
mod snapshot_tests;
mod space;
mod text;
mod tree;
