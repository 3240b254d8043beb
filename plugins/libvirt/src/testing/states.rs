//! The samples of each state of a domain. The table in docs/compute.md has the same rows.

mod state;
mod table;

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, json};
use uuid::Uuid;

use crate::options::Options;
use crate::testing::lab::{FakeDomain, Lab, Polled, instance};
use state::Step::{self, Cycle, Event, Remove, Switch};
use table::STATES;

/// Another instance, with one disk and one interface.
fn neighbour() -> FakeDomain {
    let mut domain = instance();
    domain.uuid = Uuid::from_u128(0x2222_2222_2222_2222_2222_2222_2222_2222);
    domain.name = "instance-0000000b".to_owned();
    domain.id = Some(2);
    Remove("block.1 net.1 balloon.swap balloon.usable").apply(&mut domain);
    domain
}

/// Returns the samples of the default instance after these steps.
async fn polled(steps: impl Iterator<Item = &'static Step> + Clone) -> Polled {
    let switches = steps.clone().filter_map(|step| match step {
        Switch(option, value) => Some(((*option).to_owned(), json!(value))),
        _ => None,
    });
    let options: Map<_, _> = switches.collect();
    let options: Options = serde_json::from_value(options.into()).unwrap();
    let lab = Lab::with(options, [instance(), neighbour()]);
    let mut cycles = 1;
    for step in steps {
        match step {
            Cycle => {
                lab.cycle(cycles).await;
                cycles += 1;
            }
            Event => lab.changes.add(instance().uuid),
            step => step.apply(&mut lab.host.lock().domains[0]),
        }
    }
    let mut polled = lab.cycle(cycles).await;
    // Rates depend on the clock, and a first cycle has none.
    polled
        .samples
        .retain(|sample| !sample.meter.name.ends_with(".rate"));
    // No state affects another domain.
    let theirs = |text: &str| text.contains("22222222");
    let neighbours = polled
        .samples
        .extract_if(.., |sample| theirs(&sample.subject.resource_id));
    assert_eq!(neighbours.count(), 28);
    polled
}

#[tokio::test]
async fn samples_differ_from_the_usual_ones_as_in_the_table() {
    for state in STATES {
        let usual = polled(state.steps.iter().filter(|step| matches!(step, Cycle))).await;
        let found = polled(state.steps.iter()).await;
        assert_eq!(found.against(&usual), state.differs.join("\n"), "{}", state.name);
        assert!((state.also)(&found), "{}: {}", state.name, found.metadata());
        let ids: HashSet<_> = found.samples.iter().map(|sample| sample.id.clone()).collect();
        assert_eq!(
            ids.len(),
            found.samples.len(),
            "{}: two samples have the same id",
            state.name
        );
    }
}

#[tokio::test]
async fn the_usual_samples_are_those_of_ceilometer() {
    // The number of samples, their volumes and ids are ceilometer's for the same domain.
    let polled = polled([].iter()).await;
    assert_eq!(polled.samples.len(), 49);
    insta::assert_snapshot!(polled.against(&Polled::default()), @"
    + power.state 1 ID
    + cpu 3030 ID
    + vcpus 2 ID
    + memory 2048.0 ID
    + memory.available 1953.125 ID
    + memory.usage 488.28125 ID
    + memory.resident 683.59375 ID
    + memory.swap.in 0.009765625 ID
    + memory.swap.out 0.01953125 ID
    + disk.ephemeral.size 5 ID
    + disk.root.size 15 ID
    + disk.device.read.requests 1 ID-vda
    + disk.device.read.bytes 2 ID-vda
    + disk.device.write.requests 3 ID-vda
    + disk.device.write.bytes 4 ID-vda
    + disk.device.read.latency 12 ID-vda
    + disk.device.write.latency 11 ID-vda
    + disk.device.capacity 21474836480 ID-vda
    + disk.device.allocation 100 ID-vda
    + disk.device.usage 200 ID-vda
    + disk.device.read.requests 5 ID-vdb
    + disk.device.read.bytes 6 ID-vdb
    + disk.device.write.requests 7 ID-vdb
    + disk.device.write.bytes 8 ID-vdb
    + disk.device.read.latency 14 ID-vdb
    + disk.device.write.latency 13 ID-vdb
    + disk.device.capacity 1073741824 ID-vdb
    + disk.device.allocation 1073741824 ID-vdb
    + disk.device.usage 1073741824 ID-vdb
    + network.incoming.bytes 100 instance-0000000a-ID-tap-1
    + network.incoming.packets 10 instance-0000000a-ID-tap-1
    + network.incoming.packets.error 1 instance-0000000a-ID-tap-1
    + network.incoming.packets.drop 2 instance-0000000a-ID-tap-1
    + network.outgoing.bytes 200 instance-0000000a-ID-tap-1
    + network.outgoing.packets 20 instance-0000000a-ID-tap-1
    + network.outgoing.packets.error 3 instance-0000000a-ID-tap-1
    + network.outgoing.packets.drop 4 instance-0000000a-ID-tap-1
    + network.incoming.bytes.delta 0 instance-0000000a-ID-tap-1
    + network.outgoing.bytes.delta 0 instance-0000000a-ID-tap-1
    + network.incoming.bytes 300 nova-f-2
    + network.incoming.packets 30 nova-f-2
    + network.incoming.packets.error 0 nova-f-2
    + network.incoming.packets.drop 0 nova-f-2
    + network.outgoing.bytes 400 nova-f-2
    + network.outgoing.packets 40 nova-f-2
    + network.outgoing.packets.error 0 nova-f-2
    + network.outgoing.packets.drop 0 nova-f-2
    + network.incoming.bytes.delta 0 nova-f-2
    + network.outgoing.bytes.delta 0 nova-f-2
    ");
}

/// The rows of the table in docs/compute.md have the names of the states.
#[test]
fn every_state_is_documented() {
    let documentation = include_str!("../../../../docs/compute.md");
    let (_, table) = documentation.split_once("| state | samples |").unwrap();
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let rows: BTreeSet<_> = rows.map(|(name, _)| name).collect();
    let states: BTreeSet<_> = STATES.iter().map(|state| state.name).collect();
    assert_eq!(states.len(), STATES.len());
    assert_eq!(rows, states);
}
