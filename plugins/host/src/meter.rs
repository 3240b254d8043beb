//! The meters, with the types and units of ceilometer's SNMP meters.
//!
//! Some gauges are counters by nature (ticks of the CPU, bytes of a disk): the type is ceilometer's, so that existing
//! setups continue to work. Meters that ceilometer does not have use the accurate type.

use nephoscope_model::MeterDef;

/// Declares meters as constants, and a table of all of them in this order.
macro_rules! meters {
    ($(#[$doc:meta])* $table:ident: $($id:ident = $kind:ident($name:literal, $unit:literal, $text:literal);)+) => {
        $(pub(crate) const $id: MeterDef = MeterDef::$kind($name, $unit, $text);)+
        $(#[$doc])*
        pub(crate) const $table: &[MeterDef] = &[$($id),+];
    };
}

meters! {
    /// Meters from `/proc/stat`, `/proc/loadavg` and `/proc/uptime`.
    CPU_METERS:
    LOAD_1MIN = gauge("hardware.cpu.load.1min", "process", "Load average over the last minute");
    LOAD_5MIN = gauge("hardware.cpu.load.5min", "process", "Load average over the last 5 minutes");
    LOAD_15MIN = gauge("hardware.cpu.load.15min", "process", "Load average over the last 15 minutes");
    CPU_UTIL = gauge("hardware.cpu.util", "%", "CPU time neither idle nor waiting for I/O, of all CPUs, since the previous poll (first poll: since boot)");
    CPU_USER = gauge("hardware.cpu.user", "tick", "CPU time in user mode since boot, of all CPUs");
    CPU_NICE = gauge("hardware.cpu.nice", "tick", "CPU time in user mode with low priority since boot, of all CPUs");
    CPU_SYSTEM = gauge("hardware.cpu.system", "tick", "CPU time in the kernel since boot, including interrupts, of all CPUs");
    CPU_IDLE = gauge("hardware.cpu.idle", "tick", "Idle CPU time since boot, of all CPUs");
    CPU_WAIT = gauge("hardware.cpu.wait", "tick", "Idle CPU time with outstanding I/O since boot, of all CPUs");
    CPU_KERNEL = gauge("hardware.cpu.kernel", "tick", "CPU time in the kernel since boot, without interrupts, of all CPUs");
    CPU_INTERRUPT = gauge("hardware.cpu.interrupt", "tick", "CPU time in hardware interrupts since boot, of all CPUs");
    CPU_SOFTIRQ = gauge("hardware.cpu.softirq", "tick", "CPU time in software interrupts since boot, of all CPUs");
    CPU_STEAL = gauge("hardware.cpu.steal", "tick", "CPU time stolen by the hypervisor since boot, of all CPUs");
    SYSTEM_CPU_IDLE = gauge("hardware.system_stats.cpu.idle", "%", "Idle CPU time, of all CPUs, since the previous poll (first poll: since boot)");
    PROCESSES_RUNNING = gauge("hardware.system_stats.processes.running", "process", "Threads that are running or runnable");
    PROCESSES_BLOCKED = gauge("hardware.system_stats.processes.blocked", "process", "Threads that are waiting for I/O");
    UPTIME = cumulative("hardware.uptime", "s", "Time since boot, including suspend");
}

meters! {
    /// Meters from `/proc/meminfo`.
    MEMORY_METERS:
    MEMORY_TOTAL = gauge("hardware.memory.total", "KB", "Total memory of the machine");
    MEMORY_USED = gauge("hardware.memory.used", "KB", "Used memory, including buffers and page cache");
    MEMORY_BUFFER = gauge("hardware.memory.buffer", "KB", "Memory used by buffers of block devices");
    MEMORY_CACHED = gauge("hardware.memory.cached", "KB", "Memory used by the page cache");
    MEMORY_AVAILABLE = gauge("hardware.memory.available", "KB", "Memory available to programs without swapping, estimated by the kernel");
    SWAP_TOTAL = gauge("hardware.memory.swap.total", "KB", "Total swap space; 0 without swap");
    SWAP_AVAIL = gauge("hardware.memory.swap.avail", "KB", "Free swap space");
}

meters! {
    /// Meters from `/proc/diskstats` and `/proc/vmstat`.
    DISK_METERS:
    READ_BYTES = gauge("hardware.disk.read.bytes", "B", "Bytes read from the device since boot");
    WRITE_BYTES = gauge("hardware.disk.write.bytes", "B", "Bytes written to the device since boot");
    READ_REQUESTS = gauge("hardware.disk.read.requests", "requests", "Read requests completed by the device since boot");
    WRITE_REQUESTS = gauge("hardware.disk.write.requests", "requests", "Write requests completed by the device since boot");
    IO_TIME = cumulative("hardware.disk.io.time", "ms", "Time with at least one request in progress on the device");
    OUTGOING_BLOCKS = cumulative("hardware.system_stats.io.outgoing.blocks", "blocks", "Blocks of 512 bytes sent to block devices");
    INCOMING_BLOCKS = cumulative("hardware.system_stats.io.incoming.blocks", "blocks", "Blocks of 512 bytes received from block devices");
}

meters! {
    /// Meters from statvfs of each file system of `/proc/self/mountinfo`.
    FILE_SYSTEM_METERS:
    SIZE_TOTAL = gauge("hardware.disk.size.total", "KB", "Total size of the file system");
    SIZE_USED = gauge("hardware.disk.size.used", "KB", "Used space of the file system");
    INODES_TOTAL = gauge("hardware.disk.inodes.total", "inode", "Total inodes of the file system");
    INODES_USED = gauge("hardware.disk.inodes.used", "inode", "Used inodes of the file system");
}

meters! {
    /// Meters from `/proc/net/dev` and `/proc/net/snmp`.
    NETWORK_METERS:
    INCOMING_BYTES = cumulative("hardware.network.incoming.bytes", "B", "Bytes received by the interface");
    OUTGOING_BYTES = cumulative("hardware.network.outgoing.bytes", "B", "Bytes sent by the interface");
    OUTGOING_ERRORS = cumulative("hardware.network.outgoing.errors", "packet", "Packets that the interface failed to send because of errors");
    INCOMING_ERRORS = cumulative("hardware.network.incoming.errors", "packet", "Packets that the interface received with errors");
    INCOMING_PACKETS = cumulative("hardware.network.incoming.packets", "packet", "Packets received by the interface");
    OUTGOING_PACKETS = cumulative("hardware.network.outgoing.packets", "packet", "Packets sent by the interface");
    INCOMING_DROPS = cumulative("hardware.network.incoming.drops", "packet", "Received packets that the interface dropped");
    OUTGOING_DROPS = cumulative("hardware.network.outgoing.drops", "packet", "Outgoing packets that the interface dropped");
    IP_OUTGOING = cumulative("hardware.network.ip.outgoing.datagrams", "datagrams", "IPv4 datagrams sent by this machine, without forwarded ones");
    IP_INCOMING = cumulative("hardware.network.ip.incoming.datagrams", "datagrams", "IPv4 datagrams received, including those with errors");
}
