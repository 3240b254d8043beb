//! The two text formats of metrics, and the choice by the `Accept` header.

use std::fmt::{self, Write};

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Returns the format for an `Accept` header: OpenMetrics if the header names it and does not prefer plain text.
    pub(crate) fn accepted(header: &str) -> Self {
        let mut open = 0.0;
        let mut plain = 0.0;
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            let best = if kind.eq_ignore_ascii_case("application/openmetrics-text") {
                &mut open
            } else if kind.eq_ignore_ascii_case("text/plain") {
                &mut plain
            } else {
                continue;
            };
            *best = f64::max(*best, weight);
        }
        if open > 0.0 && open >= plain {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Returns the value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Encodes all metrics of a registry.
    pub(crate) fn encode(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, registry)?;
        match self {
            Self::OpenMetrics => Ok(out),
            Self::Text => older(&out),
        }
    }
}

/// Converts OpenMetrics to text format 0.0.4, in which `# HELP` and `# TYPE` name the series of counters and infos, infos are
/// gauges, and `# UNIT` and `# EOF` do not exist.
fn older(open: &str) -> Result<String, fmt::Error> {
    let mut out = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|described| described.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                writeln!(out, "# HELP {name}{suffix} {help}")?;
            }
            writeln!(out, "# TYPE {name}{suffix} {kind}")?;
        } else if !line.starts_with('#') {
            writeln!(out, "{line}")?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_selects_the_format() {
        // The header of Prometheus 2.50.
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(
            Format::accepted("application/openmetrics-text; version=1.0.0"),
            Format::OpenMetrics
        );
        for plain in [
            "",
            "*/*",
            "text/html,*/*;q=0.8",
            "text/plain,application/openmetrics-text;q=0.1",
            "application/openmetrics-text;q=0",
        ] {
            assert_eq!(Format::accepted(plain), Format::Text, "{plain}");
        }
    }
}
