//! The value of a sample.

use serde::ser::{Serialize, Serializer};

/// A sample's value. Integers and floating-point numbers are distinguished, since signatures depend on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Volume {
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A floating-point number.
    Float(f64),
}

impl Volume {
    /// Whether it has a JSON form: infinities and not-a-number have none.
    pub fn is_finite(self) -> bool {
        match self {
            Volume::Int(_) | Volume::Uint(_) => true,
            Volume::Float(float) => float.is_finite(),
        }
    }

    /// The nearest floating-point number.
    pub fn as_f64(self) -> f64 {
        match self {
            Volume::Int(int) => int as f64,
            Volume::Uint(uint) => uint as f64,
            Volume::Float(float) => float,
        }
    }
}

impl std::fmt::Display for Volume {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Volume::Int(int) => int.fmt(out),
            Volume::Uint(uint) => uint.fmt(out),
            Volume::Float(float) => float.fmt(out),
        }
    }
}

impl Serialize for Volume {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Volume::Int(int) => serializer.serialize_i64(*int),
            Volume::Uint(uint) => serializer.serialize_u64(*uint),
            Volume::Float(float) => serializer.serialize_f64(*float),
        }
    }
}

impl From<i64> for Volume {
    fn from(value: i64) -> Self {
        Volume::Int(value)
    }
}

impl From<i32> for Volume {
    fn from(value: i32) -> Self {
        Volume::Int(value.into())
    }
}

impl From<u32> for Volume {
    fn from(value: u32) -> Self {
        Volume::Int(value.into())
    }
}

impl From<u64> for Volume {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Volume::Uint(value), Volume::Int)
    }
}

impl From<f64> for Volume {
    fn from(value: f64) -> Self {
        Volume::Float(value)
    }
}
