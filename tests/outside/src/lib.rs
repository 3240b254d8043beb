//! Plugins of a site of its own, which know nothing of the repository but its stable interface.

mod sensors;
mod tally;
