//! Faults: what hangs, dies and changes costs itself alone.
