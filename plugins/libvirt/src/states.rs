//! The states that a domain can be found in: what is sampled of each. The table in docs/compute.md has a row for each of
//! these tests.

use crate::lab::{FakeDomain, Lab, Polled, instance};
use crate::options::Options;
use crate::session::Error;

/// What differs from the samples of the usual instance when this was done to it.
async fn differs(change: impl Fn(&mut FakeDomain)) -> String {
    differs_with(Options::default(), change).await
}

async fn differs_with(options: Options, change: impl Fn(&mut FakeDomain)) -> String {
    let usual = Lab::new([instance()]).cycle(1).await;
    polled(options, change).await.against(&usual)
}

async fn polled(options: Options, change: impl Fn(&mut FakeDomain)) -> Polled {
    let mut domain = instance();
    change(&mut domain);
    let lab = Lab::with(options, [domain, neighbour()]);
    let mut polled = lab.cycle(1).await;
    // Whatever a domain is like, another is not touched by it.
    let theirs = |text: &str| text.contains("22222222");
    let neighbours = polled
        .samples
        .extract_if(.., |sample| theirs(&sample.subject.resource_id))
        .count();
    assert_eq!(neighbours, 28);
    polled
        .samples
        .retain(|sample| !theirs(&sample.subject.resource_id));
    polled
}

/// Another instance, with one disk and one interface.
fn neighbour() -> FakeDomain {
    let mut domain = instance();
    domain.uuid = crate::uuid::Uuid::parse("22222222-2222-2222-2222-222222222222").unwrap();
    domain.name = "instance-0000000b".to_owned();
    domain.id = Some(2);
    domain.remove("block.1");
    domain.remove("net.1");
    domain.remove("balloon.swap");
    domain.remove("balloon.usable");
    domain
}

/// What is only there while a domain runs.
fn stop(domain: &mut FakeDomain) {
    domain.id = None;
    domain.set("state.state", 5);
    for group in [
        "net.",
        "vcpu.0",
        "vcpu.1",
        "balloon.rss",
        "balloon.swap",
        "balloon.available",
    ] {
        domain.remove(group);
    }
    for group in [
        "balloon.us",
        "balloon.un",
        "balloon.last",
        "block.0.rd",
        "block.0.wr",
        "block.1.rd",
        "block.1.wr",
    ] {
        domain.remove(group);
    }
}

fn nothing() -> impl Fn(&mut FakeDomain) {
    |_| {}
}

#[tokio::test]
async fn running() {
    // Volumes and ids are those that ceilometer gave for the same domain, and so is their number.
    let polled = polled(Options::default(), nothing()).await;
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

#[tokio::test]
async fn shut_off() {
    let differs = differs(stop).await;
    insta::assert_snapshot!(differs, @"
    - ID: power.state, cpu, vcpus, memory, memory.available, memory.usage, memory.resident, memory.swap.in, memory.swap.out
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    ");
}

#[tokio::test]
async fn shut_off_and_reported() {
    let options = Options {
        report_stopped_instance_metrics: true,
        ..Options::default()
    };
    let differs = differs_with(options, stop).await;
    insta::assert_snapshot!(differs, @"
    - ID: cpu, memory.available, memory.usage, memory.resident, memory.swap.in, memory.swap.out
    - ID-vda: disk.device.read.requests, disk.device.read.bytes, disk.device.write.requests, disk.device.write.bytes, disk.device.read.latency, disk.device.write.latency
    - ID-vdb: disk.device.read.requests, disk.device.read.bytes, disk.device.write.requests, disk.device.write.bytes, disk.device.read.latency, disk.device.write.latency
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    + power.state 5 ID
    ");
}

#[tokio::test]
async fn just_defined() {
    let differs = differs(|domain| {
        stop(domain);
        domain.remove("cpu");
        domain.set("block.0.allocation", 0);
    })
    .await;
    insta::assert_snapshot!(differs, @"
    - ID: power.state, cpu, vcpus, memory, memory.available, memory.usage, memory.resident, memory.swap.in, memory.swap.out
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    ");
}

#[tokio::test]
async fn paused() {
    let differs = differs(|domain| domain.set("state.state", 3)).await;
    insta::assert_snapshot!(differs, @"+ power.state 3 ID");
}

#[tokio::test]
async fn shutting_down() {
    let differs = differs(|domain| domain.set("state.state", 4)).await;
    insta::assert_snapshot!(differs, @"+ power.state 4 ID");
}

#[tokio::test]
async fn crashed() {
    let differs = differs(|domain| domain.set("state.state", 6)).await;
    insta::assert_snapshot!(differs, @"+ power.state 6 ID");
}

#[tokio::test]
async fn suspended() {
    let differs = differs(|domain| domain.set("state.state", 7)).await;
    insta::assert_snapshot!(differs, @"+ power.state 7 ID");
}

#[tokio::test]
async fn in_an_unknown_state() {
    let differs = differs(|domain| domain.set("state.state", 8)).await;
    insta::assert_snapshot!(differs, @"+ power.state 8 ID");
}

#[tokio::test]
async fn without_a_state() {
    let differs = differs(|domain| domain.remove("state")).await;
    insta::assert_snapshot!(differs, @"- ID: power.state");
}

#[tokio::test]
async fn migrating_in() {
    let differs = differs(|domain| {
        domain.set("state.state", 3);
        for vcpu in ["vcpu.0", "vcpu.1"] {
            domain.set(&format!("{vcpu}.time"), 0);
            domain.set(&format!("{vcpu}.wait"), 0);
        }
        domain.remove("balloon.us");
        domain.remove("balloon.un");
        domain.remove("balloon.swap");
        domain.remove("balloon.available");
    })
    .await;
    insta::assert_snapshot!(differs, @"
    - ID: memory.available, memory.usage, memory.swap.in, memory.swap.out
    + power.state 3 ID
    + cpu 0 ID
    ");
}

#[tokio::test]
async fn migrating_out() {
    let differs = differs(|domain| domain.set("state.reason", 3)).await;
    insta::assert_snapshot!(differs, @"");
}

#[tokio::test]
async fn transient() {
    let differs =
        differs(|domain| domain.define("<devices>", "<on_poweroff>destroy</on_poweroff><devices>")).await;
    insta::assert_snapshot!(differs, @"");
}

#[tokio::test]
async fn vanished_between_list_and_read() {
    let differs = differs(|domain| {
        domain.definition = Err(Error {
            is_gone: true,
            message: "Domain not found".to_owned(),
        })
    })
    .await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    ");
}

#[tokio::test]
async fn with_a_definition_that_is_not_given() {
    let differs = differs(|domain| domain.definition = Err(Error::new("internal error"))).await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    ");
}

#[tokio::test]
async fn with_a_malformed_definition() {
    let differs = differs(|domain| domain.definition = Ok("<domain><devices></domain>".to_owned())).await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    ");
}

#[tokio::test]
async fn with_a_definition_that_is_too_long() {
    let differs = differs(|domain| domain.define("web-1", &"x".repeat(crate::xml::LONGEST))).await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    ");
}

#[tokio::test]
async fn not_novas() {
    let differs =
        differs(|domain| domain.define("http://openstack.org/xmlns/libvirt/nova/1.1", "urn:another")).await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    ");
}

#[tokio::test]
async fn without_metadata() {
    let differs = differs(|domain| {
        let definition = domain.definition.clone().unwrap();
        let (before, rest) = definition.split_once("<metadata>").unwrap();
        let (_, after) = rest.split_once("</metadata>").unwrap();
        domain.definition = Ok(format!("{before}{after}"));
    })
    .await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    ");
}

#[tokio::test]
async fn without_an_owner() {
    let differs = differs(|domain| {
        domain.define("<nova:owner>", "<nova:other>");
        domain.define("</nova:owner>", "</nova:other>");
    })
    .await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    + ID: transient: its Nova metadata has no `owner`
    ");
}

#[tokio::test]
async fn without_a_name() {
    let differs = differs(|domain| domain.define("<nova:name>web-1</nova:name>", "")).await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    + ID: transient: its Nova metadata has no `name`
    ");
}

#[tokio::test]
async fn without_a_flavor() {
    let differs = differs(|domain| {
        domain.define("<nova:flavor name=\"m1.small\" id=\"fl-1\">", "<nova:other>");
        domain.define("</nova:flavor>", "</nova:other>");
    })
    .await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    + ID: transient: its Nova metadata has no `flavor`
    ");
}

#[tokio::test]
async fn with_a_flavor_without_a_name() {
    let differs = differs(|domain| domain.define("name=\"m1.small\" ", "")).await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    + ID: transient: its Nova metadata has no `flavor name`
    ");
}

#[tokio::test]
async fn with_a_flavor_whose_size_is_no_number() {
    let differs = differs(|domain| domain.define("<nova:memory>2048</nova:memory>", "<nova:memory/>")).await;
    insta::assert_snapshot!(differs, @"
    - ID: all
    - ID-vda: all
    - ID-vdb: all
    - instance-0000000a-ID-tap-1: all
    - nova-f-2: all
    + ID: transient: its Nova metadata has `` as the flavor's `memory`, which is no whole number
    ");
}

#[tokio::test]
async fn with_a_hot_plugged_disk_that_is_not_defined_yet() {
    let differs = differs(|domain| {
        domain.set("block.count", 3);
        domain.set("block.2.name", "vdc");
        domain.set("block.2.rd.reqs", 1);
    })
    .await;
    insta::assert_snapshot!(differs, @"");
}

#[tokio::test]
async fn with_an_ejected_medium() {
    let differs =
        differs(|domain| domain.define("<source dev='/dev/disk/by-id/volume-1' index='2'/>", "")).await;
    insta::assert_snapshot!(differs, @"- ID-vdb: all");
}

#[tokio::test]
async fn with_a_network_disk() {
    let differs = differs(|domain| {
        domain.define(
            "<source dev='/dev/disk/by-id/volume-1' index='2'/>",
            "<source protocol='rbd' name='p/v'/>",
        );
        domain.remove("block.1.path");
        domain.remove("block.1.allocation");
        domain.remove("block.1.physical");
    })
    .await;
    insta::assert_snapshot!(differs, @"- ID-vdb: disk.device.allocation, disk.device.usage");
}

#[tokio::test]
async fn with_a_disk_that_tells_nothing() {
    let differs = differs(|domain| {
        for name in ["rd", "wr", "allocation", "capacity", "physical"] {
            domain.remove(&format!("block.0.{name}"));
        }
    })
    .await;
    insta::assert_snapshot!(differs, @"- ID-vda: all");
}

#[tokio::test]
async fn with_a_vhost_user_interface() {
    let differs = differs(|domain| {
        domain.define("<interface type='bridge'>", "<interface type='vhostuser'>");
        domain.remove("net.0.rx");
        domain.remove("net.0.tx");
    })
    .await;
    insta::assert_snapshot!(differs, @"- instance-0000000a-ID-tap-1: all");
}

#[tokio::test]
async fn with_an_interface_that_is_passed_through() {
    let differs = differs(|domain| {
        domain.define("<interface type='bridge'>", "<interface type='hostdev'>");
        domain.define("<target dev='tap-1'/>", "");
        domain.remove("net.0");
    })
    .await;
    insta::assert_snapshot!(differs, @"- instance-0000000a-ID-tap-1: all");
}

#[tokio::test]
async fn with_an_interface_without_an_address() {
    let differs = differs(|domain| domain.define("<mac address='fa:16:3e:00:00:01'/>", "")).await;
    insta::assert_snapshot!(differs, @"- instance-0000000a-ID-tap-1: all");
}

#[tokio::test]
async fn without_a_balloon() {
    let differs = differs(|domain| {
        domain.define("<memballoon model='virtio'/>", "<memballoon model='none'/>");
        for name in ["last", "available", "us", "un", "swap"] {
            domain.remove(&format!("balloon.{name}"));
        }
    })
    .await;
    insta::assert_snapshot!(differs, @"- ID: memory.available, memory.usage, memory.swap.in, memory.swap.out");
}

#[tokio::test]
async fn with_a_guest_that_tells_nothing() {
    let differs = differs(|domain| {
        domain.set("balloon.last-update", 0);
        for name in ["available", "us", "un", "swap"] {
            domain.remove(&format!("balloon.{name}"));
        }
    })
    .await;
    insta::assert_snapshot!(differs, @"- ID: memory.available, memory.usage, memory.swap.in, memory.swap.out");
}

#[tokio::test]
async fn on_a_kernel_that_does_not_count_waits() {
    let differs = differs(|domain| {
        domain.remove("vcpu.0.wait");
        domain.remove("vcpu.1.wait");
    })
    .await;
    insta::assert_snapshot!(differs, @"+ cpu 3300 ID");
}

#[tokio::test]
async fn without_steal_time() {
    let options = Options {
        count_steal_time: false,
        ..Options::default()
    };
    let differs = differs_with(options, nothing()).await;
    insta::assert_snapshot!(differs, @"+ cpu 3300 ID");
}

#[tokio::test]
async fn that_counts_events() {
    let differs = differs(|domain| {
        for (number, name) in [
            "cpu_cycles",
            "instructions",
            "cache_references",
            "cache_misses",
            "cmt",
        ]
        .iter()
        .enumerate()
        {
            domain.set(&format!("perf.{name}"), number + 1);
        }
    })
    .await;
    insta::assert_snapshot!(differs, @"
    + perf.cpu.cycles 1 ID
    + perf.instructions 2 ID
    + perf.cache.references 3 ID
    + perf.cache.misses 4 ID
    ");
}

#[tokio::test]
async fn that_counts_events_of_19() {
    let options = Options {
        meters_of_19: true,
        ..Options::default()
    };
    let differs = differs_with(options, |domain| {
        for (number, name) in ["cmt", "mbmt", "mbml"].iter().enumerate() {
            domain.set(&format!("perf.{name}"), number + 1);
        }
    })
    .await;
    insta::assert_snapshot!(differs, @"
    + cpu_l3_cache 1 ID
    + memory.bandwidth.total 2 ID
    + memory.bandwidth.local 3 ID
    ");
}

#[tokio::test]
async fn locked() {
    let differs = differs(|domain| {
        for name in [
            "block.0.rd",
            "block.0.wr",
            "block.1.rd",
            "block.1.wr",
            "balloon.last",
            "balloon.available",
        ] {
            domain.remove(name);
        }
        for name in [
            "balloon.us",
            "balloon.un",
            "balloon.swap",
            "block.0.allocation",
            "block.1.allocation",
        ] {
            domain.remove(name);
        }
        for name in [
            "block.0.capacity",
            "block.1.capacity",
            "block.0.physical",
            "block.1.physical",
        ] {
            domain.remove(name);
        }
    })
    .await;
    insta::assert_snapshot!(differs, @"
    - ID: memory.available, memory.usage, memory.swap.in, memory.swap.out
    - ID-vda: all
    - ID-vdb: all
    + ID.qemu: transient: locked: its QEMU does not answer, so what only QEMU knows of disks and memory is missing
    ");
}

#[tokio::test]
async fn locked_without_disks() {
    let differs = differs(|domain| {
        domain.define("<source file=", "<nosource file=");
        domain.define("<source dev='/dev/disk/by-id/volume-1' index='2'/>", "");
        domain.remove("block");
        domain.set("block.count", 0);
        domain.remove("balloon.last");
    })
    .await;
    insta::assert_snapshot!(differs, @"
    - ID-vda: all
    - ID-vdb: all
    + ID.qemu: transient: locked: its QEMU does not answer, so what only QEMU knows of disks and memory is missing
    ");
}

#[tokio::test]
async fn old() {
    // As Nova wrote until 2014, and until 2025.
    let old = |domain: &mut FakeDomain| {
        domain.define("nova/1.1", "nova/1.0");
        domain.define(" id=\"fl-1\"", "");
        domain.define("<nova:extraSpecs>", "<nova:other>");
        domain.define("</nova:extraSpecs>", "</nova:other>");
        domain.define("<nova:image uuid=\"img-1\">", "<nova:another>");
        domain.define("</nova:image>", "</nova:another>");
    };
    assert_eq!(differs(old).await, "");
    insta::assert_snapshot!(polled(Options::default(), old).await.metadata(), @r#"{"display_name":"web-1","name":"instance-0000000a","instance_id":"11111111-1111-1111-1111-111111111111","instance_type":"m1.small","host":"8edaf32f904fe0a52747d82d81d30be6a00dbd088da37b45cc22dfac","instance_host":"cmp-a","flavor":{"id":"m1.small","name":"m1.small","vcpus":2,"ram":2048,"disk":20,"ephemeral":5,"swap":0},"status":"active","state":"running","task_state":"","image":{"id":"img-1"},"image_ref":"img-1","image_ref_url":null,"architecture":"x86_64","os_type":"hvm","vcpus":2,"memory_mb":2048,"disk_gb":20,"ephemeral_gb":5,"root_gb":15}"#);
}

#[tokio::test]
async fn with_a_flavor_whose_id_is_empty() {
    let change = |domain: &mut FakeDomain| domain.define("id=\"fl-1\"", "id=\"\"");
    let metadata = polled(Options::default(), change).await.metadata();
    assert!(
        metadata.contains(r#""flavor":{"id":"m1.small","name":"m1.small""#),
        "{metadata}"
    );
}

#[tokio::test]
async fn started_from_a_volume() {
    let change = |domain: &mut FakeDomain| {
        domain.define("<nova:image uuid=\"img-1\">", "<nova:image uuid=\"\">");
        domain.define(
            "<nova:root type=\"image\" uuid=\"img-1\"/>",
            "<nova:root type=\"volume\" uuid=\"vol-1\"/>",
        );
    };
    assert_eq!(differs(change).await, "");
    insta::assert_snapshot!(polled(Options::default(), change).await.metadata(), @r#"{"display_name":"web-1","name":"instance-0000000a","instance_id":"11111111-1111-1111-1111-111111111111","instance_type":"m1.small","host":"8edaf32f904fe0a52747d82d81d30be6a00dbd088da37b45cc22dfac","instance_host":"cmp-a","flavor":{"id":"fl-1","name":"m1.small","vcpus":2,"ram":2048,"disk":20,"ephemeral":5,"swap":0,"extra_specs":{"hw:cpu_policy":"dedicated"}},"status":"active","state":"running","task_state":"","image":null,"image_ref":null,"image_ref_url":null,"image_meta":{"base_image_ref":"","container_format":"bare","disk_format":"qcow2","min_disk":"1","min_ram":"0","os_distro":"debian"},"architecture":"x86_64","os_type":"hvm","vcpus":2,"memory_mb":2048,"disk_gb":20,"ephemeral_gb":5,"root_gb":15}"#);
}

#[tokio::test]
async fn with_names_in_any_script() {
    let change = |domain: &mut FakeDomain| {
        domain.name = "instance-ж".to_owned();
        domain.define("web-1", "веб &amp; &#x1F600; \u{202e}x");
        domain.define("os_distro", "дистрибутив");
    };
    let polled = polled(Options::default(), change).await;
    let metadata = polled.metadata();
    assert!(
        metadata.contains("{\"display_name\":\"веб & 😀 \u{202e}x\",\"name\":\"instance-ж\""),
        "{metadata}"
    );
    assert!(metadata.contains(r#""дистрибутив":"debian""#), "{metadata}");
    let ids = polled.lines();
    assert!(
        ids.iter()
            .any(|line| line.ends_with(" instance-ж-11111111-1111-1111-1111-111111111111-tap-1"))
    );
}

#[tokio::test]
async fn with_huge_metadata() {
    let change = |domain: &mut FakeDomain| {
        let mut properties = String::new();
        for number in 0..10_000 {
            properties += &format!(
                "<nova:property name=\"p{number}\">{}</nova:property>",
                "x".repeat(100)
            );
        }
        domain.define(
            "<nova:property name=\"os_distro\">debian</nova:property>",
            &properties,
        );
    };
    assert_eq!(differs(change).await, "");
    let metadata = polled(Options::default(), change).await.metadata();
    assert!(metadata.contains("\"p9999\":\"xxx"));
}

/// Two cycles, with something done to the instance between them; what differs from two without.
async fn changes(change: impl Fn(&mut FakeDomain)) -> String {
    let usual = Lab::new([instance()]);
    usual.cycle(1).await;
    let changed = Lab::new([instance()]);
    changed.cycle(1).await;
    change(&mut changed.host.lock().domains[0]);
    let mut polled = [usual.cycle(2).await, changed.cycle(2).await];
    // Rates depend on the clock.
    for polled in &mut polled {
        polled
            .samples
            .retain(|sample| !sample.meter.name.ends_with(".rate"));
    }
    polled[1].against(&polled[0])
}

#[tokio::test]
async fn with_devices_plugged_in() {
    let differs = changes(|domain| {
        domain.define(
            "<memballoon",
            "<disk type='file'><source file='/c'/><target dev='vdc'/></disk><memballoon",
        );
        domain.define(
            "<memballoon",
            "<interface><mac address='fa:16:3e:00:00:03'/><target dev='tap-3'/></interface><memballoon",
        );
        domain.set("block.count", 3);
        domain.set("block.2.name", "vdc");
        domain.set("block.2.rd.bytes", 9);
        domain.set("net.count", 3);
        domain.set("net.2.name", "tap-3");
        domain.set("net.2.rx.bytes", 7);
    });
    insta::assert_snapshot!(differs.await, @"
    + disk.device.read.bytes 9 ID-vdc
    + network.incoming.bytes 7 instance-0000000a-ID-tap-3
    + network.incoming.bytes.delta 0 instance-0000000a-ID-tap-3
    ");
}

#[tokio::test]
async fn with_devices_unplugged() {
    let differs = changes(|domain| {
        domain.define("<target dev='vdb' bus='virtio'/>", "");
        domain.define("<target dev='tap-2'/>", "");
        domain.remove("block.1");
        domain.remove("net.1");
    });
    insta::assert_snapshot!(differs.await, @"
    - ID-vdb: all
    - nova-f-2: all
    ");
}

#[tokio::test]
async fn started_anew() {
    let differs = changes(|domain| {
        domain.id = Some(7);
        domain.set("net.0.rx.bytes", 40);
    });
    insta::assert_snapshot!(differs.await, @"
    + network.incoming.bytes 40 instance-0000000a-ID-tap-1
    + network.incoming.bytes.delta 40 instance-0000000a-ID-tap-1
    ");
}

#[tokio::test]
async fn with_another_owner() {
    let lab = Lab::new([instance()]);
    lab.cycle(1).await;
    {
        let mut host = lab.host.lock();
        host.domains[0].define("p-1", "p-2");
        // Nothing in the statistics tells it: an event does.
        lab.changes.add(host.domains[0].uuid);
    }
    let polled = lab.cycle(2).await;
    assert!(
        polled
            .samples
            .iter()
            .all(|sample| sample.subject.project_id.as_deref() == Some("p-2"))
    );
}

#[tokio::test]
async fn with_two_interfaces_of_one_filter() {
    let change = |domain: &mut FakeDomain| {
        domain.define(
            "<target dev='tap-1'/>",
            "<target dev='tap-1'/><filterref filter='nova-f-2'/>",
        );
    };
    let polled = polled(Options::default(), change).await;
    let ids: std::collections::HashSet<_> = polled.samples.iter().map(|sample| sample.id.clone()).collect();
    assert_eq!(
        (polled.samples.len(), ids.len()),
        (49, 49),
        "samples of one resource id differ by their ids"
    );
}

/// The rows of the table in docs/compute.md, by the names of the tests.
#[test]
fn every_state_stands_in_the_documentation() {
    let named = |text: &'static str, before: &str, after: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(before));
        let names = lines
            .filter_map(|line| line.split_once(after))
            .map(|(name, _)| name);
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let tests = named(include_str!("states.rs"), "async fn ", "()");
    let documentation = include_str!("../../../docs/compute.md");
    let (_, table) = documentation.split_once("| state | samples |").unwrap();
    let rows = named(table, "| `", "` |");
    assert!(tests.len() >= 25);
    assert_eq!(rows, tests);
}
