//! Samples of instances in the form of the compute pollsters.

use std::sync::Arc;

use nephoscope_model::{
    CycleId, Meter, MeterDef, RunIds, Sample, ScheduleId, Subject, Timestamp, Value, Volume,
};

use crate::error::{BenchError, Context};

/// Samples of a batch: the default of `notifier.batch_size`.
pub(crate) const BATCH: usize = 50;

/// The metadata of an instance from the compute service: 1.3 kB in ceilometer's JSON.
const METADATA: &str = r#"{
    "display_name": "web-1", "name": "instance-0000000a", "instance_id": "4b1f6b7e-8a43-4a58-9d64-0c1b7b0f9d11",
    "instance_type": "m1.small", "host": "8edaf32f904fe0a52747d82d81d30be6a00dbd088da37b45cc22dfac",
    "instance_host": "compute-017.example.org",
    "flavor": {"id": "0f3c6a52-51b3-4f0c-a7a5-3d6e1f3c2b19", "name": "m1.small", "vcpus": 2, "ram": 2048, "disk": 20,
        "ephemeral": 5, "swap": 0, "extra_specs": {"hw:cpu_policy": "dedicated", "hw:mem_page_size": "large"}},
    "status": "active", "state": "running", "task_state": "",
    "image": {"id": "c1e3a7a0-6e37-4d4b-8f0e-2f7f2b6c0d55",
        "links": [{"rel": "bookmark", "href": "http://10.0.0.10:8774/images/c1e3a7a0-6e37-4d4b-8f0e-2f7f2b6c0d55"}]},
    "image_ref": "c1e3a7a0-6e37-4d4b-8f0e-2f7f2b6c0d55",
    "image_ref_url": "http://10.0.0.10:8774/images/c1e3a7a0-6e37-4d4b-8f0e-2f7f2b6c0d55",
    "image_meta": {"base_image_ref": "c1e3a7a0-6e37-4d4b-8f0e-2f7f2b6c0d55", "container_format": "bare",
        "disk_format": "qcow2", "min_disk": "1", "min_ram": "0", "os_distro": "debian"},
    "OS-EXT-AZ:availability_zone": "zone-1", "architecture": "x86_64", "os_type": "hvm", "vcpus": 2,
    "memory_mb": 2048, "disk_gb": 20, "ephemeral_gb": 5, "root_gb": 15,
    "user_metadata": {"stack": "5f0c1c2a-9a51-4c55-b0bd-4f7f1f1d6a10", "server_group": "g1"}
}"#;

const METERS: [MeterDef; 10] = [
    MeterDef::cumulative("cpu", "ns", "CPU time"),
    MeterDef::gauge("memory.usage", "MiB", "Memory in use"),
    MeterDef::gauge("memory.resident", "MiB", "Memory on the host"),
    MeterDef::cumulative("memory.swap.in", "MiB", "Memory read from swap"),
    MeterDef::cumulative("memory.swap.out", "MiB", "Memory written to swap"),
    MeterDef::cumulative("disk.device.read.bytes", "B", "Bytes read"),
    MeterDef::cumulative("disk.device.write.bytes", "B", "Bytes written"),
    MeterDef::cumulative("disk.device.read.requests", "request", "Read requests"),
    MeterDef::cumulative("disk.device.write.requests", "request", "Write requests"),
    MeterDef::gauge("power.state", "state", "Power state"),
];

/// Returns `count` samples, `each` in a row of one instance, each instance with different metadata.
pub(crate) fn instance_samples(count: usize, each: usize) -> Result<Vec<Sample>, BenchError> {
    let json: serde_json::Value = serde_json::from_str(METADATA).context("read the metadata")?;
    let Value::Map(metadata) = Value::from(json) else {
        return Err(BenchError::new("the metadata is not a mapping"));
    };
    let meters = METERS.each_ref().map(|def| Arc::new(Meter::from(def)));
    let cycle = CycleId::new(
        ScheduleId::new("every:300:0"),
        Timestamp::from_micros(1_767_323_045_678_901),
        0,
    );
    let ids = RunIds::new("", &cycle, "bench");
    let samples = (0..count / each)
        .flat_map(|number| {
            let key = format!("4b1f6b7e-8a43-4a58-9d64-{number:012x}");
            let mut subject = Subject::new(key.as_str())
                .project("7c1a2b3c4d5e4f60a1b2c3d4e5f60718")
                .user("0a9b8c7d6e5f40312233445566778899");
            subject.metadata = metadata.clone();
            let subject = subject.shared();
            let ids = ids.resource(&key);
            meters.iter().cycle().skip(number).take(each).enumerate().map({
                let start = cycle.start;
                move |(index, meter)| {
                    Sample::new(
                        subject.clone(),
                        meter.clone(),
                        match index % 2 {
                            0 => Volume::Int(1_234_567_890_123 + number as i64),
                            _ => Volume::Float(512.0 + number as f64 / 256.0),
                        },
                        start,
                        ids.sample(&meter.name, &subject.resource_id, index as u32),
                    )
                    .read_at(Some(1_819_980.131_767 + number as f64))
                }
            })
        })
        .collect();
    Ok(samples)
}
