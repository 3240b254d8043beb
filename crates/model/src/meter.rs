//! Named quantities with a type and a unit.

use std::borrow::Cow;
use std::fmt;

/// The relation of a meter's values over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MeterKind {
    /// The value at an instant.
    Gauge,
    /// The change since the previous sample.
    Delta,
    /// A counter that only grows until it is reset.
    Cumulative,
}

impl MeterKind {
    /// The name in ceilometer's messages: `gauge`, `delta`, `cumulative`.
    pub fn as_str(self) -> &'static str {
        match self {
            MeterKind::Gauge => "gauge",
            MeterKind::Delta => "delta",
            MeterKind::Cumulative => "cumulative",
        }
    }
}

impl fmt::Display for MeterKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The definition of a meter in a plugin's static table.
///
/// ```
/// use nephoscope_model::MeterDef;
///
/// const UPTIME: MeterDef = MeterDef::cumulative("uptime", "s", "Seconds since the machine started");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeterDef {
    /// The name that `meters:` matches.
    pub name: &'static str,
    /// The name under which samples are published, if it differs
    /// (ceilometer's `radosgw.usage` publishes `radosgw.api.request`).
    pub published_name: Option<&'static str>,
    /// Further names that `meters:` matches.
    pub aliases: &'static [&'static str],
    /// The meter's type.
    pub kind: MeterKind,
    /// The unit of its values.
    pub unit: &'static str,
    /// One sentence for the reference.
    pub description: &'static str,
}

impl MeterDef {
    /// Creates a meter of this type.
    pub const fn new(
        kind: MeterKind,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            published_name: None,
            aliases: &[],
            kind,
            unit,
            description,
        }
    }

    /// Creates a meter of type gauge.
    pub const fn gauge(name: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self::new(MeterKind::Gauge, name, unit, description)
    }

    /// Creates a meter of type delta.
    pub const fn delta(name: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self::new(MeterKind::Delta, name, unit, description)
    }

    /// Creates a meter of type cumulative.
    pub const fn cumulative(name: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self::new(MeterKind::Cumulative, name, unit, description)
    }

    /// Sets the name under which samples are published.
    #[must_use]
    pub const fn published_as(mut self, name: &'static str) -> Self {
        self.published_name = Some(name);
        self
    }

    /// Adds further names that `meters:` matches.
    #[must_use]
    pub const fn with_aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }
}

/// A meter of samples, from a static table or from a definition in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meter {
    /// The name that `meters:` matches; part of the identity of samples.
    pub name: Cow<'static, str>,
    /// The name under which samples are published (`counter_name`).
    pub published_name: Cow<'static, str>,
    /// Further names that `meters:` matches.
    pub aliases: Vec<Cow<'static, str>>,
    /// The meter's type (`counter_type`).
    pub kind: MeterKind,
    /// The unit of its values (`counter_unit`).
    pub unit: Cow<'static, str>,
    /// A description of one sentence.
    pub description: Cow<'static, str>,
}

impl Meter {
    /// Creates a meter that is published under its name.
    pub fn new(
        kind: MeterKind,
        name: impl Into<Cow<'static, str>>,
        unit: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        let name = name.into();
        Self {
            published_name: name.clone(),
            name,
            aliases: Vec::new(),
            kind,
            unit: unit.into(),
            description: description.into(),
        }
    }

    /// Sets the name under which samples are published.
    #[must_use]
    pub fn published_as(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.published_name = name.into();
        self
    }

    /// Adds further names that `meters:` matches.
    #[must_use]
    pub fn with_aliases<T: Into<Cow<'static, str>>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.aliases = names.into_iter().map(Into::into).collect();
        self
    }
}

impl From<&MeterDef> for Meter {
    fn from(def: &MeterDef) -> Self {
        Self::new(def.kind, def.name, def.unit, def.description)
            .published_as(def.published_name.unwrap_or(def.name))
            .with_aliases(def.aliases.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_may_be_published_under_another_name() {
        const USAGE: MeterDef =
            MeterDef::gauge("radosgw.usage", "request", "Requests").published_as("radosgw.api.request");
        let meter = Meter::from(&USAGE);
        assert_eq!(
            (&*meter.name, &*meter.published_name),
            ("radosgw.usage", "radosgw.api.request")
        );
    }
}
