//! The store: the operations of etcd that the pool's protocol needs.
//!
//! A [`Store`] has one client for each endpoint and fails over itself, because etcd-client's own balancer keeps sending
//! requests to dead members (measured with 0.21: more than half of all requests fail with one of three members alive).
//! Every call has a deadline. No connection is opened before the first call.
//!
//! Data in etcd is untrusted: anyone with access to the prefix can write there. Reads are therefore bounded
//! ([`MAX_READ_BYTES`], [`MAX_READ_KEYS`]), and callers validate the content.

mod endpoint;
mod entry;
mod error;
mod follow;
mod health;
mod history;
mod lease;
mod numbers;
mod options;
mod store;
mod tls;
mod transaction;

pub use entry::{Change, Entry, Snapshot};
pub use error::StoreError;
pub use follow::{Follow, FollowEvent, MAX_QUEUED_EVENTS};
pub use health::Health;
pub use lease::{LeaseKeepAlive, Renewal};
pub use numbers::{LeaseId, Revision};
pub use options::{Identity, StoreOptions, TlsFiles, User};
pub use store::{Answer, MAX_READ_BYTES, MAX_READ_KEYS, Store};
pub use transaction::{Condition, Outcome, Read, Transaction, Write};
