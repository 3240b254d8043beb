//! What tests put in the place of a hypervisor, and the states that a domain can be found in.

#[cfg(test)]
pub(crate) mod lab;
pub(crate) mod recorded;
#[cfg(test)]
mod states;
