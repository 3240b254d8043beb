//! The instances of this host, measured by libvirt.
//!
//! Meters, resource ids and metadata are those of ceilometer's compute agent; how they come about is not. One call brings
//! the statistics of all domains, of those groups that wanted meters need (`groups`, `meter`). Definitions, with what
//! Nova wrote into them, are read when they have changed (`definitions`). No call is waited for longer than a cycle
//! lets it, and a domain that is locked costs nobody but itself (`hypervisor`). Where the options want it, Nova says which
//! instances there are and what is noted on them (`nova`).
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
