//! Plugins of a third party, which use only the stable interface of the repository.

mod sensors;
mod tally;
