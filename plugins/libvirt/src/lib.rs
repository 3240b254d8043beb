//! The instances of this host, measured by libvirt.
//!
//! Meters, resource ids and metadata are those of ceilometer's compute agent. One call returns the statistics of all
//! domains, limited to the groups of enabled meters (`groups`, `meter`). Definitions, with Nova's metadata, are read after
//! changes (`definitions`). No call outlasts its cycle, and a locked domain affects no other domain (`hypervisor`). With the
//! corresponding options, Nova lists the instances and their user metadata (`nova`).
//!
//! libvirt is loaded when the family is built; all unsafe code is in `ffi`.

mod changes;
mod definition;
mod definitions;
mod discovery;
mod events;
mod family;
mod ffi;
mod groups;
mod history;
mod hypervisor;
mod identity;
mod instance;
mod measure;
mod meter;
mod nova;
mod options;
mod plugin;
mod pollster;
mod session;
mod snapshot;
mod stats;
#[cfg(any(test, feature = "recorded"))]
mod testing;
mod xml;
