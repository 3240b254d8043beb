//! A cloud that agents share: how many requests it gets, beside ceilometer's, and what it costs the agents.

mod budgets;
mod peer;
mod pool;
mod single;

pub(crate) use budgets::run;
