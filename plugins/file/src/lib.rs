//! The publishers stdout:, file:// and discard:.
