//! The table of states.

use super::state::Step::{self, All, Cycle, Define, Defined, Do, Event, Id, Remove, Set, Switch};
use super::state::{State, state};
use crate::session::Error;
use crate::testing::lab::FakeDomain;

const STOP: Step = All(&[
    Id(None),
    Set("state.state=5"),
    Remove(
        "net. vcpu.0 vcpu.1 balloon.rss balloon.swap balloon.available balloon.us balloon.un balloon.last",
    ),
    Remove("block.0.rd block.0.wr block.1.rd block.1.wr"),
]);

/// The memory statistics of the guest.
const GUEST: Step = Remove("balloon.available balloon.us balloon.un balloon.swap");

const DISK: &str = "- ID-vda: all";
const VOLUME: &str = "- ID-vdb: all";
const PORT: &str = "- instance-0000000a-ID-tap-1: all";
const FILTER: &str = "- nova-f-2: all";
const SHUT_OFF: &[&str] = &[
    "- ID: power.state, cpu, vcpus, memory, memory.available, memory.usage, memory.resident, memory.swap.in, memory.swap.out",
    DISK,
    VOLUME,
    PORT,
    FILTER,
];
const NONE: &str =
    "- ID: all\n- ID-vda: all\n- ID-vdb: all\n- instance-0000000a-ID-tap-1: all\n- nova-f-2: all";
const NO_GUEST: &str = "- ID: memory.available, memory.usage, memory.swap.in, memory.swap.out";
const LOCKED: &str = "+ ID.qemu: transient: locked: the instance's QEMU does not respond, so values of disks and memory are missing";

/// The states.
pub(super) const STATES: &[State] = &[
    state("running", &[], &[]),
    state("paused", &[Set("state.state=3")], &["+ power.state 3 ID"]),
    state("shutting_down", &[Set("state.state=4")], &["+ power.state 4 ID"]),
    state("crashed", &[Set("state.state=6")], &["+ power.state 6 ID"]),
    state("suspended", &[Set("state.state=7")], &["+ power.state 7 ID"]),
    state("in_an_unknown_state", &[Set("state.state=8")], &["+ power.state 8 ID"]),
    state("without_a_state", &[Remove("state")], &["- ID: power.state"]),
    state("shut_off", &[STOP], SHUT_OFF),
    state(
        "shut_off_and_reported",
        &[Switch("report_stopped_instance_metrics", true), STOP],
        &[
            "- ID: cpu, memory.available, memory.usage, memory.resident, memory.swap.in, memory.swap.out",
            "- ID-vda: disk.device.read.requests, disk.device.read.bytes, disk.device.write.requests, disk.device.write.bytes, disk.device.read.latency, disk.device.write.latency",
            "- ID-vdb: disk.device.read.requests, disk.device.read.bytes, disk.device.write.requests, disk.device.write.bytes, disk.device.read.latency, disk.device.write.latency",
            PORT,
            FILTER,
            "+ power.state 5 ID",
        ],
    ),
    state(
        "just_defined",
        &[STOP, Remove("cpu"), Set("block.0.allocation=0")],
        SHUT_OFF,
    ),
    state(
        "migrating_in",
        &[
            Set("state.state=3 vcpu.0.time=0 vcpu.0.wait=0 vcpu.1.time=0 vcpu.1.wait=0"),
            GUEST,
        ],
        &[NO_GUEST, "+ power.state 3 ID", "+ cpu 0 ID"],
    ),
    state("migrating_out", &[Set("state.reason=3")], &[]),
    state(
        "transient",
        &[Define("<devices>", "<on_poweroff>destroy</on_poweroff><devices>")],
        &[],
    ),
    state(
        "restarted",
        &[Cycle, Id(Some(7)), Set("net.0.rx.bytes=40")],
        &[
            "+ network.incoming.bytes 40 instance-0000000a-ID-tap-1",
            "+ network.incoming.bytes.delta 40 instance-0000000a-ID-tap-1",
        ],
    ),
    state("vanished_between_list_and_read", &[Do(vanish)], &[NONE]),
    state("with_an_unreadable_definition", &[Defined(Err("internal error"))], &[NONE]),
    state("with_a_malformed_definition", &[Defined(Ok("<domain><devices></domain>"))], &[NONE]),
    state("with_an_oversized_definition", &[Do(lengthen)], &[NONE]),
    state("without_metadata", &[Do(remove_metadata)], &[NONE]),
    state(
        "not_created_by_nova",
        &[Define("http://openstack.org/xmlns/libvirt/nova/1.1", "urn:another")],
        &[NONE],
    ),
    state(
        "without_an_owner",
        &[Define("<nova:owner>", "<nova:other>"), Define("</nova:owner>", "</nova:other>")],
        &[NONE, "+ ID: transient: the domain's Nova metadata has no `owner`"],
    ),
    state(
        "without_a_name",
        &[Define("<nova:name>web-1</nova:name>", "")],
        &[NONE, "+ ID: transient: the domain's Nova metadata has no `name`"],
    ),
    state(
        "without_a_flavor",
        &[
            Define("<nova:flavor name=\"m1.small\" id=\"fl-1\">", "<nova:other>"),
            Define("</nova:flavor>", "</nova:other>"),
        ],
        &[NONE, "+ ID: transient: the domain's Nova metadata has no `flavor`"],
    ),
    state(
        "with_a_flavor_without_a_name",
        &[Define("name=\"m1.small\" ", "")],
        &[NONE, "+ ID: transient: the domain's Nova metadata has no `flavor name`"],
    ),
    state(
        "with_an_invalid_flavor_size",
        &[Define("<nova:memory>2048</nova:memory>", "<nova:memory/>")],
        &[NONE, "+ ID: transient: the domain's Nova metadata has the flavor `memory` ``; expected an integer"],
    ),
    state("with_an_empty_flavor_id", &[Define("id=\"fl-1\"", "id=\"\"")], &[])
        .and(|polled| polled.metadata().contains(r#""flavor":{"id":"m1.small","name":"m1.small""#)),
    // In the format of Nova until 2014, and until 2025.
    state(
        "with_old_nova_metadata",
        &[
            Define("nova/1.1", "nova/1.0"),
            Define(" id=\"fl-1\"", ""),
            Define("<nova:extraSpecs>", "<nova:other>"),
            Define("</nova:extraSpecs>", "</nova:other>"),
            Define("<nova:image uuid=\"img-1\">", "<nova:another>"),
            Define("</nova:image>", "</nova:another>"),
        ],
        &[],
    )
    .and(|polled| polled.metadata() == r#"{"display_name":"web-1","name":"instance-0000000a","instance_id":"11111111-1111-1111-1111-111111111111","instance_type":"m1.small","host":"8edaf32f904fe0a52747d82d81d30be6a00dbd088da37b45cc22dfac","instance_host":"cmp-a","flavor":{"id":"m1.small","name":"m1.small","vcpus":2,"ram":2048,"disk":20,"ephemeral":5,"swap":0},"status":"active","state":"running","task_state":"","image":{"id":"img-1"},"image_ref":"img-1","image_ref_url":null,"architecture":"x86_64","os_type":"hvm","vcpus":2,"memory_mb":2048,"disk_gb":20,"ephemeral_gb":5,"root_gb":15}"#),
    state(
        "booted_from_a_volume",
        &[
            Define("<nova:image uuid=\"img-1\">", "<nova:image uuid=\"\">"),
            Define("<nova:root type=\"image\" uuid=\"img-1\"/>", "<nova:root type=\"volume\" uuid=\"vol-1\"/>"),
        ],
        &[],
    )
    .and(|polled| polled.metadata() == r#"{"display_name":"web-1","name":"instance-0000000a","instance_id":"11111111-1111-1111-1111-111111111111","instance_type":"m1.small","host":"8edaf32f904fe0a52747d82d81d30be6a00dbd088da37b45cc22dfac","instance_host":"cmp-a","flavor":{"id":"fl-1","name":"m1.small","vcpus":2,"ram":2048,"disk":20,"ephemeral":5,"swap":0,"extra_specs":{"hw:cpu_policy":"dedicated"}},"status":"active","state":"running","task_state":"","image":null,"image_ref":null,"image_ref_url":null,"image_meta":{"base_image_ref":"","container_format":"bare","disk_format":"qcow2","min_disk":"1","min_ram":"0","os_distro":"debian"},"architecture":"x86_64","os_type":"hvm","vcpus":2,"memory_mb":2048,"disk_gb":20,"ephemeral_gb":5,"root_gb":15}"#),
    state(
        "with_names_in_any_script",
        &[
            Do(|domain| domain.name = "instance-ж".to_owned()),
            Define("web-1", "веб &amp; &#x1F600; \u{202e}x"),
            Define("os_distro", "дистрибутив"),
        ],
        &[PORT,"+ network.incoming.bytes 100 instance-ж-ID-tap-1","+ network.incoming.packets 10 instance-ж-ID-tap-1","+ network.incoming.packets.error 1 instance-ж-ID-tap-1","+ network.incoming.packets.drop 2 instance-ж-ID-tap-1","+ network.outgoing.bytes 200 instance-ж-ID-tap-1","+ network.outgoing.packets 20 instance-ж-ID-tap-1","+ network.outgoing.packets.error 3 instance-ж-ID-tap-1","+ network.outgoing.packets.drop 4 instance-ж-ID-tap-1","+ network.incoming.bytes.delta 0 instance-ж-ID-tap-1","+ network.outgoing.bytes.delta 0 instance-ж-ID-tap-1",],
    )
    .and(|polled| {
        polled.metadata().contains("{\"display_name\":\"веб & 😀 \u{202e}x\",\"name\":\"instance-ж\"")
            && polled.metadata().contains(r#""дистрибутив":"debian""#)
    }),
    state("with_huge_metadata", &[Do(describe_at_length)], &[])
        .and(|polled| polled.metadata().contains("\"p9999\":\"xxx")),
    // The statistics do not show the change: an event reports it.
    state("with_another_owner", &[Cycle, Define("p-1", "p-2"), Event], &[]).and(|polled| {
        let mut samples = polled.samples.iter();
        samples.all(|sample| sample.subject.project_id.as_deref() == Some("p-2"))
    }),
    state(
        "with_devices_plugged_in",
        &[
            Cycle,
            Define("<memballoon", "<disk type='file'><source file='/c'/><target dev='vdc'/></disk><memballoon"),
            Define(
                "<memballoon",
                "<interface><mac address='fa:16:3e:00:00:03'/><target dev='tap-3'/></interface><memballoon",
            ),
            Set("block.count=3 block.2.name=vdc block.2.rd.bytes=9"),
            Set("net.count=3 net.2.name=tap-3 net.2.rx.bytes=7"),
        ],
        &[
            "+ disk.device.read.bytes 9 ID-vdc",
            "+ network.incoming.bytes 7 instance-0000000a-ID-tap-3",
            "+ network.incoming.bytes.delta 0 instance-0000000a-ID-tap-3",
        ],
    ),
    state(
        "with_devices_unplugged",
        &[
            Cycle,
            Define("<target dev='vdb' bus='virtio'/>", ""),
            Define("<target dev='tap-2'/>", ""),
            Remove("block.1 net.1"),
        ],
        &[VOLUME, FILTER],
    ),
    state(
        "with_a_hot_plugged_disk_not_yet_defined",
        &[Set("block.count=3 block.2.name=vdc block.2.rd.reqs=1")],
        &[],
    ),
    state(
        "with_an_ejected_medium",
        &[Define("<source dev='/dev/disk/by-id/volume-1' index='2'/>", "")],
        &[VOLUME],
    ),
    state(
        "with_a_network_disk",
        &[
            Define(
                "<source dev='/dev/disk/by-id/volume-1' index='2'/>",
                "<source protocol='rbd' name='p/v'/>",
            ),
            Remove("block.1.path block.1.allocation block.1.physical"),
        ],
        &["- ID-vdb: disk.device.allocation, disk.device.usage"],
    ),
    state(
        "with_a_disk_without_statistics",
        &[Remove("block.0.rd block.0.wr block.0.allocation block.0.capacity block.0.physical")],
        &[DISK],
    ),
    state(
        "with_a_vhost_user_interface",
        &[
            Define("<interface type='bridge'>", "<interface type='vhostuser'>"),
            Remove("net.0.rx net.0.tx"),
        ],
        &[PORT],
    ),
    state(
        "with_a_passed_through_interface",
        &[
            Define("<interface type='bridge'>", "<interface type='hostdev'>"),
            Define("<target dev='tap-1'/>", ""),
            Remove("net.0"),
        ],
        &[PORT],
    ),
    state(
        "with_an_interface_without_an_address",
        &[Define("<mac address='fa:16:3e:00:00:01'/>", "")],
        &[PORT],
    ),
    state(
        "with_two_interfaces_with_one_filter",
        &[Define("<target dev='tap-1'/>", "<target dev='tap-1'/><filterref filter='nova-f-2'/>")],
        &[PORT,"+ network.incoming.bytes 100 nova-f-2","+ network.incoming.packets 10 nova-f-2","+ network.incoming.packets.error 1 nova-f-2","+ network.incoming.packets.drop 2 nova-f-2","+ network.outgoing.bytes 200 nova-f-2","+ network.outgoing.packets 20 nova-f-2","+ network.outgoing.packets.error 3 nova-f-2","+ network.outgoing.packets.drop 4 nova-f-2",],
    )
    .and(|polled| polled.samples.len() == 49),
    state(
        "without_a_balloon",
        &[
            Define("<memballoon model='virtio'/>", "<memballoon model='none'/>"),
            Remove("balloon.last"),
            GUEST,
        ],
        &[NO_GUEST],
    ),
    state("with_a_guest_without_statistics", &[Set("balloon.last-update=0"), GUEST], &[NO_GUEST]),
    state(
        "on_a_kernel_without_steal_time",
        &[Remove("vcpu.0.wait vcpu.1.wait")],
        &["+ cpu 3300 ID"],
    ),
    state("with_steal_time_disabled", &[Switch("count_steal_time", false)], &["+ cpu 3300 ID"]),
    state(
        "with_perf_events",
        &[
            Set("perf.cpu_cycles=1 perf.instructions=2 perf.cache_references=3 perf.cache_misses=4 perf.cmt=5"),
        ],
        &[
            "+ perf.cpu.cycles 1 ID",
            "+ perf.instructions 2 ID",
            "+ perf.cache.references 3 ID",
            "+ perf.cache.misses 4 ID",
        ],
    ),
    state(
        "with_legacy_perf_events",
        &[Switch("legacy_meters", true), Set("perf.cmt=1 perf.mbmt=2 perf.mbml=3")],
        &["+ cpu_l3_cache 1 ID", "+ memory.bandwidth.total 2 ID", "+ memory.bandwidth.local 3 ID"],
    ),
    state(
        "locked",
        &[
            Remove("block.0.rd block.0.wr block.0.allocation block.0.capacity block.0.physical"),
            Remove("block.1.rd block.1.wr block.1.allocation block.1.capacity block.1.physical"),
            Remove("balloon.last"),
            GUEST,
        ],
        &[NO_GUEST, DISK, VOLUME, LOCKED],
    ),
    state(
        "locked_without_disks",
        &[
            Define("<source file=", "<nosource file="),
            Define("<source dev='/dev/disk/by-id/volume-1' index='2'/>", ""),
            Remove("block balloon.last"),
            Set("block.count=0"),
        ],
        &[DISK, VOLUME, LOCKED],
    ),
];

fn vanish(domain: &mut FakeDomain) {
    domain.definition = Err(Error {
        is_gone: true,
        message: "Domain not found".to_owned(),
    });
}

fn lengthen(domain: &mut FakeDomain) {
    domain.define("web-1", &"x".repeat(crate::xml::MAX_LENGTH));
}

fn remove_metadata(domain: &mut FakeDomain) {
    let definition = domain.definition.clone().unwrap();
    let (before, rest) = definition.split_once("<metadata>").unwrap();
    let (_, after) = rest.split_once("</metadata>").unwrap();
    domain.definition = Ok(format!("{before}{after}"));
}

fn describe_at_length(domain: &mut FakeDomain) {
    let value = "x".repeat(100);
    let property = |number| format!("<nova:property name=\"p{number}\">{value}</nova:property>");
    let properties: String = (0..10_000).map(property).collect();
    domain.define(
        "<nova:property name=\"os_distro\">debian</nova:property>",
        &properties,
    );
}
