//! This machine: CPU, load, memory, disks, file systems, network interfaces.
