//! The program `nephoscope`.
