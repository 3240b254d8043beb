//! Benchmarks: each figure beside its budget.
