//! The rules. Names are those of packages without `nephoscope-`.

/// All crates in `plugins/`.
pub(crate) const PLUGINS: &str = "plugins/*";

/// What each crate in `crates/` may name as a normal or build dependency. A crate that is not in its own line's list, in
/// particular one further down, is not to be depended on. (`tests`, `benches` and what is in them are free.)
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

/// What each crate in `plugins/` may: never the engine, the agent or another plugin.
pub(crate) const PLUGINS_MAY_DEPEND_ON: &[&str] = &["model", "plugin", "openstack", "http"];

/// How much a crate may bring with it on this system.
pub(crate) struct Bound {
    /// The name of the package.
    pub(crate) package: &'static str,
    /// The kinds of dependencies that count, as `cargo tree --edges` takes them.
    pub(crate) edges: &'static str,
    /// How many crates there may be, itself included.
    pub(crate) most: Option<usize>,
    /// Crates that are not among them.
    pub(crate) never: &'static [&'static str],
}

/// What brings C: crates that run a C compiler.
const C: &[&str] = &["cc", "cmake"];

/// Data and its checks do without engine, pool and network.
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
