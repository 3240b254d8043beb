//! Disks of any kind behind one type, so that whoever has a spool need not say on what.

use std::io;

use super::disk::{Disk, DiskFile, ReadAt};

/// Any [`Disk`].
pub struct BoxDisk(Box<dyn Disk<File = BoxFile>>);

/// A file of a [`BoxDisk`].
pub struct BoxFile(Box<dyn DiskFile>);

impl BoxDisk {
    /// Hides what kind of disk it is.
    pub fn new(disk: impl Disk) -> Self {
        Self(Box::new(Erased(disk)))
    }
}

struct Erased<D>(D);

impl<D: Disk> Disk for Erased<D> {
    type File = BoxFile;

    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    fn open(&self, name: &str) -> io::Result<BoxFile> {
        Ok(BoxFile(Box::new(self.0.open(name)?)))
    }

    fn create(&self, name: &str) -> io::Result<BoxFile> {
        Ok(BoxFile(Box::new(self.0.create(name)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Disk for BoxDisk {
    type File = BoxFile;

    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    fn open(&self, name: &str) -> io::Result<BoxFile> {
        self.0.open(name)
    }

    fn create(&self, name: &str) -> io::Result<BoxFile> {
        self.0.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl ReadAt for BoxFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }
}

impl DiskFile for BoxFile {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}
