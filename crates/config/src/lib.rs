//! polling.yaml and its companions: reading, positions, validation, diagnostics.
