//! A cloud that agents share: the number of its requests, compared with ceilometer's, and the cost for the agents.

mod budgets;
mod peer;
mod pool;
mod single;

pub(crate) use budgets::run;
