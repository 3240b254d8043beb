//! Sources, tasks, schedule, cycles: the engine.
