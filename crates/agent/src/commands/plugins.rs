//! `nephoscope plugins`: what this program was built with.

use nephoscope_model::MeterDef;
use nephoscope_plugin::Registry;
use serde::Serialize;

use crate::cli::{Format, Printing};
use crate::error::{Exit, ProgramError};
use crate::output::{json_lines, print};
use crate::settings::Origin;
use crate::table::Sheet;

/// A plugin for programs.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Shown {
    Family {
        name: &'static str,
        description: &'static str,
        opt_in: bool,
    },
    Discovery {
        name: &'static str,
        family: &'static str,
        namespaces: &'static [&'static str],
        description: &'static str,
        shared: bool,
        partition: &'static str,
    },
    Pollster {
        name: &'static str,
        family: &'static str,
        namespaces: &'static [&'static str],
        description: &'static str,
        default_discovery: Option<&'static str>,
        meters: Vec<Meter>,
    },
    Publisher {
        schemes: &'static [&'static str],
        description: &'static str,
    },
}

#[derive(Serialize)]
struct Meter {
    name: &'static str,
    published_name: &'static str,
    aliases: &'static [&'static str],
    #[serde(rename = "type")]
    kind: &'static str,
    unit: &'static str,
    description: &'static str,
}

impl From<&MeterDef> for Meter {
    fn from(meter: &MeterDef) -> Self {
        Self {
            name: meter.name,
            published_name: meter.published_name.unwrap_or(meter.name),
            aliases: meter.aliases,
            kind: meter.kind.as_str(),
            unit: meter.unit,
            description: meter.description,
        }
    }
}

/// Lists everything.
pub(crate) fn plugins(origin: &Origin, printing: Printing) -> Result<Exit, ProgramError> {
    match printing.format() {
        Format::Json => print(&json_lines(shown(&origin.registry))?)?,
        Format::Table => print(tables(Sheet::stdout(), &origin.registry).as_bytes())?,
    }
    Ok(Exit::Done)
}

fn shown(registry: &Registry) -> Vec<Shown> {
    let families = registry.families.values().map(|family| Shown::Family {
        name: family.name,
        description: family.description,
        opt_in: family.opt_in,
    });
    let discoveries = registry.discoveries.iter().map(|discovery| Shown::Discovery {
        name: discovery.name,
        family: discovery.family,
        namespaces: discovery.namespaces,
        description: discovery.description,
        shared: discovery.scope == nephoscope_plugin::Scope::Shared,
        partition: discovery.partition.as_str(),
    });
    let pollsters = registry.pollsters.iter().map(|pollster| Shown::Pollster {
        name: pollster.name,
        family: pollster.family,
        namespaces: pollster.namespaces,
        description: pollster.description,
        default_discovery: pollster.default_discovery,
        meters: pollster.meters.iter().map(Meter::from).collect(),
    });
    let publishers = registry.publishers.iter().map(|publisher| Shown::Publisher {
        schemes: publisher.schemes,
        description: publisher.description,
    });
    families
        .chain(discoveries)
        .chain(pollsters)
        .chain(publishers)
        .collect()
}

fn tables(sheet: Sheet, registry: &Registry) -> String {
    let families = registry.families.values().map(|family| {
        let name = if family.opt_in {
            format!("{} (when named)", family.name)
        } else {
            family.name.to_owned()
        };
        vec![name, family.description.to_owned()]
    });
    let discoveries = registry.discoveries.iter().map(|discovery| {
        vec![
            discovery.name.to_owned(),
            discovery.namespaces.join(", "),
            discovery.description.to_owned(),
        ]
    });
    let meters = registry.pollsters.iter().flat_map(|pollster| {
        pollster.meters.iter().map(|meter| {
            vec![
                meter.name.to_owned(),
                meter.kind.to_string(),
                meter.unit.to_owned(),
                pollster.name.to_owned(),
                pollster.namespaces.join(", "),
                pollster.default_discovery.unwrap_or_default().to_owned(),
                meter.description.to_owned(),
            ]
        })
    });
    let publishers = registry.publishers.iter().map(|publisher| {
        let urls: Vec<String> = publisher
            .schemes
            .iter()
            .map(|scheme| format!("{scheme}:"))
            .collect();
        vec![urls.join(", "), publisher.description.to_owned()]
    });
    [
        sheet.table(&["family", "description"], families),
        sheet.table(&["discovery", "namespaces", "description"], discoveries),
        sheet.table(
            &[
                "meter",
                "type",
                "unit",
                "pollster",
                "namespaces",
                "discovery",
                "description",
            ],
            meters,
        ),
        sheet.table(&["publisher", "description"], publishers),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use nephoscope_plugin::{Family, PollsterPlugin};

    use super::*;

    static FAMILY: Family = Family {
        name: "weather",
        description: "The weather outside",
        opt_in: true,
        options: None,
    };
    static POLLSTER: PollsterPlugin = PollsterPlugin {
        name: "weather.air",
        family: "weather",
        namespaces: &["outside"],
        description: "The air",
        meters: &[MeterDef::gauge("air.temperature", "C", "How warm it is").published_as("temperature")],
        default_discovery: Some("stations"),
        endpoint: None,
        calls: &[],
        build: |_| {
            Err(nephoscope_plugin::BuildError::Unavailable(
                "never built".to_owned(),
            ))
        },
    };

    fn registry() -> Registry {
        let mut registry = Registry::default();
        registry.families.insert(FAMILY.name, &FAMILY);
        registry.pollsters.push(&POLLSTER);
        registry
    }

    #[test]
    fn everything_is_listed_for_people_and_for_programs() {
        insta::assert_snapshot!(tables(Sheet::endless(), &registry()), @r"
        FAMILY                DESCRIPTION
        weather (when named)  The weather outside

        DISCOVERY  NAMESPACES  DESCRIPTION

        METER            TYPE   UNIT  POLLSTER     NAMESPACES  DISCOVERY  DESCRIPTION
        air.temperature  gauge  C     weather.air  outside     stations   How warm it is

        PUBLISHER  DESCRIPTION
        ");
        let lines = String::from_utf8(json_lines(shown(&registry())).unwrap()).unwrap();
        insta::assert_snapshot!(lines, @r#"
        {"kind":"family","name":"weather","description":"The weather outside","opt_in":true}
        {"kind":"pollster","name":"weather.air","family":"weather","namespaces":["outside"],"description":"The air","default_discovery":"stations","meters":[{"name":"air.temperature","published_name":"temperature","aliases":[],"type":"gauge","unit":"C","description":"How warm it is"}]}
        "#);
    }
}
