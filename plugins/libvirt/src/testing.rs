//! Replacements of a hypervisor for tests, and the states of a domain.

#[cfg(test)]
pub(crate) mod lab;
pub(crate) mod recorded;
#[cfg(test)]
mod states;
