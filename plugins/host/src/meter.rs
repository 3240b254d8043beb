//! The meters, with the types and units that ceilometer's definitions of its SNMP meters give them.
//!
//! A gauge here is often a counter by its nature (ticks of the CPU, bytes of a disk): the type is ceilometer's,
//! since what was set up for its meters goes on working. Meters that ceilometer does not have say
//! what they are.

use nephoscope_model::MeterDef;

/// Declares meters as constants, and the table that holds them all in this order.
macro_rules! meters {
    ($(#[$doc:meta])* $table:ident: $($id:ident = $kind:ident($name:literal, $unit:literal, $text:literal);)+) => {
        $(pub(crate) const $id: MeterDef = MeterDef::$kind($name, $unit, $text);)+
        $(#[$doc])*
        pub(crate) const $table: &[MeterDef] = &[$($id),+];
    };
}

meters! {
    /// Of `/proc/stat`, `/proc/loadavg` and `/proc/uptime`.
    CPU_METERS:
    LOAD_1MIN = gauge("hardware.cpu.load.1min", "process", "Load average over the last minute");
    LOAD_5MIN = gauge("hardware.cpu.load.5min", "process", "Load average over the last 5 minutes");
    LOAD_15MIN = gauge("hardware.cpu.load.15min", "process", "Load average over the last 15 minutes");
    CPU_UTIL = gauge("hardware.cpu.util", "%", "Share of the time of all CPUs in which they were neither idle nor waiting for I/O, since the poll before (at the first poll: since boot)");
    CPU_USER = gauge("hardware.cpu.user", "tick", "Time of all CPUs in user mode since boot");
    CPU_NICE = gauge("hardware.cpu.nice", "tick", "Time of all CPUs in user mode with low priority since boot");
    CPU_SYSTEM = gauge("hardware.cpu.system", "tick", "Time of all CPUs in the kernel since boot, with that spent on interrupts");
    CPU_IDLE = gauge("hardware.cpu.idle", "tick", "Time of all CPUs spent idle since boot");
    CPU_WAIT = gauge("hardware.cpu.wait", "tick", "Time of all CPUs spent idle while I/O was outstanding since boot");
    CPU_KERNEL = gauge("hardware.cpu.kernel", "tick", "Time of all CPUs in the kernel since boot, without that spent on interrupts");
    CPU_INTERRUPT = gauge("hardware.cpu.interrupt", "tick", "Time of all CPUs spent on hardware interrupts since boot");
    CPU_SOFTIRQ = gauge("hardware.cpu.softirq", "tick", "Time of all CPUs spent on software interrupts since boot");
    CPU_STEAL = gauge("hardware.cpu.steal", "tick", "Time since boot in which the CPUs of this virtual machine had work and the hypervisor did not run them");
    SYSTEM_CPU_IDLE = gauge("hardware.system_stats.cpu.idle", "%", "Share of the time of all CPUs spent idle, since the poll before (at the first poll: since boot)");
    PROCESSES_RUNNING = gauge("hardware.system_stats.processes.running", "process", "Threads that run or are ready to run");
    PROCESSES_BLOCKED = gauge("hardware.system_stats.processes.blocked", "process", "Threads that wait for I/O");
    UPTIME = cumulative("hardware.uptime", "s", "Time since boot, with that spent in suspend");
}

meters! {
    /// Of `/proc/meminfo`.
    MEMORY_METERS:
    MEMORY_TOTAL = gauge("hardware.memory.total", "KB", "Memory of the machine");
    MEMORY_USED = gauge("hardware.memory.used", "KB", "Memory in use, with buffers and page cache");
    MEMORY_BUFFER = gauge("hardware.memory.buffer", "KB", "Memory used for buffers of block devices");
    MEMORY_CACHED = gauge("hardware.memory.cached", "KB", "Memory used for the page cache");
    MEMORY_AVAILABLE = gauge("hardware.memory.available", "KB", "Memory that programs can still get without swapping, by the kernel's estimate");
    SWAP_TOTAL = gauge("hardware.memory.swap.total", "KB", "Swap space; 0 on a machine without any");
    SWAP_AVAIL = gauge("hardware.memory.swap.avail", "KB", "Swap space that is free");
}

meters! {
    /// Of `/proc/diskstats` and `/proc/vmstat`.
    DISK_METERS:
    READ_BYTES = gauge("hardware.disk.read.bytes", "B", "Bytes read from the device since boot");
    WRITE_BYTES = gauge("hardware.disk.write.bytes", "B", "Bytes written to the device since boot");
    READ_REQUESTS = gauge("hardware.disk.read.requests", "requests", "Reads of the device since boot");
    WRITE_REQUESTS = gauge("hardware.disk.write.requests", "requests", "Writes to the device since boot");
    IO_TIME = cumulative("hardware.disk.io.time", "ms", "Time in which the device had at least one request to do");
    OUTGOING_BLOCKS = cumulative("hardware.system_stats.io.outgoing.blocks", "blocks", "Blocks of 512 bytes sent to block devices");
    INCOMING_BLOCKS = cumulative("hardware.system_stats.io.incoming.blocks", "blocks", "Blocks of 512 bytes received from block devices");
}

meters! {
    /// Of statvfs, for each file system of `/proc/self/mountinfo`.
    FILE_SYSTEM_METERS:
    SIZE_TOTAL = gauge("hardware.disk.size.total", "KB", "Size of the file system");
    SIZE_USED = gauge("hardware.disk.size.used", "KB", "Space of the file system that is in use");
    INODES_TOTAL = gauge("hardware.disk.inodes.total", "inode", "Inodes of the file system");
    INODES_USED = gauge("hardware.disk.inodes.used", "inode", "Inodes of the file system that are in use");
}

meters! {
    /// Of `/proc/net/dev` and `/proc/net/snmp`.
    NETWORK_METERS:
    INCOMING_BYTES = cumulative("hardware.network.incoming.bytes", "B", "Bytes received by the interface");
    OUTGOING_BYTES = cumulative("hardware.network.outgoing.bytes", "B", "Bytes sent by the interface");
    OUTGOING_ERRORS = cumulative("hardware.network.outgoing.errors", "packet", "Packets that the interface could not send because of errors");
    INCOMING_ERRORS = cumulative("hardware.network.incoming.errors", "packet", "Packets that the interface received with errors");
    INCOMING_PACKETS = cumulative("hardware.network.incoming.packets", "packet", "Packets received by the interface");
    OUTGOING_PACKETS = cumulative("hardware.network.outgoing.packets", "packet", "Packets sent by the interface");
    INCOMING_DROPS = cumulative("hardware.network.incoming.drops", "packet", "Packets that the interface received and dropped");
    OUTGOING_DROPS = cumulative("hardware.network.outgoing.drops", "packet", "Packets to send that the interface dropped");
    IP_OUTGOING = cumulative("hardware.network.ip.outgoing.datagrams", "datagrams", "IPv4 datagrams that this machine sent, without those that it forwarded");
    IP_INCOMING = cumulative("hardware.network.ip.incoming.datagrams", "datagrams", "IPv4 datagrams received, with those in error");
}
