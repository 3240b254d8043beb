//! Writes that happen together, if conditions hold.

use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::entry::Entry;
use super::numbers::{LeaseId, Revision};

/// Writes that happen together if all conditions hold, and reads that are made in the same moment, whether they hold or not.
///
/// A transaction that got no answer is never tried again here: whether it has happened is for the caller to find out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// Done if they do.
    pub writes: Vec<Write>,
    /// What the keys hold before: answered only if the conditions do not hold.
    pub otherwise: Vec<Read>,
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is no such key.
    Absent(Vec<u8>),
    /// The key was last written at this revision.
    ModifiedAt(Vec<u8>, Revision),
    /// The key was created at this revision: it is still the same one, whatever was written since.
    CreatedAt(Vec<u8>, Revision),
    /// The key holds this.
    Holds(Vec<u8>, Vec<u8>),
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A value, on a lease if there is one.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// The lease.
        lease: Option<LeaseId>,
    },
    /// The key is deleted if it is there.
    Delete(Vec<u8>),
}

/// A key that is read if the conditions do not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read(pub Vec<u8>);

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The conditions held and the writes were made, at the revision of the answer.
    Done,
    /// They did not hold: what [`Transaction::otherwise`] read, in its order.
    Refused(Vec<Option<Entry>>),
}

impl From<Transaction> for Txn {
    fn from(transaction: Transaction) -> Self {
        let compare = |condition| match condition {
            Condition::Absent(key) => Compare::create_revision(key, CompareOp::Equal, 0),
            Condition::ModifiedAt(key, revision) => Compare::mod_revision(key, CompareOp::Equal, revision),
            Condition::CreatedAt(key, revision) => Compare::create_revision(key, CompareOp::Equal, revision),
            Condition::Holds(key, value) => Compare::value(key, CompareOp::Equal, value),
        };
        let write = |write| match write {
            Write::Put { key, value, lease } => {
                let options = lease.map(|lease| PutOptions::new().with_lease(lease.0));
                TxnOp::put(key, value, options)
            }
            Write::Delete(key) => TxnOp::delete(key, None),
        };
        let read = |Read(key)| TxnOp::get(key, Some(GetOptions::new()));
        Self::new()
            .when(
                transaction
                    .conditions
                    .into_iter()
                    .map(compare)
                    .collect::<Vec<_>>(),
            )
            .and_then(transaction.writes.into_iter().map(write).collect::<Vec<_>>())
            .or_else(transaction.otherwise.into_iter().map(read).collect::<Vec<_>>())
    }
}

impl From<&TxnResponse> for Outcome {
    fn from(response: &TxnResponse) -> Self {
        if response.succeeded() {
            return Self::Done;
        }
        let reads = response
            .op_responses()
            .into_iter()
            .filter_map(|operation| match operation {
                TxnOpResponse::Get(mut read) => Some(read.take_kvs().into_iter().next().map(Entry::from)),
                TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
            });
        Self::Refused(reads.collect())
    }
}
