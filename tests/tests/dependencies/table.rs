//! The rules. Names are package names without `nephoscope-`.

/// All crates in `plugins/`.
pub(crate) const PLUGINS: &str = "plugins/*";

/// The crates that each crate in `crates/` may name as a normal or build dependency. All others are forbidden, in particular
/// those further down. (`tests`, `benches` and their crates are not restricted.)
pub(crate) const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sources", &["model"]),
    ("coordination", &["model"]),
    ("plugin", &["model"]),
    ("openstack", &["model", "plugin", "http"]),
    ("config", &["model", "sources", "plugin"]),
    ("notifier", &["model", "plugin"]),
    (
        "polling",
        &["model", "sources", "coordination", "plugin", "notifier"],
    ),
    ("pool", &["model", "coordination", "plugin"]),
    ("http", &["plugin"]),
    (
        "admin",
        &[
            "model",
            "sources",
            "coordination",
            "plugin",
            "config",
            "notifier",
            "polling",
            "pool",
        ],
    ),
    (
        "agent",
        &[
            "admin",
            "model",
            "sources",
            "coordination",
            "plugin",
            "config",
            "notifier",
            "polling",
            "pool",
        ],
    ),
    ("nephoscope", &["agent", PLUGINS]),
];

/// The crates that each crate in `plugins/` may name: never the engine, the agent or another plugin.
pub(crate) const PLUGINS_MAY_DEPEND_ON: &[&str] = &["model", "plugin", "openstack", "http"];

/// A bound on the dependencies of a crate on this system.
pub(crate) struct Bound {
    /// The name of the package.
    pub(crate) package: &'static str,
    /// The kinds of dependencies that count, in the syntax of `cargo tree --edges`.
    pub(crate) edges: &'static str,
    /// The maximum number of crates, itself included.
    pub(crate) most: Option<usize>,
    /// Crates that are forbidden among them.
    pub(crate) never: &'static [&'static str],
}

/// Crates that run a C compiler.
const C: &[&str] = &["cc", "cmake"];

/// Data and configuration checks need no engine, pool or network.
pub(crate) const BOUNDS: &[Bound] = &[
    Bound {
        package: "nephoscope-model",
        edges: "normal,build",
        most: None,
        never: C,
    },
    Bound {
        package: "nephoscope-plugin",
        edges: "normal,build",
        most: Some(62),
        never: C,
    },
    Bound {
        package: "nephoscope-sources",
        edges: "normal",
        most: None,
        never: &["tokio", "tokio-cron-scheduler"],
    },
    Bound {
        package: "nephoscope-config",
        edges: "normal",
        most: Some(100),
        never: &[
            "etcd-client",
            "tonic",
            "tokio-cron-scheduler",
            "nephoscope-polling",
            "nephoscope-coordination",
            "nephoscope-pool",
        ],
    },
    Bound {
        package: "nephoscope-polling",
        edges: "normal",
        most: None,
        never: &["etcd-client", "tonic", "nephoscope-pool"],
    },
];
