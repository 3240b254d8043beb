//! The mounted file systems to measure.

use crate::text::{lines, unescape, words};

/// File systems of another machine or program: statvfs may hang.
const REMOTE: &[&[u8]] = &[
    b"9p",
    b"afs",
    b"beegfs",
    b"ceph",
    b"cifs",
    b"coda",
    b"glusterfs",
    b"gpfs",
    b"lustre",
    b"ncpfs",
    b"nfs",
    b"nfs4",
    b"orangefs",
    b"pvfs2",
    b"smb3",
    b"smbfs",
    b"virtiofs",
];

/// Local file systems whose source is not the name of a device.
const DEVICELESS: &[&[u8]] = &[b"bcachefs", b"btrfs", b"ubifs", b"zfs"];

/// Read-only images: they are always full.
const IMAGES: &[&[u8]] = &[b"cramfs", b"erofs", b"iso9660", b"romfs", b"squashfs", b"udf"];

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The source: a device, or the file system's name of its source.
    pub(crate) device: Vec<u8>,
    /// The mount point.
    pub(crate) path: Vec<u8>,
    /// Whether statvfs may hang.
    pub(crate) is_remote: bool,
    /// `major:minor`, the same for all mounts of one file system.
    id: Vec<u8>,
    /// Whether the mount is the file system's whole tree, not a part of it.
    is_whole: bool,
}

/// The mounts of a process.
pub(crate) struct MountTable<'a> {
    /// The file systems to measure, each once, in the order of the file.
    pub(crate) mounts: Vec<Mount>,
    /// Whether the root directory is a mount point. It is not in a chroot to a directory.
    pub(crate) has_root: bool,
    /// The lines that cannot be parsed.
    pub(crate) invalid: Vec<&'a [u8]>,
}

/// Parses `/proc/self/mountinfo`.
///
/// Excludes file systems without data (proc, cgroup ...), file systems in memory (tmpfs: counted as memory), read-only
/// images, views of other file systems (overlay, except at the root), and mounts that another mount covers. Of several
/// mounts of one file system, the one with the shortest path is used; mounts of the whole tree come before mounts of a
/// part of it.
///
/// procfs is not used here: it rejects the whole file for one invalid line, and supports only some escapes.
pub(crate) fn mounts(text: &[u8]) -> MountTable<'_> {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut invalid = Vec::new();
    let mut has_root = false;
    for line in lines(text) {
        match parse(line) {
            Some((path, mount)) => {
                has_root |= path == b"/";
                mounts.retain(|covered| covered.path != path);
                mounts.extend(mount);
            }
            None if words(line).next().is_some() => invalid.push(line),
            None => {}
        }
    }
    let mut distinct: Vec<Mount> = Vec::with_capacity(mounts.len());
    for mount in mounts {
        match distinct.iter_mut().find(|known| known.id == mount.id) {
            Some(known) if mount.is_before(known) => *known = mount,
            Some(_) => {}
            None => distinct.push(mount),
        }
    }
    MountTable {
        mounts: distinct,
        has_root,
        invalid,
    }
}

impl MountTable<'_> {
    /// Adds the file system of a root directory that is not a mount point. Only its device id is known: the source is that
    /// of another mount of the same file system, or `rootfs`.
    pub(crate) fn add_root(&mut self, id: Vec<u8>) {
        match self.mounts.iter_mut().find(|known| known.id == id) {
            Some(known) if known.is_whole => {}
            Some(known) => known.path = b"/".to_vec(),
            None => self.mounts.push(Mount {
                device: b"rootfs".to_vec(),
                path: b"/".to_vec(),
                is_remote: false,
                id,
                is_whole: false,
            }),
        }
    }
}

impl Mount {
    fn is_before(&self, other: &Self) -> bool {
        (!self.is_whole, self.path.len()) < (!other.is_whole, other.path.len())
    }
}

/// Returns the mount point of a line, and the mount if its file system is measured.
fn parse(line: &[u8]) -> Option<(Vec<u8>, Option<Mount>)> {
    // id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options
    let mut fields = line.split(|byte| *byte == b' ');
    let id = fields.nth(2)?;
    if !id.contains(&b':') {
        return None;
    }
    let root = fields.next()?;
    let path = unescape(fields.next()?);
    fields.find(|field| *field == b"-")?;
    let kind = fields.next()?;
    let device = unescape(fields.next()?);
    if path.first() != Some(&b'/') {
        return None;
    }
    let is_fuse = kind == b"fuse" || kind.starts_with(b"fuse.");
    let is_remote = is_fuse || REMOTE.contains(&kind);
    let is_stored = device.starts_with(b"/dev/") || DEVICELESS.contains(&kind);
    let is_root_view = kind == b"overlay" && path == b"/";
    let is_measured = !IMAGES.contains(&kind) && (is_remote || is_stored || is_root_view);
    let mount = is_measured.then(|| Mount {
        device,
        path: path.clone(),
        is_remote,
        id: id.to_vec(),
        is_whole: root == b"/",
    });
    Some((path, mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(text: &str) -> String {
        show(&mounts(text.as_bytes()))
    }

    fn show(table: &MountTable<'_>) -> String {
        let mut shown: Vec<_> = table
            .mounts
            .iter()
            .map(|mount| {
                let remote = if mount.is_remote { " (remote)" } else { "" };
                let device = String::from_utf8_lossy(&mount.device);
                format!("{device} at {}{remote}", String::from_utf8_lossy(&mount.path))
            })
            .collect();
        shown.extend(
            table
                .invalid
                .iter()
                .map(|line| format!("invalid: {}", String::from_utf8_lossy(line))),
        );
        shown.join("\n")
    }

    #[test]
    fn file_systems_on_disks_are_measured_and_those_without_data_are_not() {
        insta::assert_snapshot!(measured(
            "22 27 0:21 / /proc rw - proc proc rw\n\
             23 27 0:22 / /run rw - tmpfs tmpfs rw\n\
             27 1 254:0 / / rw - ext4 /dev/vda rw\n\
             28 27 254:1 / /boot/efi rw shared:2 master:3 - vfat /dev/vda1 rw\n\
             29 27 7:1 / /snap/core ro - squashfs /dev/loop1 ro\n\
             30 27 0:40 / /tank rw - zfs tank/data rw\n\
             31 27 0:41 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n\
             32 27 0:42 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw\n"
        ), @r"
        /dev/vda at /
        /dev/vda1 at /boot/efi
        tank/data at /tank
        /dev/sdb1 at /mnt/ntfs
        ");
    }

    #[test]
    fn remote_file_systems_are_recognized() {
        insta::assert_snapshot!(measured(
            "40 27 0:50 / /home rw - nfs4 filer:/home rw\n\
             41 27 0:51 / /mnt/s rw - fuse.sshfs me@there:/ rw\n\
             42 27 0:52 / /mnt/c rw - cifs //filer/share rw\n"
        ), @r"
        filer:/home at /home (remote)
        me@there:/ at /mnt/s (remote)
        //filer/share at /mnt/c (remote)
        ");
    }

    #[test]
    fn a_file_system_with_several_mounts_is_measured_once() {
        insta::assert_snapshot!(measured(
            "50 1 0:60 / / rw - overlay overlay rw\n\
             51 50 254:1 /docker/hosts /etc/hosts rw - ext4 /dev/vda1 rw\n\
             52 50 254:1 /data /data/a rw - ext4 /dev/vda1 rw\n\
             53 50 254:2 /part /x rw - xfs /dev/vdb rw\n\
             54 50 254:2 / /longer/path rw - xfs /dev/vdb rw\n"
        ), @r"
        overlay at /
        /dev/vda1 at /data/a
        /dev/vdb at /longer/path
        ");
    }

    #[test]
    fn a_root_directory_that_is_not_a_mount_point_is_added() {
        let shown = |text: &str, id: &str| {
            let mut table = mounts(text.as_bytes());
            assert!(!table.has_root);
            table.add_root(id.as_bytes().to_vec());
            show(&table)
        };
        let proc = "22 21 0:21 / /proc rw - proc proc rw\n";
        assert_eq!(shown(proc, "254:0"), "rootfs at /");
        let bound = format!("{proc}23 21 254:0 /etc/hosts /etc/hosts rw - ext4 /dev/vda rw\n");
        assert_eq!(shown(&bound, "254:0"), "/dev/vda at /");
        let whole = format!("{proc}23 21 254:0 / /host rw - ext4 /dev/vda rw\n");
        assert_eq!(shown(&whole, "254:0"), "/dev/vda at /host");
        assert!(mounts(b"27 1 0:9 / / rw - tmpfs none rw\n").has_root);
    }

    #[test]
    fn covered_mounts_are_not_measured() {
        insta::assert_snapshot!(measured(
            "60 1 254:0 / /mnt rw - ext4 /dev/vda rw\n\
             61 60 0:70 / /mnt rw - tmpfs tmpfs rw\n"
        ), @"");
    }

    #[test]
    fn invalid_lines_affect_no_other_line() {
        insta::assert_snapshot!(measured(
            "garbage\n\
             70 1 254:0 / /a\\040b rw - ext4 /dev/mapper/my\\040disk rw\n\
             71 1 254:0 / /cut rw - ext4\n\
             72 1 x / /y rw - ext4 /dev/vdc rw\n\n"
        ), @r"
        /dev/mapper/my disk at /a b
        invalid: garbage
        invalid: 71 1 254:0 / /cut rw - ext4
        invalid: 72 1 x / /y rw - ext4 /dev/vdc rw
        ");
    }
}
