//! The machine: state that the pollsters of the family share.

use std::path::Path;
use std::sync::Arc;

use nephoscope_model::Subject;
use nephoscope_plugin::BlockingPool;

use crate::address::{self, Addresses};
use crate::options::Options;
use crate::space::{self, Space};
use crate::tree::Tree;

/// The source of ceilometer's `hardware.*` samples.
const SOURCE: &str = "hardware";

/// This machine.
pub(crate) struct Machine {
    pub(crate) host: Arc<str>,
    /// The subject of samples of the whole machine.
    pub(crate) subject: Arc<Subject>,
    pub(crate) options: Options,
    pub(crate) tree: Tree,
    pub(crate) blocking: BlockingPool,
    /// The system calls; tests replace them.
    pub(crate) calls: Calls,
}

/// System calls other than reading files.
pub(crate) struct Calls {
    /// Returns the space of the file system at a path.
    pub(crate) statvfs: fn(&Path) -> rustix::io::Result<Space>,
    /// Returns the device id (`major:minor`) of the file system at a path; `None` for one in memory.
    pub(crate) device_id: fn(&Path) -> rustix::io::Result<Option<Vec<u8>>>,
    /// Returns the first IPv4 address of each interface.
    pub(crate) addresses: fn() -> rustix::io::Result<Addresses>,
}

impl Machine {
    pub(crate) fn new(host: Arc<str>, options: Options, blocking: BlockingPool) -> Self {
        let tree = Tree::new(&options);
        let addresses = match tree.is_own() {
            true => address::of_interfaces,
            // The kernel reports only the addresses of the process's own network namespace.
            false => || Ok(Addresses::new()),
        };
        Self {
            subject: subject_of(&host, Subject::new(host.clone())).shared(),
            host,
            tree,
            options,
            blocking,
            calls: Calls {
                statvfs: Space::query,
                device_id: space::device_id,
                addresses,
            },
        }
    }

    /// Creates the subject of a device's samples: its resource id is `<host>.<device>`, as in ceilometer.
    pub(crate) fn device(&self, name: &str, describe: impl FnOnce(Subject) -> Subject) -> Arc<Subject> {
        let subject = describe(Subject::new(format!("{}.{name}", self.host)));
        subject_of(&self.host, subject).shared()
    }
}

/// Adds the common attributes. Ceilometer's `resource_url` is the URL of the SNMP agent, from which its Gnocchi
/// publisher takes the name of the host; here it is the name itself.
fn subject_of(host: &Arc<str>, subject: Subject) -> Subject {
    subject
        .source(SOURCE)
        .metadata("resource_url", host.as_ref().to_owned())
}
