//! The mounted file systems that are measured.

use crate::text::{lines, unescape, words};

/// File systems that another machine or program serves: asking them may hang.
const SERVED: &[&[u8]] = &[
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

/// File systems on disks of this machine whose source is not the name of a device.
const DEVICELESS: &[&[u8]] = &[b"bcachefs", b"btrfs", b"ubifs", b"zfs"];

/// Images that can only be read: they are always full, which says nothing.
const IMAGES: &[&[u8]] = &[b"cramfs", b"erofs", b"iso9660", b"romfs", b"squashfs", b"udf"];

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// What is mounted: a device, or what the file system calls its source.
    pub(crate) device: Vec<u8>,
    /// Where it is mounted.
    pub(crate) path: Vec<u8>,
    /// Whether asking it may hang.
    pub(crate) is_served: bool,
    /// `major:minor`, the same for all mounts of one file system.
    id: Vec<u8>,
    /// Whether its whole tree is mounted, not a part of it.
    is_whole: bool,
}

/// The file systems of `/proc/self/mountinfo`, each once, in the order of the file; and the lines that cannot
/// be understood.
///
/// What is left out: file systems that hold no data (proc, cgroup ...), those in memory (tmpfs: it is counted as
/// memory), images that can only be read, views of others (overlay, unless it is the root), and those that
/// another mount covers. Of several mounts of one file system the one with the shortest path stands for all,
/// where the whole tree is mounted before where a part of it is.
///
/// Read here: procfs refuses the whole file for one odd line, and knows only some of the escapes.
pub(crate) fn mounts(text: &[u8]) -> (Vec<Mount>, Vec<&[u8]>) {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut odd = Vec::new();
    for line in lines(text) {
        match parse(line) {
            Some((path, mount)) => {
                mounts.retain(|covered| covered.path != path);
                mounts.extend(mount);
            }
            None if words(line).next().is_some() => odd.push(line),
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
    (distinct, odd)
}

impl Mount {
    fn is_before(&self, other: &Self) -> bool {
        (!self.is_whole, self.path.len()) < (!other.is_whole, other.path.len())
    }
}

/// The mount point of a line, and the mount if its file system can be measured at all.
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
    let is_served = is_fuse || SERVED.contains(&kind);
    let is_stored = device.starts_with(b"/dev/") || DEVICELESS.contains(&kind);
    let is_root_view = kind == b"overlay" && path == b"/";
    let is_measured = !IMAGES.contains(&kind) && (is_served || is_stored || is_root_view);
    let mount = is_measured.then(|| Mount {
        device,
        path: path.clone(),
        is_served,
        id: id.to_vec(),
        is_whole: root == b"/",
    });
    Some((path, mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(text: &str) -> String {
        let (mounts, odd) = mounts(text.as_bytes());
        let mut shown: Vec<_> = mounts
            .iter()
            .map(|mount| {
                let served = if mount.is_served { " (served)" } else { "" };
                let device = String::from_utf8_lossy(&mount.device);
                format!("{device} at {}{served}", String::from_utf8_lossy(&mount.path))
            })
            .collect();
        shown.extend(
            odd.iter()
                .map(|line| format!("odd: {}", String::from_utf8_lossy(line))),
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
    fn what_another_machine_or_program_serves_is_told_apart() {
        insta::assert_snapshot!(measured(
            "40 27 0:50 / /home rw - nfs4 filer:/home rw\n\
             41 27 0:51 / /mnt/s rw - fuse.sshfs me@there:/ rw\n\
             42 27 0:52 / /mnt/c rw - cifs //filer/share rw\n"
        ), @r"
        filer:/home at /home (served)
        me@there:/ at /mnt/s (served)
        //filer/share at /mnt/c (served)
        ");
    }

    #[test]
    fn a_file_system_mounted_often_is_measured_once() {
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
    fn what_another_mount_covers_cannot_be_measured() {
        insta::assert_snapshot!(measured(
            "60 1 254:0 / /mnt rw - ext4 /dev/vda rw\n\
             61 60 0:70 / /mnt rw - tmpfs tmpfs rw\n"
        ), @"");
    }

    #[test]
    fn odd_lines_cost_themselves_alone() {
        insta::assert_snapshot!(measured(
            "garbage\n\
             70 1 254:0 / /a\\040b rw - ext4 /dev/mapper/my\\040disk rw\n\
             71 1 254:0 / /cut rw - ext4\n\
             72 1 x / /y rw - ext4 /dev/vdc rw\n\n"
        ), @r"
        /dev/mapper/my disk at /a b
        odd: garbage
        odd: 71 1 254:0 / /cut rw - ext4
        odd: 72 1 x / /y rw - ext4 /dev/vdc rw
        ");
    }
}
