//! A hypervisor with recorded answers, for tests on machines without libvirt: `recorded:///FOLDER`.
//!
//! The folder contains a folder per domain with `identity.txt` (UUID and, if the domain is active, id), `domstats.txt`
//! (output of `virsh domstats`) and `domain.xml`.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::groups::Groups;
use crate::identity;
use crate::session::{Error, Session};
use crate::stats::{DomainStats, Value};

/// The prefix of URIs of recorded answers.
pub(crate) const SCHEME: &str = "recorded://";

/// A folder of recorded answers.
pub(crate) struct Recorded(PathBuf);

impl Recorded {
    pub(crate) fn open(uri: &str) -> Result<Self, Error> {
        let folder = uri.strip_prefix(SCHEME).unwrap_or(uri);
        Ok(Self(folder.into()))
    }

    fn domains(&self) -> Result<Vec<(PathBuf, DomainStats)>, Error> {
        let mut domains = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            let folder = entry.map_err(failed)?.path();
            if folder.is_dir() {
                let stats = identity(&folder)?;
                domains.push((folder, stats));
            }
        }
        Ok(domains)
    }
}

impl Session for Recorded {
    fn stats(&mut self, groups: Groups, _: bool) -> Result<Vec<DomainStats>, Error> {
        let mut all = Vec::new();
        for (folder, mut stats) in self.domains()? {
            let text = fs::read_to_string(folder.join("domstats.txt")).map_err(failed)?;
            read(&text, groups, &mut stats);
            all.push(stats);
        }
        Ok(all)
    }

    fn definition(&mut self, uuid: &Uuid) -> Result<String, Error> {
        let domains = self.domains()?;
        let found = domains.into_iter().find(|(_, stats)| stats.uuid == *uuid);
        let (folder, _) = found.ok_or_else(|| Error::new("the domain is not recorded"))?;
        fs::read_to_string(folder.join("domain.xml")).map_err(failed)
    }
}

/// Parses the output of `virsh domstats`, limited to these groups.
pub(crate) fn read(text: &str, groups: Groups, stats: &mut DomainStats) {
    for line in text.lines() {
        let Some((name, value)) = line.trim().split_once('=') else {
            continue;
        };
        let group = match name.split('.').next() {
            Some("cpu") => Groups::CPU,
            Some("balloon") => Groups::BALLOON,
            Some("vcpu") => Groups::VCPU,
            Some("net") => Groups::INTERFACE,
            Some("block") => Groups::BLOCK,
            Some("perf") => Groups::PERF,
            _ => Groups::STATE,
        };
        if groups.contains(group) {
            stats.set(name, value.parse().map_or(Value::Text(value), Value::Unsigned));
        }
    }
}

fn identity(folder: &Path) -> Result<DomainStats, Error> {
    let text = fs::read_to_string(folder.join("identity.txt")).map_err(failed)?;
    let mut words = text.split_whitespace();
    let uuid = words.next().and_then(identity::uuid);
    let name = folder.file_name().and_then(|name| name.to_str());
    let (Some(uuid), Some(name)) = (uuid, name) else {
        return Err(Error::new(format!(
            "{}: identity.txt contains no UUID",
            folder.display()
        )));
    };
    let id = words.next().and_then(|id| id.parse().ok());
    Ok(DomainStats::new(uuid, name.to_owned(), id))
}

fn failed(error: std::io::Error) -> Error {
    Error::new(error.to_string())
}
