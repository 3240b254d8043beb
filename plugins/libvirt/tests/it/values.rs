//! Comparison of samples with the output of `virsh`.

use std::collections::{BTreeMap, BTreeSet};

use nephoscope_plugin::testing::{Conformance, Kit, Outcome};
use nephoscope_tests::libvirt::{Daemon, Guest};
use serde_json::json;

use crate::compare::{Comparison, Virsh, record, recorded};
use crate::setup::{daemon, kit_of};

/// Meters with an empty unit, as in ceilometer.
pub(crate) const UNITLESS: [&str; 5] = [
    "power.state",
    "perf.cpu.cycles",
    "perf.instructions",
    "perf.cache.references",
    "perf.cache.misses",
];

/// The number of running domains.
const GUESTS: u32 = 20;

async fn poll(kit: &Kit, cycle: i64) -> Outcome {
    kit.pollster("compute")
        .resources_from("local_instances")
        .cycle(cycle)
        .poll()
        .await
}

#[tokio::test]
async fn samples_match_virsh() {
    let daemon = daemon();
    let (kit, virsh) = match &daemon {
        Some(daemon) => {
            let guests = Guest::some(GUESTS);
            daemon.start_guests(&guests);
            prepare(daemon, &guests);
            (kit_of(&daemon.uri()), Virsh::Of(daemon))
        }
        None => {
            let folder = recorded();
            let kit = kit_of(&format!("recorded://{}", folder.display()));
            (kit, Virsh::Recorded(folder))
        }
    };
    let names = virsh.names();
    let stats = || -> BTreeMap<_, _> {
        names
            .iter()
            .map(|name| (name.clone(), virsh.stats(name)))
            .collect()
    };

    // A first cycle reads the definitions.
    poll(&kit, 1).await.assert_clean();
    let mut before = stats();
    let outcome = poll(&kit, 2).await;
    let mut after = stats();
    outcome.assert_clean();

    let mut compared = 0;
    let mut seen = BTreeSet::new();
    for name in &names {
        let uuid = virsh_uuid(&virsh, name);
        let samples: Vec<_> = outcome
            .samples
            .iter()
            .filter(|sample| sample.subject.resource_id.contains(&uuid))
            .collect();
        if samples.len() <= 2 {
            // Not Nova's, or shut off.
            seen.insert(samples.len());
            continue;
        }
        let comparison = Comparison {
            name,
            uuid: &uuid,
            samples,
            before: before.remove(name).unwrap(),
            after: after.remove(name).unwrap(),
        };
        compared += comparison.assert(&virsh);
    }
    assert_eq!(
        seen,
        BTreeSet::from([0, 2]),
        "one is not Nova's, and one is shut off"
    );
    assert!(compared > 500, "{compared}");
    if let (Some(daemon), Some(_)) = (&daemon, std::env::var_os("NEPHOSCOPE_RECORD")) {
        record(daemon, &recorded());
    }
}

fn virsh_uuid(virsh: &Virsh<'_>, name: &str) -> String {
    match virsh {
        Virsh::Of(daemon) => daemon.virsh_output(&["domuuid", name]).trim().to_owned(),
        Virsh::Recorded(folder) => {
            let text = std::fs::read_to_string(folder.join(name).join("identity.txt")).unwrap();
            text.split_whitespace().next().unwrap().to_owned()
        }
    }
}

/// Puts some guests into other states: paused, shut off, not Nova's, with a medium, with a plugged-in disk.
fn prepare(daemon: &Daemon, guests: &[Guest]) {
    daemon.virsh(&["suspend", &guests[0].name()]);
    let medium = daemon.path("medium.iso").display().to_string();
    daemon.virsh(&[
        "change-media",
        &guests[1].name(),
        "sda",
        &medium,
        "--insert",
        "--live",
    ]);
    daemon.virsh(&[
        "attach-disk",
        &guests[2].name(),
        &medium,
        "vdx",
        "--mode",
        "readonly",
        "--live",
    ]);
    daemon.define(&Guest::new(GUESTS + 1));
    let foreign = Guest {
        is_novas: false,
        ..Guest::new(GUESTS + 2)
    };
    daemon.start_guests(&[foreign]);
}

#[tokio::test]
async fn the_family_conforms() {
    let daemon = daemon();
    let options = match &daemon {
        Some(daemon) => {
            daemon.start_guests(&Guest::some(3));
            json!({ "uri": daemon.uri() })
        }
        None => json!({ "uri": format!("recorded://{}", recorded().display()) }),
    };
    Conformance::of("libvirt")
        .options(options)
        .unitless(UNITLESS)
        .check()
        .await;
}
