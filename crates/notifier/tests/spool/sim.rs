//! A file system in memory that keeps synced writes, and any part of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use nephoscope_notifier::spool::{Disk, DiskFile, ReadAt};
use parking_lot::Mutex;

/// A random number generator with a seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }
}

type Id = u64;

/// An unsynced change of a file.
#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    changes: Vec<Change>,
    now: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    inodes: BTreeMap<Id, Inode>,
    durable_names: BTreeMap<String, Id>,
    /// The targets of a name since the last sync of the names, in order.
    history: BTreeMap<String, Vec<Option<Id>>>,
    names: BTreeMap<String, Id>,
    next: Id,
    /// How often each file is open: a removed file occupies space until it is closed.
    open: BTreeMap<Id, usize>,
    capacity: Option<u64>,
    /// Operations until the process crashes.
    operations_left: Option<u64>,
    partial_write: Option<Random>,
    fail_syncs: bool,
}

/// The file system. All clones share one state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sim(Arc<Mutex<State>>);

/// An open file.
#[derive(Debug)]
pub(crate) struct SimFile {
    sim: Sim,
    id: Id,
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, data) => {
            let offset = usize::try_from(*offset).unwrap();
            if bytes.len() < offset + data.len() {
                bytes.resize(offset + data.len(), 0);
            }
            bytes[offset..offset + data.len()].copy_from_slice(data);
        }
        Change::Length(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
    }
}

impl State {
    /// Counts an operation; returns true for the last one, which may be incomplete.
    fn operate(&mut self) -> io::Result<bool> {
        match &mut self.operations_left {
            None => Ok(false),
            Some(0) => Err(dead()),
            Some(left) => {
                *left -= 1;
                Ok(*left == 0)
            }
        }
    }

    fn set_name(&mut self, name: &str, id: Option<Id>) {
        let before = self.durable_names.get(name).copied();
        self.history
            .entry(name.to_owned())
            .or_insert_with(|| vec![before])
            .push(id);
        match id {
            Some(id) => self.names.insert(name.to_owned(), id),
            None => self.names.remove(name),
        };
    }

    fn used(&self) -> u64 {
        let ids: BTreeSet<&Id> = self.names.values().chain(self.open.keys()).collect();
        let files = ids.into_iter().filter_map(|id| self.inodes.get(id));
        files.map(|inode| inode.now.len() as u64).sum()
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.sim.0.lock();
        if let Some(times) = state.open.get_mut(&self.id) {
            *times -= 1;
            if *times == 0 {
                state.open.remove(&self.id);
            }
        }
    }
}

impl Sim {
    fn file(&self, state: &mut State, id: Id) -> Box<dyn DiskFile> {
        *state.open.entry(id).or_default() += 1;
        Box::new(SimFile {
            sim: self.clone(),
            id,
        })
    }

    /// Crashes the process in the `operations`-th operation from now, which may be incomplete.
    pub(crate) fn die_after(&self, operations: u64, seed: u64) {
        let mut state = self.0.lock();
        state.operations_left = Some(operations);
        state.partial_write = Some(Random(seed));
    }

    /// Limits the total size of the files.
    pub(crate) fn set_capacity(&self, capacity: Option<u64>) {
        self.0.lock().capacity = capacity;
    }

    pub(crate) fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// Makes syncs fail and discard the unsynced writes.
    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.0.lock().fail_syncs = fail;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().operations_left == Some(0)
    }

    /// The state after a crash of the process.
    pub(crate) fn after_kill(&self) -> Sim {
        let state = self.0.lock();
        Sim(Arc::new(Mutex::new(State {
            inodes: state.inodes.clone(),
            durable_names: state.durable_names.clone(),
            history: state.history.clone(),
            names: state.names.clone(),
            next: state.next,
            capacity: state.capacity,
            ..State::default()
        })))
    }

    /// The state after a power failure: any part of the unsynced writes, in sectors.
    pub(crate) fn after_power_failure(&self, seed: u64) -> Sim {
        const SECTOR: usize = 512;
        let mut random = Random(seed);
        let state = self.0.lock();
        let mut names = state.durable_names.clone();
        for (name, history) in &state.history {
            let choice = usize::try_from(random.below(history.len() as u64)).unwrap();
            match history[choice] {
                Some(id) => names.insert(name.clone(), id),
                None => names.remove(name),
            };
        }
        let mut inodes = BTreeMap::new();
        for id in names.values() {
            let inode = state.inodes[id].clone();
            let mut bytes = inode.durable;
            // All, none or some of the changes.
            let selection = random.below(4);
            for change in &inode.changes {
                match change {
                    Change::Length(_) if selection == 0 => {}
                    Change::Length(_) => {
                        if selection == 1 || random.coin() {
                            apply(&mut bytes, change);
                        }
                    }
                    Change::Write(offset, data) => {
                        let mut from = 0;
                        while from < data.len() {
                            let at = usize::try_from(*offset).unwrap() + from;
                            let to = data.len().min(from + SECTOR - at % SECTOR);
                            if selection == 1 || (selection > 1 && random.coin()) {
                                apply(&mut bytes, &Change::Write(at as u64, data[from..to].to_vec()));
                            } else if selection == 3 && random.coin() && bytes.len() < at + to - from {
                                // The length is durable, the bytes are not.
                                bytes.resize(at + to - from, 0);
                            }
                            from = to;
                        }
                    }
                }
            }
            inodes.insert(
                *id,
                Inode {
                    now: bytes.clone(),
                    durable: bytes,
                    changes: Vec::new(),
                },
            );
        }
        Sim(Arc::new(Mutex::new(State {
            inodes,
            durable_names: names.clone(),
            names,
            next: state.next,
            capacity: state.capacity,
            ..State::default()
        })))
    }

    /// Creates a file with these bytes.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        drop(self.create(name));
        self.corrupt(name, |there| *there = bytes);
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        state.inodes[&state.names[name]].now.clone()
    }

    /// Changes the bytes of a file directly.
    pub(crate) fn corrupt(&self, name: &str, with: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let id = state.names[name];
        let inode = state.inodes.get_mut(&id).unwrap();
        with(&mut inode.now);
        inode.durable = inode.now.clone();
        inode.changes.clear();
    }

    /// The names of segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<String> {
        let state = self.0.lock();
        let names = state.names.keys().filter(|name| name.ends_with(".spool"));
        names.cloned().collect()
    }
}

impl Disk for Sim {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut state = self.0.lock();
        state.operate()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.operate()?;
        let id = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(&mut state, id))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.operate()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = state.next;
        state.next += 1;
        state.inodes.insert(id, Inode::default());
        state.set_name(name, Some(id));
        Ok(self.file(&mut state, id))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        let id = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.set_name(to, Some(id));
        state.set_name(from, None);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.set_name(name, None);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.operate()? {
            return Err(dead());
        }
        if state.fail_syncs {
            return Err(io::Error::other("cannot sync"));
        }
        state.durable_names = state.names.clone();
        state.history.clear();
        Ok(())
    }
}

impl ReadAt for SimFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.sim.0.lock();
        state.operate()?;
        let now = &state.inodes[&self.id].now;
        let rest = now.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        let mut state = self.sim.0.lock();
        state.operate()?;
        Ok(state.inodes[&self.id].now.len() as u64)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.sim.0.lock();
        let last = state.operate()?;
        let mut count = bytes.len();
        if last {
            let partial = state
                .partial_write
                .as_mut()
                .map_or(0, |random| random.below(bytes.len() as u64 + 1));
            count = usize::try_from(partial).unwrap();
        }
        let length = state.inodes[&self.id].now.len() as u64;
        if let Some(capacity) = state.capacity {
            let growth = (offset + count as u64).saturating_sub(length);
            let free = capacity.saturating_sub(state.used());
            count -= usize::try_from(growth.saturating_sub(free)).unwrap().min(count);
            if count == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let change = Change::Write(offset, bytes[..count].to_vec());
        let inode = state.inodes.get_mut(&self.id).unwrap();
        apply(&mut inode.now, &change);
        inode.changes.push(change);
        if last { Err(dead()) } else { Ok(count) }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.sim.0.lock();
        state.operate()?;
        let inode = state.inodes.get_mut(&self.id).unwrap();
        let change = Change::Length(length);
        apply(&mut inode.now, &change);
        inode.changes.push(change);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.sim.0.lock();
        if state.operate()? {
            return Err(dead());
        }
        let fail = state.fail_syncs;
        let inode = state.inodes.get_mut(&self.id).unwrap();
        if fail {
            return Err(io::Error::other("cannot sync"));
        }
        inode.durable = inode.now.clone();
        inode.changes.clear();
        Ok(())
    }
}
