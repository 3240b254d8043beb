//! The plugins of the stock program, which are those of this repository.
//!
//! A site that needs other plugins builds its own program: a `main` that names its plugin crates and calls
//! `nephoscope_agent::main`.

use nephoscope_amqp as _;
use nephoscope_aodh as _;
use nephoscope_barbican as _;
use nephoscope_cinder as _;
use nephoscope_designate as _;
use nephoscope_file as _;
use nephoscope_glance as _;
use nephoscope_host as _;
use nephoscope_keystone as _;
use nephoscope_libvirt as _;
use nephoscope_manila as _;
use nephoscope_neutron as _;
use nephoscope_octavia as _;
use nephoscope_radosgw as _;
use nephoscope_swift as _;
use nephoscope_synthetic as _;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use nephoscope_plugin::Catalog;

    #[test]
    fn every_plugin_of_the_repository_is_in_the_stock_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let members: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let catalog = Catalog::collect().unwrap();
        // A family without plugins contains options that other families share.
        let discoveries = catalog.discoveries().iter().map(|plugin| plugin.family());
        let pollsters = catalog.pollsters().iter().map(|plugin| plugin.family());
        let mut linked: BTreeSet<String> = discoveries.chain(pollsters).map(str::to_owned).collect();
        // A publisher crate has the name of one of its URL schemes.
        linked.extend(
            members
                .iter()
                .filter(|name| catalog.publisher(name).is_some())
                .cloned(),
        );
        assert_eq!(linked, members);
    }
}
