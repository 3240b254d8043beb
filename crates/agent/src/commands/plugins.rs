//! `nephoscope plugins`: lists the plugins of this program, and those that the configuration defines.

use std::borrow::Cow;

use nephoscope_config::hide_userinfo;
use nephoscope_plugin::{Catalog, Location};
use serde::Serialize;

use crate::cli::{Format, Printing};
use crate::error::{Exit, ProgramError};
use crate::output::{json_lines, print};
use crate::settings::Origin;
use crate::table::Sheet;

/// A plugin as JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Shown<'a> {
    Family {
        name: &'a str,
        description: &'a str,
        opt_in: bool,
    },
    Discovery {
        name: &'a str,
        family: &'a str,
        namespaces: &'a [Cow<'static, str>],
        description: &'a str,
        shared: bool,
        partition: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        defined_at: Option<String>,
    },
    Pollster {
        name: &'a str,
        family: &'a str,
        namespaces: &'a [Cow<'static, str>],
        description: &'a str,
        default_discovery: Option<String>,
        meters: Vec<Meter<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        defined_at: Option<String>,
    },
    Publisher {
        schemes: &'a [&'static str],
        description: &'a str,
    },
    RejectedDefinition {
        family: &'a str,
        definition: Option<&'a str>,
        defined_at: Option<String>,
        reason: String,
    },
}

#[derive(Serialize)]
struct Meter<'a> {
    name: &'a str,
    published_name: &'a str,
    aliases: &'a [Cow<'static, str>],
    #[serde(rename = "type")]
    kind: &'static str,
    unit: &'a str,
    description: &'a str,
}

impl<'a> From<&'a nephoscope_model::Meter> for Meter<'a> {
    fn from(meter: &'a nephoscope_model::Meter) -> Self {
        Self {
            name: &meter.name,
            published_name: &meter.published_name,
            aliases: &meter.aliases,
            kind: meter.kind.as_str(),
            unit: &meter.unit,
            description: &meter.description,
        }
    }
}

/// Lists all plugins. If the configuration has errors, lists the plugins of the program before reporting them.
pub(crate) fn plugins(origin: &Origin, printing: Printing) -> Result<Exit, ProgramError> {
    let origin = origin.clone().or_built_in(true);
    let settings = origin.load();
    let catalog = settings
        .as_ref()
        .map_or(&origin.catalog, |settings| &settings.catalog);
    match printing.format() {
        Format::Json => print(&json_lines(shown(catalog))?)?,
        Format::Table => print(tables(Sheet::stdout(), catalog).as_bytes())?,
    }
    settings?;
    Ok(Exit::Done)
}

fn shown(catalog: &Catalog) -> Vec<Shown<'_>> {
    let families = catalog.families().map(|family| Shown::Family {
        name: family.name,
        description: family.description,
        opt_in: family.opt_in,
    });
    let discoveries = catalog.discoveries().iter().map(|discovery| Shown::Discovery {
        name: &discovery.name,
        family: discovery.family(),
        namespaces: &discovery.namespaces,
        description: &discovery.description,
        shared: discovery.scope == nephoscope_plugin::Scope::Shared,
        partition: discovery.partition.as_str(),
        defined_at: place(discovery.location.as_ref()),
    });
    let pollsters = catalog.pollsters().iter().map(|pollster| Shown::Pollster {
        name: &pollster.name,
        family: pollster.family(),
        namespaces: &pollster.namespaces,
        description: &pollster.description,
        default_discovery: pollster.default_discovery.as_deref().map(hide_userinfo),
        meters: pollster.meters.iter().map(|meter| (&**meter).into()).collect(),
        defined_at: place(pollster.location.as_ref()),
    });
    let publishers = catalog.publishers().iter().map(|publisher| Shown::Publisher {
        schemes: publisher.schemes,
        description: publisher.description,
    });
    let rejected = catalog
        .rejected_definitions()
        .iter()
        .map(|problem| Shown::RejectedDefinition {
            family: problem.family,
            definition: problem.definition.as_deref(),
            defined_at: place(problem.location()),
            reason: hide_userinfo(&problem.reason()),
        });
    families
        .chain(discoveries)
        .chain(pollsters)
        .chain(publishers)
        .chain(rejected)
        .collect()
}

fn place(location: Option<&Location>) -> Option<String> {
    location.map(ToString::to_string)
}

fn tables(sheet: Sheet, catalog: &Catalog) -> String {
    let families = catalog.families().map(|family| {
        let name = if family.opt_in {
            format!("{} (when named)", family.name)
        } else {
            family.name.to_owned()
        };
        vec![name, family.description.to_owned()]
    });
    let discoveries = catalog.discoveries().iter().map(|discovery| {
        vec![
            discovery.name.to_string(),
            discovery.namespaces.join(", "),
            discovery.description.to_string(),
        ]
    });
    let meters = catalog.pollsters().iter().flat_map(|pollster| {
        pollster.meters.iter().map(|meter| {
            let discovery = pollster.default_discovery.as_deref();
            vec![
                meter.name.to_string(),
                meter.kind.to_string(),
                meter.unit.to_string(),
                pollster.name.to_string(),
                pollster.namespaces.join(", "),
                discovery.map(hide_userinfo).unwrap_or_default(),
                meter.description.to_string(),
            ]
        })
    });
    let publishers = catalog.publishers().iter().map(|publisher| {
        let urls: Vec<String> = publisher
            .schemes
            .iter()
            .map(|scheme| format!("{scheme}:"))
            .collect();
        vec![urls.join(", "), publisher.description.to_owned()]
    });
    let rejected = catalog.rejected_definitions().iter().map(|problem| {
        vec![
            problem.definition.as_deref().unwrap_or_default().to_owned(),
            problem.family.to_owned(),
            place(problem.location()).unwrap_or_default(),
            hide_userinfo(&problem.reason()),
        ]
    });
    let mut tables = vec![
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
    ];
    if !catalog.rejected_definitions().is_empty() {
        tables.push(sheet.table(
            &["rejected definition", "family", "defined at", "reason"],
            rejected,
        ));
    }
    tables.join("\n")
}

#[cfg(test)]
mod tests {
    use nephoscope_model::MeterDef;
    use nephoscope_plugin::{
        BuildError, DefinitionProblem, ExpandRequest, Expansion, Family, PollsterDefinition, PollsterPlugin,
        Registration,
    };

    use super::*;

    const FAMILY: Family = Family::new("weather", "The weather outside").opt_in();
    const AIR: MeterDef =
        MeterDef::gauge("air.temperature", "C", "How warm it is").published_as("temperature");
    const POLLSTER: PollsterPlugin = PollsterPlugin::new("weather.air", "weather", |_| {
        Err(BuildError::Unavailable("never built".to_owned()))
    })
    .namespaces(&["outside"])
    .description("The air")
    .meters(&[AIR])
    .default_discovery("stations");

    fn catalog(family: Family) -> Catalog {
        Catalog::of([Registration::Family(family), Registration::Pollster(POLLSTER)]).unwrap()
    }

    #[test]
    fn plugins_are_listed_as_a_table_and_as_json() {
        insta::assert_snapshot!(tables(Sheet::unbounded(), &catalog(FAMILY)), @r"
        FAMILY                DESCRIPTION
        weather (when named)  The weather outside

        DISCOVERY  NAMESPACES  DESCRIPTION

        METER            TYPE   UNIT  POLLSTER     NAMESPACES  DISCOVERY  DESCRIPTION
        air.temperature  gauge  C     weather.air  outside     stations   How warm it is

        PUBLISHER  DESCRIPTION
        ");
        let lines = String::from_utf8(json_lines(shown(&catalog(FAMILY))).unwrap()).unwrap();
        insta::assert_snapshot!(lines, @r#"
        {"kind":"family","name":"weather","description":"The weather outside","opt_in":true}
        {"kind":"pollster","name":"weather.air","family":"weather","namespaces":["outside"],"description":"The air","default_discovery":"stations","meters":[{"name":"air.temperature","published_name":"temperature","aliases":[],"type":"gauge","unit":"C","description":"How warm it is"}]}
        "#);
    }

    #[test]
    fn definitions_of_a_family_are_listed_and_rejected_ones_have_a_reason() {
        let family = FAMILY.expand(|_| {
            let file = Location::file(std::path::Path::new("/etc/weather.yaml"));
            let mut expansion = Expansion::new();
            expansion.add_pollster(
                PollsterDefinition::new("weather.wind", |_| {
                    Err(BuildError::Unavailable("never built".to_owned()))
                })
                .namespaces(["outside"])
                .description("The wind")
                .meters([nephoscope_model::Meter::new(
                    AIR.kind,
                    "wind.speed",
                    "m/s",
                    "How fast",
                )])
                .default_discovery("http://user:secret@stations")
                .defined_at(file.at(3, 1, 4)),
            );
            let problem = DefinitionProblem::rejected(file.at(9, 3, 4), "it measures nothing");
            expansion.add_problem(problem.definition("weather.fog").attribute("meters"));
            Ok(expansion)
        });
        let options = [("weather".to_owned(), serde_json::Value::Null)].into();
        let catalog = catalog(family).expand(&ExpandRequest::new(&options, &[])).catalog;
        insta::assert_snapshot!(tables(Sheet::unbounded(), &catalog), @r"
        FAMILY                DESCRIPTION
        weather (when named)  The weather outside

        DISCOVERY  NAMESPACES  DESCRIPTION

        METER            TYPE   UNIT  POLLSTER      NAMESPACES  DISCOVERY            DESCRIPTION
        air.temperature  gauge  C     weather.air   outside     stations             How warm it is
        wind.speed       gauge  m/s   weather.wind  outside     http://***@stations  How fast

        PUBLISHER  DESCRIPTION

        REJECTED DEFINITION  FAMILY   DEFINED AT             REASON
        weather.fog          weather  /etc/weather.yaml:9:3  `meters`: it measures nothing
        ");
        let lines = String::from_utf8(json_lines(shown(&catalog)).unwrap()).unwrap();
        insta::assert_snapshot!(lines, @r#"
        {"kind":"family","name":"weather","description":"The weather outside","opt_in":true}
        {"kind":"pollster","name":"weather.air","family":"weather","namespaces":["outside"],"description":"The air","default_discovery":"stations","meters":[{"name":"air.temperature","published_name":"temperature","aliases":[],"type":"gauge","unit":"C","description":"How warm it is"}]}
        {"kind":"pollster","name":"weather.wind","family":"weather","namespaces":["outside"],"description":"The wind","default_discovery":"http://***@stations","meters":[{"name":"wind.speed","published_name":"wind.speed","aliases":[],"type":"gauge","unit":"m/s","description":"How fast"}],"defined_at":"/etc/weather.yaml:3:1"}
        {"kind":"rejected_definition","family":"weather","definition":"weather.fog","defined_at":"/etc/weather.yaml:9:3","reason":"`meters`: it measures nothing"}
        "#);
    }
}
