//! The store: what etcd can do, as the protocol of the pool needs it.
//!
//! A [`Store`] has one client for each endpoint and goes to another endpoint by itself, since etcd-client's own balancer
//! goes on asking members that are dead (measured with 0.21: more than half of all requests fail with one of three alive).
//! Every call has a deadline. Nothing is opened before the first call.
//!
//! What comes from etcd is untrusted: anyone with access to the prefix can write there. So what is read has bounds
//! ([`MAX_READ_BYTES`], [`MAX_READ_KEYS`]), and what it says is for others to judge.

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
pub use follow::{Follow, MAX_WAITING_NEWS, News};
pub use health::Health;
pub use lease::{Beat, Heart};
pub use numbers::{LeaseId, Revision};
pub use options::{Identity, StoreOptions, TlsFiles, User};
pub use store::{Answer, MAX_READ_BYTES, MAX_READ_KEYS, Store};
pub use transaction::{Condition, Outcome, Read, Transaction, Write};
