//! What is measured: resources, meters, samples, batches and the message form; no I/O.
