//! What the tests begin with.

use nephoscope_plugin::testing::Kit;
use nephoscope_tests::libvirt::Daemon;
use serde_json::json;

/// A real daemon; nothing where there cannot be one, which is said.
pub(crate) fn daemon() -> Option<Daemon> {
    let daemon = Daemon::start();
    match daemon {
        Some(_) => eprintln!("against a real libvirtd"),
        None => eprintln!(
            "no real libvirtd, which takes root, libvirtd, virsh and QEMU: on recorded answers, if any"
        ),
    }
    daemon
}

/// The plugins, as an agent would have them.
pub(crate) fn kit_of(uri: &str) -> Kit {
    Kit::new("libvirt").host("cmp-a").options(json!({ "uri": uri }))
}
