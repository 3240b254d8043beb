//! The folder on a real file system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nephoscope_notifier::spool::{Disk, Folder, FolderError, Log};

use crate::reader::{options, record};

#[test]
fn files_are_private() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("spool/publisher");
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut log = Log::open(Box::new(Folder::open(&path).unwrap()), options()).unwrap();
    log.append(record(b"a", 1)).unwrap();
    log.sync().unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut names: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path())))
        .collect();
    names.sort();
    let expected = ["0000000000000001.spool", "cursor", "lock"].map(|name| (name.to_owned(), 0o600));
    assert_eq!(names, expected);
}

#[test]
fn a_second_process_is_rejected_with_the_id_of_the_first() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("spool");
    let first = Folder::open(&path).unwrap();
    let error = Folder::open(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} is in use by process {}", path.display(), std::process::id())
    );
    drop(first);
    Folder::open(&path).unwrap();
}

#[test]
fn links_are_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    fs::create_dir(&target).unwrap();
    let link = outside.path().join("link");
    symlink(&target, &link).unwrap();
    assert!(matches!(
        Folder::open(&link),
        Err(FolderError::Io { what: "open", .. })
    ));
    let path = outside.path().join("spool");
    let folder = Folder::open(&path).unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "s").unwrap();
    symlink(&secret, path.join("cursor")).unwrap();
    assert!(folder.open("cursor").is_err());
    drop(folder);
    fs::remove_file(path.join("lock")).unwrap();
    symlink(&secret, path.join("lock")).unwrap();
    assert!(Folder::open(&path).is_err());
    assert_eq!(fs::read_to_string(&secret).unwrap(), "s");
}

#[test]
fn records_survive_on_a_real_disk() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("spool");
    let mut log = Log::open(Box::new(Folder::open(&path).unwrap()), options()).unwrap();
    for number in 0..100u32 {
        log.append(record(&vec![number as u8; 40_000], number)).unwrap();
    }
    log.sync().unwrap();
    for _ in 0..50 {
        let stored = log.take().unwrap().unwrap();
        log.done(stored.number);
    }
    log.close().unwrap();
    drop(log);
    let mut log = Log::open(Box::new(Folder::open(&path).unwrap()), options()).unwrap();
    assert_eq!(log.status().records, 50);
    assert_eq!(log.status().samples, (50..100).sum::<u64>());
    for number in 50..100u32 {
        let stored = log.take().unwrap().unwrap();
        assert_eq!(
            (stored.samples, stored.payload),
            (number, vec![number as u8; 40_000])
        );
        log.done(stored.number);
    }
    log.close().unwrap();
    assert_eq!(
        fs::read_dir(&path).unwrap().count(),
        2,
        "only cursor and lock remain"
    );
}
