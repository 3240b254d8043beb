//! This machine: CPU, load, memory, disks, file systems, network interfaces.
//!
//! Names, types, units and resource ids are those of ceilometer's `hardware.*` meters, which ceilometer reads from an
//! SNMP agent on each node. Here the agent on the node reads the kernel's files, each at most once per cycle, and only
//! those of enabled meters. Further meters follow the same pattern.
//!
//! - Samples of the whole machine have the host's name as their resource id, those of a device `<host>.<device>`. All
//!   have `source: hardware`, as ceilometer's.
//! - An invalid value of the kernel affects only the samples that depend on it: it is reported as a failure of its own
//!   resource, for example `<host>.eth0`.

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
