//! Configuration changes at run time: unchanged sources miss no cycle, an invalid file changes nothing.

use std::os::unix::fs::symlink;

use nephoscope_tests::{Lab, Program, Signal, samples_in};

use crate::cycles::{cycles, long_cycle, without_gap};

/// Two sources on one schedule, and one on another.
fn config(changed: &str) -> String {
    format!(
        "agent: {{namespaces: [synthetic], id: test, state_dir: $LAB/state}}\n\
         notifier: {{publishers: [{{name: file, url: \"file://$LAB/samples\"}}]}}\n\
         sources:\n\
         \x20 - {{name: one, interval: 1, meters: [synthetic.cycle], resources: [one]}}\n\
         \x20 - {{name: two, interval: 2, meters: [synthetic.cycle], resources: [two]}}\n\
         \x20 - {{name: changed, {changed}, meters: [synthetic.cycle]}}\n"
    )
}

const BEFORE: &str = "interval: 1, resources: [before]";
const AFTER: &str = "interval: 1, resources: [after]";

/// Waits until a resource has this many cycles.
fn wait_for(program: &mut Program, lab: &Lab, resource: &str, count: usize) {
    let samples = lab.path("samples");
    program.until(&format!("{count} cycles of {resource}"), |_| {
        cycles(&samples_in(&samples))
            .get(resource)
            .filter(|found| found.len() >= count)
            .map(drop)
    });
}

/// Starts with the configuration before the change, and waits until everything is polled.
fn started(lab: &Lab) -> Program {
    let mut program = lab.run();
    wait_for(&mut program, lab, "two", 1);
    wait_for(&mut program, lab, "before", 2);
    program
}

/// Waits until the change is applied, and asserts that the unchanged sources missed and repeated no cycle.
fn applied(lab: &Lab, mut program: Program) {
    program.log("configuration applied");
    wait_for(&mut program, lab, "after", 2);
    let two = without_gap(&samples_in(&lab.path("samples")), "two").len();
    wait_for(&mut program, lab, "two", two + 1);
    let last = *without_gap(&samples_in(&lab.path("samples")), "before")
        .last()
        .unwrap();
    let _ = program.stop().expect(0);
    let samples = samples_in(&lab.path("samples"));
    assert!(without_gap(&samples, "one").len() >= 4);
    assert!(without_gap(&samples, "two").len() >= 2);
    let before = without_gap(&samples, "before");
    let after = without_gap(&samples, "after");
    assert_eq!(
        *before.last().unwrap(),
        last,
        "the removed source is no longer polled"
    );
    assert!(after.first() >= before.last(), "{before:?} {after:?}");
}

#[test]
fn sighup_changes_one_source_and_no_other() {
    let lab = Lab::with(&config(BEFORE).replace("id: test", "id: test, watch: false"));
    let program = started(&lab);
    lab.config(&config(AFTER).replace("id: test", "id: test, watch: false"));
    program.signal(Signal::HUP);
    applied(&lab, program);
}

#[test]
fn a_source_that_moves_to_another_schedule_does_not_affect_others() {
    let lab = Lab::with(&config(BEFORE));
    let program = started(&lab);
    lab.config(&config("cron: \"* * * * * *\", resources: [after]"));
    program.signal(Signal::HUP);
    applied(&lab, program);
}

#[test]
fn a_rewritten_file_is_noticed() {
    let lab = Lab::with(&config(BEFORE));
    let program = started(&lab);
    lab.config(&config(AFTER));
    applied(&lab, program);
}

#[test]
fn a_replaced_file_is_noticed() {
    let lab = Lab::with(&config(BEFORE));
    let program = started(&lab);
    lab.replace("polling.yaml", &config(AFTER));
    applied(&lab, program);
}

#[test]
fn a_link_that_a_container_platform_changes_is_noticed() {
    let lab = Lab::new();
    for (folder, change) in [("..1", BEFORE), ("..2", AFTER)] {
        std::fs::create_dir(lab.path(folder)).unwrap();
        lab.write(&format!("{folder}/polling.yaml"), &config(change));
    }
    symlink("..1", lab.path("..data")).unwrap();
    symlink("..data/polling.yaml", lab.path("polling.yaml")).unwrap();
    let program = started(&lab);
    symlink("..2", lab.path("..data_new")).unwrap();
    std::fs::rename(lab.path("..data_new"), lab.path("..data")).unwrap();
    applied(&lab, program);
}

#[test]
fn a_file_of_a_folder_is_noticed() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("conf")).unwrap();
    let whole = config(BEFORE);
    let (head, sources) = whole.split_at(whole.find("sources:").unwrap());
    lab.write("conf/head.yaml", head);
    lab.write("conf/sources.yaml", sources);
    let mut program = lab
        .nephoscope(&["run", "--config", "conf", "--log-level", "debug"])
        .start();
    wait_for(&mut program, &lab, "two", 1);
    wait_for(&mut program, &lab, "before", 2);
    lab.replace("conf/sources.yaml", &sources.replace(BEFORE, AFTER));
    applied(&lab, program);
}

#[test]
fn an_invalid_file_changes_nothing_and_its_errors_have_locations() {
    let lab = Lab::with(&config(BEFORE));
    let mut program = started(&lab);
    lab.config(&config("interval: never, resources: [after]"));
    let line = program.log("the configuration is rejected");
    assert!(line.contains("polling.yaml:6:31"), "{line}");
    program.until("a reason", |program| {
        let ready = program.get("/readyz");
        assert_eq!(ready.status, 200);
        ready.body.contains("configuration_rejected").then_some(())
    });
    let so_far = without_gap(&samples_in(&lab.path("samples")), "before").len();
    wait_for(&mut program, &lab, "before", so_far + 2);
    // An error that only the plugin detects.
    lab.config(&config(BEFORE).replace("file://$LAB/samples", "file://samples"));
    let line = program.log("the configuration is rejected");
    assert!(line.contains("polling.yaml:2:"), "{line}");
    // A missing file is invalid too.
    std::fs::rename(lab.path("polling.yaml"), lab.path("gone")).unwrap();
    let line = program.log("the configuration is rejected");
    assert!(line.contains("no configuration found"), "{line}");
    // The next valid file is applied, and the reason is cleared.
    lab.config(&config(AFTER));
    program.log("configuration applied");
    program.until("no reason", |program| {
        (!program.get("/readyz").body.contains("configuration_rejected")).then_some(())
    });
    wait_for(&mut program, &lab, "after", 1);
    let _ = program.stop().expect(0);
    let samples = samples_in(&lab.path("samples"));
    without_gap(&samples, "one");
    without_gap(&samples, "two");
    without_gap(&samples, "before");
}

#[test]
fn a_removed_and_recreated_folder_is_noticed() {
    let lab = Lab::new();
    let folder = lab.path("conf");
    std::fs::create_dir(&folder).unwrap();
    lab.write("conf/polling.yaml", &config(BEFORE));
    let mut program = lab
        .nephoscope(&[
            "run",
            "--config",
            folder.to_str().unwrap(),
            "--log-level",
            "debug",
        ])
        .start();
    wait_for(&mut program, &lab, "two", 1);
    wait_for(&mut program, &lab, "before", 2);
    std::fs::remove_dir_all(&folder).unwrap();
    program.log("the configuration is rejected");
    std::fs::create_dir(&folder).unwrap();
    lab.write("conf/polling.yaml", &config(AFTER));
    applied(&lab, program);
}

#[test]
fn a_file_with_the_same_meaning_changes_nothing() {
    let lab = Lab::with(&config(BEFORE));
    let mut program = started(&lab);
    lab.config(&format!("# A comment.\n{}", config(BEFORE)));
    program.log("configuration reloaded without changes");
    let _ = program.stop().expect(0);
}

#[test]
fn keys_that_require_a_restart_are_reported_and_the_rest_is_applied() {
    let lab = Lab::with(&config(BEFORE));
    let mut program = started(&lab);
    lab.config(&config(AFTER).replace(
        "id: test",
        "id: other, host: elsewhere, limits: {max_concurrent_polls: 3}",
    ));
    program.log("configuration applied");
    let line = program.log("require a restart");
    for key in ["agent.id", "agent.host", "agent.limits"] {
        assert!(line.contains(key), "{key}: {line}");
    }
    assert!(!line.contains("state_dir"), "{line}");
    wait_for(&mut program, &lab, "after", 1);
    let reasons = |program: &Program| program.get("/readyz").body;
    assert!(
        reasons(&program).contains("restart_required"),
        "{}",
        reasons(&program)
    );
    // The next reload reports them again, and the reload that reverts them reports none.
    program.signal(Signal::HUP);
    program.log("require a restart");
    lab.config(&config(AFTER));
    program.log("without changes");
    assert!(
        !reasons(&program).contains("restart_required"),
        "{}",
        reasons(&program)
    );
    let _ = program.stop().expect(0);
}

#[test]
fn publishers_are_added_and_removed_and_others_lose_nothing() {
    let lab = Lab::with(&config(BEFORE));
    let mut program = started(&lab);
    lab.config(&config(BEFORE).replace(
        "publishers: [",
        "publishers: [{name: new, url: \"file://$LAB/new\"}, ",
    ));
    program.log("configuration applied");
    let new = lab.path("new");
    program.until("samples at the new publisher", |_| {
        (samples_in(&new).len() >= 3).then_some(())
    });
    assert_eq!(
        program.json("/api/v1/publishers")["publishers"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    lab.config(&config(BEFORE));
    program.log("configuration applied");
    program.cycles(2);
    assert_eq!(
        program.json("/api/v1/publishers")["publishers"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let _ = program.stop().expect(0);
    let samples = samples_in(&lab.path("samples"));
    for resource in ["one", "two", "before"] {
        without_gap(&samples, resource);
        without_gap(&samples_in(&new), resource);
    }
}

#[test]
fn one_of_a_hundred_sources_is_changed_under_load() {
    let config = |last: &str| {
        let mut text = "agent: {namespaces: [synthetic], id: test, state_dir: $LAB/state}\n\
             notifier: {publishers: [{name: file, url: \"file://$LAB/samples\"}]}\n\
             plugins: {synthetic: {latency: 2ms}}\nsources:\n"
            .to_owned();
        for index in 0..99 {
            let schedule = if index % 2 == 0 {
                "interval: 1"
            } else {
                "interval: 2"
            };
            text.push_str(&format!(
                "  - {{name: s{index}, {schedule}, meters: [synthetic.cycle], resources: [r{index}-a, r{index}-b]}}\n"
            ));
        }
        text + &format!("  - {{name: last, interval: 1, meters: [synthetic.cycle], resources: [{last}]}}\n")
    };
    let lab = Lab::with(&config("before"));
    let mut program = lab.run();
    wait_for(&mut program, &lab, "r97-b", 1);
    lab.config(&config("after"));
    program.signal(Signal::HUP);
    program.log("configuration applied");
    wait_for(&mut program, &lab, "after", 2);
    let so_far = cycles(&samples_in(&lab.path("samples")))["r97-b"].len();
    wait_for(&mut program, &lab, "r97-b", so_far + 1);
    let _ = program.stop().expect(0);
    let samples = samples_in(&lab.path("samples"));
    for index in 0..99 {
        for part in ["a", "b"] {
            assert!(without_gap(&samples, &format!("r{index}-{part}")).len() >= 2);
        }
    }
}

#[test]
fn running_polls_are_not_interrupted() {
    let config = |busy: &str, latency: &str| {
        format!(
            "agent: {{namespaces: [synthetic], id: test, state_dir: $LAB/state}}\n\
             notifier: {{publishers: [{{name: file, url: \"file://$LAB/samples\"}}]}}\n\
             plugins: {{synthetic: {{latency: {latency}}}}}\n\
             sources:\n{busy}\
             \x20 - {{name: beat, interval: 1, meters: [synthetic.cycle], resources: [beat]}}\n"
        )
    };
    let busy = long_cycle(
        "busy",
        "meters: [synthetic.cycle], discovery: [\"synthetic://3000\"]",
    );
    // Another source is removed, or the options of the plugin change, or the source itself is removed.
    for (after, latency) in [(busy.as_str(), "1ms"), ("", "300ms")] {
        let lab = Lab::with(&config(&busy, "300ms"));
        let mut program = lab.run();
        wait_for(&mut program, &lab, "synthetic-000000", 1);
        lab.config(&config(after, latency));
        program.signal(Signal::HUP);
        program.log("configuration applied");
        wait_for(&mut program, &lab, "synthetic-002999", 1);
        let _ = program.stop().expect(0);
        let mut cycles = cycles(&samples_in(&lab.path("samples")));
        cycles.remove("beat");
        assert_eq!(cycles.len(), 3000);
        assert!(cycles.values().all(|cycles| cycles.len() == 1));
        without_gap(&samples_in(&lab.path("samples")), "beat");
    }
}

#[test]
fn other_options_of_a_plugin_interrupt_nothing() {
    let lab = Lab::with(&config(BEFORE));
    let mut program = started(&lab);
    lab.config(&config(BEFORE).replace("sources:\n", "plugins: {synthetic: {seed: 7}}\nsources:\n"));
    let line = program.log("configuration applied");
    assert!(line.contains("plugins_reloaded=true"), "{line}");
    let so_far = without_gap(&samples_in(&lab.path("samples")), "two").len();
    wait_for(&mut program, &lab, "two", so_far + 2);
    let _ = program.stop().expect(0);
    for resource in ["one", "two", "before"] {
        without_gap(&samples_in(&lab.path("samples")), resource);
    }
}

#[test]
fn reloads_leak_nothing() {
    let with = |seed: usize, more: &str| {
        config(&format!("interval: 1, resources: [r{seed}]"))
            .replace("id: test", "id: test, watch: false")
            .replace("publishers: [", &format!("publishers: [{more}"))
            .replace(
                "sources:\n",
                &format!("plugins: {{synthetic: {{seed: {seed}}}}}\nsources:\n"),
            )
    };
    let lab = Lab::with(&with(0, ""));
    let mut program = lab.run();
    program.ready();
    let reload = |program: &mut Program, seed: usize| {
        let more = [
            "",
            "{name: more, url: \"file://$LAB/more\"}, ",
            "{name: more, url: \"discard:\"}, ",
        ][seed % 3];
        lab.config(&with(seed, more));
        program.signal(Signal::HUP);
        program.log("configuration applied");
    };
    // Everything that is created once and kept exists now.
    (1..=6).for_each(|seed| reload(&mut program, seed));
    wait_for(&mut program, &lab, "r6", 1);
    let (files, threads) = (program.open_files(), program.threads());
    (7..=36).for_each(|seed| reload(&mut program, seed));
    // Replaced parts end by themselves.
    program.until("as many files and threads as before", |program| {
        (program.open_files() <= files && program.threads() <= threads).then_some(())
    });
    let _ = program.stop().expect(0);
}
