//! Common parts of the tests of this crate: fake plugins and a fake environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use nephoscope_config::{HumanDuration, Known, LoadRequest, SearchPlaces};
use nephoscope_plugin::Secret;
use schemars::{JsonSchema, schema_for};

/// Options of a plugin family.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code)]
#[derive(Default)]
pub(crate) struct Fake {
    latency: Option<HumanDuration>,
    password: Option<Secret>,
    #[schemars(range(min = 1, max = 10))]
    count: u32,
    mode: Option<Mode>,
    tokens: Vec<Token>,
    /// A secret whose name does not look secret.
    essence: Option<Secret>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Mode {
    /// Fast.
    Fast,
    /// Slow.
    Slow,
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Token {
    name: String,
    token: Secret,
}

/// Options of a publisher.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct FileOptions {
    sync: Option<HumanDuration>,
    key: Option<Secret>,
}

fn variable(name: &str) -> Option<OsString> {
    match name {
        "PASSWORD" => Some("canary-environment".into()),
        "ID" => Some("agent-7".into()),
        "EMPTY" => Some("".into()),
        "NOT_TEXT" => Some(OsString::from_vec(vec![0xff])),
        _ => None,
    }
}

/// Creates a request for the paths. Without any, it searches places that do not exist.
pub(crate) fn request(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> LoadRequest {
    let mut request = LoadRequest::new("sources: [{name: built-in, interval: 10, meters: ['*']}]\n");
    request.paths = paths.into_iter().map(Into::into).collect();
    request.search = SearchPlaces {
        file: "/nonexistent/polling.yaml".into(),
        folder: "/nonexistent/nephoscope".into(),
        ceilometer: "/nonexistent/ceilometer/polling.yaml".into(),
    };
    request.families = BTreeMap::from([
        ("fake".to_owned(), Some(schema_for!(Fake).into())),
        ("bare".to_owned(), None),
    ]);
    request.publishers = BTreeMap::from([
        ("stdout".to_owned(), None),
        ("file".to_owned(), Some(schema_for!(FileOptions).into())),
    ]);
    request.variables = variable;
    request
}

/// Returns the names of the fake plugins.
#[allow(dead_code, reason = "not every test binary compares with plugins")]
pub(crate) fn known() -> Known {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<String>>()
    };
    let by_namespace = |entries: &[(&str, &[&str])]| {
        entries
            .iter()
            .map(|(namespace, list)| ((*namespace).to_owned(), names(list)))
            .collect()
    };
    Known {
        discoveries: by_namespace(&[
            ("host", &["local_node"]),
            ("compute", &["local_instances"]),
            ("central", &["endpoint"]),
        ]),
        meters: by_namespace(&[
            ("host", &["hardware.cpu.util", "hardware.memory.used"]),
            ("compute", &["cpu"]),
            ("central", &["volume.size"]),
        ]),
    }
}
