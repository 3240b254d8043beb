//! The publishers stdout:, file:// and discard:.
//!
//! Each publisher writes on its own thread, so that a hung file system or a slow reader delays neither the agent nor another
//! publisher.

mod discard;
mod file;
mod stdout;
mod text;
mod url;
mod writer;
