//! The stock program: the agent with the plugins of this repository.

use std::process::ExitCode;

use nephoscope_amqp as _;
use nephoscope_file as _;
use nephoscope_host as _;
use nephoscope_libvirt as _;
use nephoscope_synthetic as _;

fn main() -> ExitCode {
    nephoscope_agent::main()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use nephoscope_plugin::Registry;

    #[test]
    fn every_plugin_of_the_repository_is_in_the_stock_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let members: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let registry = Registry::collect().unwrap();
        let mut linked: BTreeSet<String> = registry.families.keys().map(|name| (*name).to_owned()).collect();
        // A crate of publishers is named after a scheme of its own.
        linked.extend(
            members
                .iter()
                .filter(|name| registry.publisher(name).is_some())
                .cloned(),
        );
        assert_eq!(linked, members);
    }
}
