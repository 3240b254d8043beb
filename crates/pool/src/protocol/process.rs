//! The membership file of a process for the next process of the same agent: `state_dir/member.json`.

use serde::{Deserialize, Serialize};

use super::ids::{AgentId, Incarnation};

/// The maximum size of a file that is read, in bytes.
pub const MAX_FILE: usize = 4_096;

/// The membership of a process, written at its start. The process that holds the lock may revoke it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFile {
    /// `agent.id`.
    pub id: AgentId,
    /// The id of the presence lease.
    pub lease: i64,
    /// The membership.
    pub incarnation: Incarnation,
    /// The id of the etcd cluster: lease ids of another cluster are meaningless.
    pub cluster: u64,
}

/// The error of reading a member file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberFileError {
    /// The file is larger than any valid one.
    #[error("member file exceeds {MAX_FILE} bytes")]
    TooLarge,
    /// The content is not a member file.
    #[error("invalid member file: {0}")]
    Form(String),
    /// A field has an invalid value.
    #[error("invalid member file: `{0}` has an invalid value")]
    Field(&'static str),
}

/// The previous membership of an agent, before it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// None is known: if the id is in use, the agent waits until the key expires.
    Unknown,
    /// The lease of the dead previous process (the lock is free): revoke it and join at once.
    Lease(i64),
}

impl MemberFile {
    /// Encodes the file.
    pub fn encode(&self) -> Vec<u8> {
        let form = Form {
            id: self.id.to_string(),
            lease: self.lease.to_string(),
            incarnation: self.incarnation.to_string(),
            cluster: self.cluster.to_string(),
        };
        // Four strings always serialize.
        serde_json::to_vec(&form).unwrap_or_default()
    }

    /// Decodes a file.
    ///
    /// # Errors
    ///
    /// The content is not a member file; the process then joins without it.
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

    /// Returns whether the membership in this file belongs to a process with this id, at this cluster.
    pub fn predecessor(&self, id: &AgentId, cluster: u64) -> Predecessor {
        if self.id == *id && self.cluster == cluster {
            Predecessor::Lease(self.lease)
        } else {
            Predecessor::Unknown
        }
    }
}

/// 64-bit numbers are stored as strings, because not every JSON parser supports them.
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
    fn a_file_round_trips() {
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
    fn a_corrupt_file_is_an_error() {
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
