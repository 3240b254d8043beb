//! End-to-end tests against the real program and real servers.
