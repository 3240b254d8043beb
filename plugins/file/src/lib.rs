//! The publishers stdout:, file:// and discard:.
//!
//! Writes happen on one thread of each publisher's own, so that a hung file system or a reader that does
//! not read holds up neither the agent nor another publisher.

mod discard;
mod file;
mod stdout;
mod text;
mod url;
mod writer;
