//! A conforming family passes, and a family that breaks one rule fails only by that rule.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::model::{Map, Meter, MeterDef, Resource, ResourceBody, Subject};
use crate::{
    BuildContext, BuildError, CallDef, Discovery, DiscoveryPlugin, DiscoveryRun, Expansion, Failure, Family,
    OptionsSpec, PartitionMode, PollRun, Pollster, PollsterDefinition, PollsterPlugin, Registration, Scope,
    Secret, async_trait,
};

const LENGTH: MeterDef = MeterDef::gauge("key.length", "character", "Characters of the key");
const POLLS: MeterDef = MeterDef::cumulative("key.polls", "poll", "Polls since the start");
const CALL: CallDef = CallDef::new("fixture", "GET", "/things").role("none");

/// Options of the fixture.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// How to log in.
    password: Secret,
}

/// Options that accept unknown keys.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct OpenOptions {
    /// Where.
    url: String,
}

/// Options with a required key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RequiredOptions {
    /// Where.
    #[expect(dead_code, reason = "the test needs only the schema")]
    url: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    UndeclaredMeter,
    NotANumber,
    ReportsTwice,
    LosesOne,
    Panics,
    PanicsOnUnknown,
    UnknownEndsAll,
    IgnoresCancellation,
    SecretInFailure,
    SecretInMetadata,
    EmptyResourceId,
    DiscoveryFails,
    KeysChange,
    DuplicateKey,
    EmptyKey,
    EndlessDiscovery,
    SecretInBody,
}

struct Fixture {
    fault: Fault,
    password: Secret,
}

#[derive(Debug)]
struct Body(String);

impl ResourceBody for Body {
    fn describe(&self) -> crate::model::Value {
        let text = crate::model::Value::from(self.0.clone());
        crate::model::Value::Map(Map::from([("note".into(), text)]))
    }
}

#[async_trait]
impl Discovery for Fixture {
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        let suffix = if self.fault == Fault::KeysChange {
            run.cycle().number
        } else {
            0
        };
        let note = if self.fault == Fault::SecretInBody {
            self.password.expose().to_owned()
        } else {
            format!("{:?}", self.password)
        };
        for index in 0..3 {
            run.push(Resource::with_body(
                format!("r{index}-{suffix}"),
                Body(note.clone()),
            ))
            .await?;
        }
        match self.fault {
            Fault::DiscoveryFails => Err(Failure::unreachable("connection refused")),
            Fault::DuplicateKey => Ok(run.push(Resource::new("r0-0")).await?),
            Fault::EmptyKey => Ok(run.push(Resource::new("")).await?),
            Fault::EndlessDiscovery => {
                for index in 0_u64.. {
                    if run
                        .send(vec![Resource::new(format!("more-{index}"))])
                        .await
                        .is_err()
                    {
                        std::future::pending::<()>().await;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Pollster for Fixture {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        if self.fault == Fault::IgnoresCancellation && run.context().cancellation.is_cancelled() {
            std::future::pending::<()>().await;
        }
        let mut skipped = false;
        while let Some(page) = run.next_page().await {
            for resource in page.iter() {
                let body = resource.body::<Body>();
                match self.fault {
                    Fault::Panics => panic!("boom"),
                    Fault::PanicsOnUnknown => assert!(body.is_some(), "unknown resource"),
                    Fault::UnknownEndsAll if body.is_none() => {
                        return Err(Failure::permanent("unknown resource"));
                    }
                    Fault::LosesOne if !skipped => {
                        skipped = true;
                        continue;
                    }
                    Fault::SecretInFailure => {
                        run.fail(
                            resource,
                            Failure::transient(format!("{} was rejected", self.password.expose())),
                        );
                        continue;
                    }
                    _ => {}
                }
                if body.is_none() {
                    run.fail(resource, Failure::not_supported("unknown resource"));
                    continue;
                }
                let id = if self.fault == Fault::EmptyResourceId {
                    ""
                } else {
                    resource.key()
                };
                let mut subject = Subject::new(id);
                if self.fault == Fault::SecretInMetadata {
                    subject = subject.metadata("login", self.password.expose().to_owned());
                }
                let subject = subject.shared();
                let times = if self.fault == Fault::ReportsTwice { 2 } else { 1 };
                for _ in 0..times {
                    let mut report = run.report(resource);
                    report.add(LENGTH.name, &subject, resource.key().len() as u64);
                    report.add(POLLS.name, &subject, 1_u64);
                    match self.fault {
                        Fault::UndeclaredMeter => report.add("key.width", &subject, 1_u64),
                        Fault::NotANumber => report.add(LENGTH.name, &subject, f64::NAN),
                        _ => {}
                    }
                    report.send().await?;
                }
            }
        }
        Ok(())
    }
}

fn build<const FAULT: usize>(context: &BuildContext) -> Result<Fixture, BuildError> {
    Ok(Fixture {
        fault: FAULTS[FAULT],
        password: context.options::<Options>()?.password,
    })
}

const FAULTS: [Fault; 18] = [
    Fault::None,
    Fault::UndeclaredMeter,
    Fault::NotANumber,
    Fault::ReportsTwice,
    Fault::LosesOne,
    Fault::Panics,
    Fault::PanicsOnUnknown,
    Fault::UnknownEndsAll,
    Fault::IgnoresCancellation,
    Fault::SecretInFailure,
    Fault::SecretInMetadata,
    Fault::EmptyResourceId,
    Fault::DiscoveryFails,
    Fault::KeysChange,
    Fault::DuplicateKey,
    Fault::EmptyKey,
    Fault::EndlessDiscovery,
    Fault::SecretInBody,
];

/// The family with one fault in its code.
fn family<const FAULT: usize>() -> (Family, DiscoveryPlugin, PollsterPlugin) {
    let family = Family::new("fixture", "A family for tests").options(OptionsSpec::of::<Options>());
    let discovery = DiscoveryPlugin::new("things", "fixture", |context| {
        Ok(Arc::new(build::<FAULT>(context)?))
    })
    .namespaces(&["fixture"])
    .description("Three things")
    .scope(Scope::Shared)
    .partition(PartitionMode::Resource)
    .calls(&[CALL]);
    let pollster = PollsterPlugin::new("key", "fixture", |context| Ok(Arc::new(build::<FAULT>(context)?)))
        .namespaces(&["fixture"])
        .description("Keys of things")
        .meters(&[LENGTH, POLLS])
        .default_discovery("things");
    (family, discovery, pollster)
}

async fn findings((family, discovery, pollster): (Family, DiscoveryPlugin, PollsterPlugin)) -> Vec<String> {
    let registrations = [
        Registration::Family(family),
        Registration::Discovery(discovery),
        Registration::Pollster(pollster),
    ];
    let catalog = Catalog::of(registrations).unwrap();
    Conformance::of("fixture").in_catalog(catalog).findings().await
}

#[tokio::test(start_paused = true)]
async fn a_conforming_family_passes() {
    assert_eq!(findings(family::<0>()).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn each_fault_in_the_code_is_found() {
    let mut text = String::new();
    macro_rules! each {
        ($($fault:literal)*) => {$(
            let found = findings(family::<$fault>()).await;
            assert!(!found.is_empty(), "{:?} was not found", FAULTS[$fault]);
            text.push_str(&format!("{:?}\n  {}\n", FAULTS[$fault], found.join("\n  ")));
        )*};
    }
    each!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17);
    insta::assert_snapshot!(text);
}

#[tokio::test(start_paused = true)]
async fn each_fault_in_the_declarations_is_found() {
    const NAMELESS: CallDef = CALL.role("");
    type Edit = fn(&mut Family, &mut DiscoveryPlugin, &mut PollsterPlugin);
    let edits: [(&str, Edit); 13] = [
        ("meter's name", |_, _, pollster| {
            pollster.meters = const { &[LENGTH, POLLS, MeterDef::gauge("Key.Width", "px", "Width")] };
        }),
        ("alias", |_, _, pollster| {
            pollster.meters = const { &[LENGTH, POLLS.with_aliases(&["key..polls"])] };
        }),
        ("unit", |_, _, pollster| {
            pollster.meters = const { &[LENGTH, POLLS, MeterDef::gauge("key.width", "", "Width")] };
        }),
        ("meter's description", |_, _, pollster| {
            pollster.meters = const { &[LENGTH, POLLS, MeterDef::gauge("key.width", "px", "The width.")] };
        }),
        ("no meters", |_, _, pollster| pollster.meters = &[]),
        ("description", |family, _, _| family.description = ""),
        ("namespace", |_, discovery, _| discovery.namespaces = &[]),
        ("call", |_, discovery, _| discovery.calls = &[NAMELESS]),
        ("default discovery", |_, _, pollster| {
            pollster.default_discovery = Some("nothing://");
        }),
        ("default discovery's namespace", |_, _, pollster| {
            pollster.namespaces = &["fixture", "compute"];
        }),
        ("open options", |family, discovery, pollster| {
            family.options = Some(OptionsSpec::of::<OpenOptions>());
            discovery.build = |_| {
                Ok(Arc::new(Fixture {
                    fault: Fault::None,
                    password: Secret::default(),
                }))
            };
            pollster.build = |_| {
                Ok(Arc::new(Fixture {
                    fault: Fault::None,
                    password: Secret::default(),
                }))
            };
        }),
        ("required options", |family, discovery, _| {
            family.options = Some(OptionsSpec::of::<RequiredOptions>());
            discovery.build = |context| {
                context.options::<RequiredOptions>()?;
                build::<0>(context).map(|fixture| Arc::new(fixture) as _)
            };
        }),
        ("unavailable", |_, _, pollster| {
            pollster.build = |_| Err(BuildError::Unavailable("no things here".to_owned()));
        }),
    ];
    let mut text = String::new();
    for (what, edit) in edits {
        let (mut family, mut discovery, mut pollster) = family::<0>();
        edit(&mut family, &mut discovery, &mut pollster);
        let found = findings((family, discovery, pollster)).await;
        assert!(!found.is_empty(), "{what} was not found");
        text.push_str(&format!("{what}\n  {}\n", found.join("\n  ")));
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn an_unregistered_family_is_reported() {
    let missing = Conformance::of("unknown")
        .in_catalog(Catalog::default())
        .findings()
        .await;
    assert_eq!(missing, ["the family `unknown` is not registered"]);
}

#[tokio::test(start_paused = true)]
async fn definitions_of_a_family_are_checked_as_well() {
    let (family, discovery, pollster) = family::<0>();
    let made = family.expand(|_| {
        let mut expansion = Expansion::new();
        expansion.add_pollster(
            PollsterDefinition::new("again", |context| Ok(Arc::new(build::<4>(context)?)))
                .namespaces(["fixture"])
                .description("Keys of things again")
                .meters([Meter::new(
                    LENGTH.kind,
                    "key.width",
                    "character",
                    "Width of the key",
                )])
                .default_discovery("things"),
        );
        Ok(expansion)
    });
    assert_eq!(
        findings((made, discovery, pollster)).await,
        [
            "the pollster `again`: the meter `key.length` is not declared",
            "the pollster `again`: the meter `key.polls` is not declared",
            "the pollster `again` neither reports on nor fails `a-resource-that-no-discovery-lists`",
        ]
    );
}
