//! Setup of the tests.

use nephoscope_plugin::testing::Kit;
use nephoscope_tests::libvirt::Daemon;
use serde_json::json;

/// Starts a real daemon; prints a message and returns `None` if that is impossible.
pub(crate) fn daemon() -> Option<Daemon> {
    let daemon = Daemon::start();
    match daemon {
        Some(_) => eprintln!("using a real libvirtd"),
        None => eprintln!(
            "cannot start libvirtd, which needs root, libvirtd, virsh and QEMU: using recorded answers, if any"
        ),
    }
    daemon
}

/// Creates a kit with the plugin's options.
pub(crate) fn kit_of(uri: &str) -> Kit {
    Kit::new("libvirt").host("cmp-a").options(json!({ "uri": uri }))
}
