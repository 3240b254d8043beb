//! Resources and meters made on demand, to try configurations and to make load.
