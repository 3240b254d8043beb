//! The family `sensors`: a pollster for each line `NAME UNIT VALUE` of its files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephoscope_plugin::model::{Meter, MeterKind, Resource, Subject};
use nephoscope_plugin::{
    Call, CallRate, DefinitionProblem, Discovery, DiscoveryDefinition, DiscoveryRun, ExpandContext,
    Expansion, Failure, Family, Location, OptionsError, OptionsSpec, PollRun, Pollster, PollsterDefinition,
    Registration, async_trait, register,
};
use schemars::JsonSchema;
use serde::Deserialize;

const NAMESPACES: [&str; 1] = ["sensors"];

register!(Registration::Family(
    Family::new("sensors", "Sensors that files define")
        .opt_in()
        .options(OptionsSpec::of::<Options>())
        .expand(expand)
));

/// Options of the sensors.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The folder of the files, each named `*.sensors`.
    folder: Option<PathBuf>,
}

fn expand(context: &ExpandContext<'_>) -> Result<Expansion, OptionsError> {
    let mut expansion = Expansion::new();
    let options: Options = context.options()?;
    let Some(folder) = options.folder else {
        return Ok(expansion);
    };
    let files = context
        .list(&folder, &["sensors"])
        .map_err(|error| OptionsError::new("folder", error.to_string()))?;
    expansion.add_discovery(
        DiscoveryDefinition::new("site", |_| Ok(Arc::new(Site)))
            .namespaces(NAMESPACES)
            .description("This site"),
    );
    for file in files {
        match context.read(&file) {
            Ok(text) => read(&mut expansion, &file, &text),
            Err(error) => {
                expansion.add_problem(DefinitionProblem::error(Location::file(&file), error.to_string()));
            }
        }
    }
    Ok(expansion)
}

fn read(expansion: &mut Expansion, file: &Path, text: &str) {
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let whole = Location::file(file).at(index + 1, 1, line.chars().count());
        let [name, unit, value] = words.as_slice() else {
            expansion.add_problem(
                DefinitionProblem::rejected(whole, "invalid sensor")
                    .definition(words.first().copied().unwrap_or_default())
                    .expected("expected a name, a unit and a value"),
            );
            continue;
        };
        let Ok(number) = value.parse() else {
            let column = name.chars().count() + unit.chars().count() + 3;
            let place = whole.at(index + 1, column, value.chars().count());
            expansion.add_problem(
                DefinitionProblem::error(place, "it is not a number")
                    .definition(*name)
                    .attribute("value")
                    .expected("expected a number"),
            );
            continue;
        };
        let meter = format!("{name}.value");
        let sensor = Arc::new(Sensor {
            meter: meter.clone(),
            number,
        });
        let meter = Meter::new(MeterKind::Gauge, meter, (*unit).to_owned(), "What it shows");
        expansion.add_pollster(
            PollsterDefinition::new(*name, move |_| Ok(sensor.clone()))
                .namespaces(NAMESPACES)
                .description("A sensor")
                .meters([meter])
                .default_discovery("site")
                .calls([Call::new("site", "read", format!("/{name}"))
                    .role("none")
                    .rate(CallRate::PerResource)])
                .defined_at(whole),
        );
    }
}

/// Lists one resource: the site.
struct Site;

#[async_trait]
impl Discovery for Site {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        Ok(run.push(Resource::new("here")).await?)
    }
}

/// Always reports the same value.
struct Sensor {
    meter: String,
    number: f64,
}

#[async_trait]
impl Pollster for Sensor {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        while let Some(page) = run.next_page().await {
            for resource in page.iter() {
                // The number of polls of a site at once is limited, whatever their sensors.
                let _place = run.context().admit(resource.key().clone()).await?;
                if **resource.key() != *"here" {
                    run.fail(resource, Failure::not_supported("there are no sensors"));
                    continue;
                }
                let subject = Subject::new(resource.key().clone()).shared();
                let mut report = run.report(resource);
                report.add(&self.meter, &subject, self.number);
                report.send().await?;
            }
        }
        Ok(())
    }
}
