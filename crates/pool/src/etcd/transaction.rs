//! Transactions: writes that are executed together if conditions hold.

use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::entry::Entry;
use super::numbers::{LeaseId, Revision};

/// Writes that are executed together if all conditions hold, and reads otherwise.
///
/// A transaction without an answer is not retried here: the caller finds out whether it was executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Conditions; all must hold.
    pub conditions: Vec<Condition>,
    /// Writes that are executed if the conditions hold.
    pub writes: Vec<Write>,
    /// Reads that are executed if they do not hold.
    pub otherwise: Vec<Read>,
}

/// A condition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The key does not exist.
    Absent(Vec<u8>),
    /// The key was last written at this revision.
    ModifiedAt(Vec<u8>, Revision),
    /// The key was created at this revision; later writes do not matter.
    CreatedAt(Vec<u8>, Revision),
    /// The key has this value.
    Holds(Vec<u8>, Vec<u8>),
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Writes a value, optionally with a lease.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// The lease.
        lease: Option<LeaseId>,
    },
    /// Deletes the key if it exists.
    Delete(Vec<u8>),
}

/// A key that is read if the conditions do not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read(pub Vec<u8>);

/// The outcome of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The conditions held and the writes were executed, at the revision of the answer.
    Done,
    /// The conditions did not hold; contains the results of [`Transaction::otherwise`] in its order.
    Rejected(Vec<Option<Entry>>),
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
        Self::Rejected(reads.collect())
    }
}
