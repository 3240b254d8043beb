//! What the pollsters of the family share: the machine, and how it is asked.

use std::path::Path;
use std::sync::Arc;

use nephoscope_model::Subject;
use nephoscope_plugin::BlockingPool;

use crate::address::{self, Addresses};
use crate::options::Options;
use crate::space::Space;
use crate::tree::Tree;

/// What ceilometer's `hardware.*` samples have as their source.
const SOURCE: &str = "hardware";

/// This machine.
pub(crate) struct Machine {
    pub(crate) host: Arc<str>,
    /// Of samples of the machine as a whole.
    pub(crate) subject: Arc<Subject>,
    pub(crate) options: Options,
    pub(crate) tree: Tree,
    pub(crate) blocking: BlockingPool,
    /// The system calls; tests put others in their place.
    pub(crate) calls: Calls,
}

/// The system calls that ask for more than a file.
pub(crate) struct Calls {
    /// The space of the file system that is mounted at a path.
    pub(crate) statvfs: fn(&Path) -> rustix::io::Result<Space>,
    /// The first IPv4 address of each interface.
    pub(crate) addresses: fn() -> rustix::io::Result<Addresses>,
}

impl Machine {
    pub(crate) fn new(host: Arc<str>, options: Options, blocking: BlockingPool) -> Self {
        let tree = Tree::new(&options);
        let addresses = match tree.is_own() {
            true => address::of_interfaces,
            // The kernel tells a program only of the network that it is in itself.
            false => || Ok(Addresses::new()),
        };
        Self {
            subject: subject_of(&host, Subject::new(host.clone())).shared(),
            host,
            tree,
            options,
            blocking,
            calls: Calls {
                statvfs: Space::ask,
                addresses,
            },
        }
    }

    /// The subject of a device's samples: its resource id is `<host>.<device>`, as ceilometer's.
    pub(crate) fn device(&self, name: &str, describe: impl FnOnce(Subject) -> Subject) -> Arc<Subject> {
        let subject = describe(Subject::new(format!("{}.{name}", self.host)));
        subject_of(&self.host, subject).shared()
    }
}

/// Adds what all subjects have. Ceilometer puts the URL of the SNMP agent under `resource_url`, and its Gnocchi
/// publisher takes the name of the host from there: here it is the name itself.
fn subject_of(host: &Arc<str>, subject: Subject) -> Subject {
    subject
        .source(SOURCE)
        .metadata("resource_url", host.as_ref().to_owned())
}
