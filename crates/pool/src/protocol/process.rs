//! What a process leaves to the next one of the same agent: `state_dir/member.json`.

use serde::{Deserialize, Serialize};

use super::ids::{AgentId, Incarnation};

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 4_096;

/// The membership of a process, written when it begins. Whoever holds the lock on it may end that membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFile {
    /// `agent.id`.
    pub id: AgentId,
    /// The id of the presence lease.
    pub lease: i64,
    /// The membership.
    pub incarnation: Incarnation,
    /// The id of the etcd cluster: lease ids of another one mean nothing.
    pub cluster: u64,
}

/// Why a member file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberFileError {
    /// It is larger than any that is written.
    #[error("read a member file of more than {MAX_FILE} bytes")]
    TooLarge,
    /// It is no member file.
    #[error("read the member file: {0}")]
    Form(String),
    /// A field has a value that cannot be.
    #[error("read the member file: `{0}` has a value that cannot be")]
    Field(&'static str),
}

/// What a process does before it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// There was none that it knows of: if the id is taken, it waits for the key to go.
    Unknown,
    /// This lease is of its predecessor, which is dead, since the lock is free: revoke it, and join at once.
    Lease(i64),
}

impl MemberFile {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let form = Form {
            id: self.id.to_string(),
            lease: self.lease.to_string(),
            incarnation: self.incarnation.to_string(),
            cluster: self.cluster.to_string(),
        };
        // Four strings are always JSON.
        serde_json::to_vec(&form).unwrap_or_default()
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    ///
    /// If they are no member file; the process joins without it then.
    pub fn decode(bytes: &[u8]) -> Result<Self, MemberFileError> {
        if bytes.len() > MAX_FILE {
            return Err(MemberFileError::TooLarge);
        }
        let form: Form =
            serde_json::from_slice(bytes).map_err(|error| MemberFileError::Form(error.to_string()))?;
        Ok(Self {
            id: AgentId::new(&form.id).ok_or(MemberFileError::Field("id"))?,
            lease: form.lease.parse().map_err(|_| MemberFileError::Field("lease"))?,
            incarnation: Incarnation::parse(&form.incarnation)
                .ok_or(MemberFileError::Field("incarnation"))?,
            cluster: form
                .cluster
                .parse()
                .map_err(|_| MemberFileError::Field("cluster"))?,
        })
    }

    /// What the membership in this file is to a process with this id, at this cluster.
    pub fn predecessor(&self, id: &AgentId, cluster: u64) -> Predecessor {
        if self.id == *id && self.cluster == cluster {
            Predecessor::Lease(self.lease)
        } else {
            Predecessor::Unknown
        }
    }
}

/// Numbers of 64 bits stand as texts: JSON has no such numbers everywhere.
#[derive(Serialize, Deserialize)]
struct Form {
    id: String,
    lease: String,
    incarnation: String,
    cluster: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> MemberFile {
        MemberFile {
            id: AgentId::new("node-1").unwrap(),
            lease: i64::MIN,
            incarnation: Incarnation(7),
            cluster: u64::MAX,
        }
    }

    #[test]
    fn a_file_reads_as_it_was_written() {
        assert_eq!(MemberFile::decode(&file().encode()), Ok(file()));
    }

    #[test]
    fn only_the_lease_of_this_agent_at_this_cluster_is_revoked() {
        let (id, other) = (AgentId::new("node-1").unwrap(), AgentId::new("node-2").unwrap());
        assert_eq!(file().predecessor(&id, u64::MAX), Predecessor::Lease(i64::MIN));
        assert_eq!(file().predecessor(&other, u64::MAX), Predecessor::Unknown);
        assert_eq!(file().predecessor(&id, 1), Predecessor::Unknown);
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = file().encode();
        for end in 0..bytes.len() {
            assert!(MemberFile::decode(&bytes[..end]).is_err());
        }
        assert_eq!(
            MemberFile::decode(&vec![b' '; MAX_FILE + 1]),
            Err(MemberFileError::TooLarge)
        );
    }
}
