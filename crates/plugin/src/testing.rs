//! Runs a plugin without an agent.
