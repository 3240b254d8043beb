//! Tests of valid configurations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "shared with tests that use all of it")]
mod common;

use std::fs;
use std::path::{Path, PathBuf};

use nephoscope_config::{Admin, Loaded, load};

fn good(path: impl Into<PathBuf>) -> Loaded {
    load(&common::request([path.into()])).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn files_of_ceilometer_are_valid() {
    let loaded = good("tests/good/ceilometer.yaml");
    assert!(loaded.warnings.is_empty());
    let sources = &loaded.config.sources;
    let shown: Vec<_> = sources
        .iter()
        .map(|source| {
            format!(
                "{} {} {:?}",
                source.name,
                source.schedule.id(),
                source.meters.patterns()
            )
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    some_pollsters every:300:0 ["cpu", "disk.device.read.bytes", "volume.size"]
    all every:60:0 ["*"]
    all every:60:0 ["!a", "!b"]
    "#);
    assert!(
        sources
            .iter()
            .all(|source| source.resources.is_empty() && source.discovery.is_empty())
    );
    assert!(good("tests/good/ceilometer-empty.yaml").config.sources.is_empty());
    assert_eq!(good("tests/good/ceilometer-mixes.yaml").config.sources.len(), 6);
}

#[test]
fn every_key_is_read() {
    let loaded = good("tests/good/ours.yaml");
    assert!(loaded.warnings.is_empty());
    let config = &loaded.config;
    assert_eq!(config.agent.admin(), Admin::Tcp("127.0.0.1:8777".to_owned()));
    assert_eq!(
        config.plugins["fake"].to_value()["password"],
        "canary-environment"
    );
    let positions: Vec<_> = config
        .sources
        .iter()
        .map(|source| source.position.to_string())
        .collect();
    insta::assert_snapshot!(positions.join("\n"), @r"
    tests/good/ours.yaml:28
    tests/good/ours.yaml:34
    tests/good/ours.yaml:40
    ");
    let source = &config.sources[1];
    let resources: Vec<_> = source.resources.iter().map(|resource| resource.key()).collect();
    assert_eq!(resources, ["http://a/", r#"{"a":[2],"b":1}"#]);
    insta::assert_debug_snapshot!((&config.agent, &config.coordination, &config.notifier, &config.plugins), @r#"
    (
        Agent {
            id: Some(
                "agent-1",
            ),
            host: Some(
                "node-1",
            ),
            namespaces: [
                "host",
                "compute",
            ],
            sample_source: "test",
            state_dir: Some(
                "/tmp/state",
            ),
            admin: "tcp:127.0.0.1:8777",
            metrics: Some(
                "[::1]:9101",
            ),
            watch: false,
            shutdown_timeout: HumanDuration(
                90s,
            ),
            log: Log {
                level: Debug,
                format: Json,
            },
            splay: false,
            limits: Limits {
                max_concurrent_polls: 1,
                max_concurrent_polls_per_endpoint: 2,
                max_resources_per_discovery: 3,
            },
        },
        Coordination {
            backend: Some(
                Etcd,
            ),
            endpoints: [
                Endpoint(
                    "http://etcd-1:2379",
                ),
                Endpoint(
                    "https://etcd-2:2379",
                ),
            ],
            prefix: "p/",
            group_prefix: "g",
            lease_ttl: HumanDuration(
                2s,
            ),
            request_timeout: HumanDuration(
                500ms,
            ),
            connect_timeout: HumanDuration(
                2s,
            ),
            on_loss: Pause,
            user: Some(
                "agent",
            ),
            password: Some(
                ***,
            ),
            tls: CoordinationTls {
                ca: Some(
                    "/ca.pem",
                ),
                cert: Some(
                    "/cert.pem",
                ),
                key: Some(
                    "/key.pem",
                ),
            },
            quota: ByteSize(
                8589934592,
            ),
        },
        Notifier {
            batch_size: 10,
            flush_interval: HumanDuration(
                250ms,
            ),
            queue: 1000,
            signing_secret: Some(
                ***,
            ),
            spool: Spool {
                mode: Some(
                    Always,
                ),
                path: Some(
                    "/tmp/spools",
                ),
                max_bytes: Some(
                    ByteSize(
                        65536,
                    ),
                ),
                max_age: Some(
                    HumanDuration(
                        172800s,
                    ),
                ),
                fsync: Some(
                    Never,
                ),
                order: Some(
                    Fifo,
                ),
            },
            publishers: [
                Publisher {
                    name: "out",
                    url: "stdout:",
                    queue: None,
                    spool: Some(
                        Spool {
                            mode: Some(
                                Off,
                            ),
                            path: None,
                            max_bytes: None,
                            max_age: None,
                            fsync: None,
                            order: None,
                        },
                    ),
                    meters: None,
                    sources: None,
                    namespaces: None,
                    options: {},
                },
                Publisher {
                    name: "file",
                    url: "file:///tmp/x",
                    queue: Some(
                        5,
                    ),
                    spool: None,
                    meters: Some(
                        [
                            "*",
                            "!cpu",
                        ],
                    ),
                    sources: Some(
                        [
                            "cron",
                            "offset",
                        ],
                    ),
                    namespaces: Some(
                        [
                            "host",
                        ],
                    ),
                    options: {
                        "sync": ***,
                    },
                },
            ],
        },
        {
            "bare": {},
            "fake": {
                "latency": ***,
                "password": ***,
                "mode": ***,
            },
        },
    )
    "#);
}

#[test]
fn missing_keys_have_defaults() {
    let config = good("tests/good/ceilometer-empty.yaml").config;
    insta::assert_debug_snapshot!((&config.agent, &config.coordination, &config.notifier, &config.plugins), @r#"
    (
        Agent {
            id: None,
            host: None,
            namespaces: [
                "compute",
                "central",
            ],
            sample_source: "openstack",
            state_dir: None,
            admin: "unix:",
            metrics: None,
            watch: true,
            shutdown_timeout: HumanDuration(
                30s,
            ),
            log: Log {
                level: Info,
                format: Text,
            },
            splay: true,
            limits: Limits {
                max_concurrent_polls: 64,
                max_concurrent_polls_per_endpoint: 8,
                max_resources_per_discovery: 2000000,
            },
        },
        Coordination {
            backend: None,
            endpoints: [],
            prefix: "nephoscope/",
            group_prefix: "",
            lease_ttl: HumanDuration(
                5s,
            ),
            request_timeout: HumanDuration(
                1s,
            ),
            connect_timeout: HumanDuration(
                5s,
            ),
            on_loss: Continue,
            user: None,
            password: None,
            tls: CoordinationTls {
                ca: None,
                cert: None,
                key: None,
            },
            quota: ByteSize(
                2147483648,
            ),
        },
        Notifier {
            batch_size: 50,
            flush_interval: HumanDuration(
                1s,
            ),
            queue: 100000,
            signing_secret: None,
            spool: Spool {
                mode: None,
                path: None,
                max_bytes: None,
                max_age: None,
                fsync: None,
                order: None,
            },
            publishers: [],
        },
        {},
    )
    "#);
    assert!(!config.agent.host().is_empty());
    assert!(
        config
            .agent
            .id()
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    );
    assert_eq!(
        config.agent.admin(),
        Admin::Unix(config.agent.state_dir().join("admin.sock"))
    );
}

#[test]
fn later_files_override_sections() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "10-sources.yaml",
        "sources: []\nagent: {id: first, watch: false}\n",
    );
    write("20-agent.yml", "agent: {id: second}\n");
    write("30-not.txt", "agent: {id: third}\n");
    let loaded = good(folder.path());
    assert_eq!(loaded.config.agent.id(), "second");
    assert!(loaded.config.agent.watch, "a section is replaced as a whole");
    assert_eq!(loaded.folders, [folder.path()]);
    let names: Vec<_> = loaded
        .files
        .iter()
        .map(|file| file.file_name().unwrap())
        .collect();
    assert_eq!(names, ["10-sources.yaml", "20-agent.yml"]);
}

#[test]
fn places_are_searched_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = common::request(Vec::<PathBuf>::new());
    request.search.file = folder.path().join("polling.yaml");
    request.search.folder = folder.path().join("nephoscope");
    request.search.ceilometer = folder.path().join("ceilometer.yaml");
    let write = |path: &Path, id: &str, sources: &str| {
        fs::write(path, format!("agent: {{id: {id}}}\n{sources}")).unwrap()
    };

    request.terminal = true;
    let built_in = load(&request).unwrap();
    assert!(built_in.built_in && built_in.files.is_empty());
    assert_eq!(built_in.config.sources[0].name, "built-in");
    request.terminal = false;
    assert!(load(&request).is_err());

    write(&request.search.ceilometer, "ceilometer", "sources: []\n");
    assert_eq!(load(&request).unwrap().config.agent.id(), "ceilometer");

    fs::create_dir(&request.search.folder).unwrap();
    write(&request.search.folder.join("agent.yaml"), "folder", "");
    let loaded = load(&request).unwrap();
    assert_eq!(loaded.files.len(), 2, "ceilometer's file has the sources");

    write(
        &request.search.folder.join("agent.yaml"),
        "folder",
        "sources: []\n",
    );
    assert_eq!(load(&request).unwrap().config.agent.id(), "folder");

    write(&request.search.file, "here", "sources: []\n");
    let loaded = load(&request).unwrap();
    assert_eq!(
        (loaded.config.agent.id().as_str(), loaded.files.len()),
        ("here", 1)
    );

    fs::write(&request.search.file, "sources: [").unwrap();
    assert!(load(&request).is_err(), "a file with errors is not skipped");
}

#[test]
fn namespaces_of_the_request_override_the_files() {
    let mut request = common::request(["tests/good/ours.yaml"]);
    assert_eq!(
        load(&request).unwrap().config.agent.namespaces,
        ["host", "compute"]
    );
    request.namespaces = Some(vec!["central".to_owned(), "central".to_owned()]);
    assert_eq!(load(&request).unwrap().config.agent.namespaces, ["central"]);
}

#[test]
fn sources_can_be_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polling.yaml");
    let of = |text: &str| {
        fs::write(&path, text).unwrap();
        good(&path).config.sources
    };
    let before =
        of("sources:\n- {name: a, interval: 60, meters: [cpu]}\n- {name: b, interval: 60, meters: [cpu]}\n");
    let after = of(
        "# moved\nsources:\n- {meters: [cpu], interval: 1m, name: a}\n- {name: b, interval: 61, meters: [cpu]}\n",
    );
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
}

#[test]
fn placeholders_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "from file\n\n").unwrap();
    let path = folder.path().join("polling.yaml");
    let text = "plugins:\n  fake:\n    password: 'a ${env:PASSWORD} ${file:secret} $${env:X} ${env:EMPTY}$'\nsources: []\n";
    fs::write(&path, text).unwrap();
    let options = good(&path).config.plugins["fake"].to_value();
    assert_eq!(options["password"], "a canary-environment from file\n ${env:X} $");
}

#[test]
fn files_with_byte_order_marks_and_crlf_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polling.yaml");
    fs::write(
        &path,
        "\u{feff}sources:\r\n- name: ä\r\n  interval: 60\r\n  meters: [cpu]\r\n",
    )
    .unwrap();
    let loaded = good(&path);
    assert_eq!(
        (
            loaded.config.sources[0].name.as_str(),
            loaded.config.sources[0].position.line
        ),
        ("ä", 2)
    );
}

#[test]
fn numbers_are_read_as_documented_in_compatibility() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polling.yaml");
    for (written, schedule) in [
        ("1_000", "every:1000:0"),
        ("0x3c", "every:60:0"),
        ("1e2", "every:100:0"),
        ("\"060\"", "every:60:0"),
        ("' +60 '", "every:60:0"),
        ("60.0", "every:60:0"),
        ("1h30m", "every:5400:0"),
    ] {
        fs::write(
            &path,
            format!("sources: [{{name: yes, interval: {written}, meters: [on]}}]\n"),
        )
        .unwrap();
        let loaded = good(&path);
        let source = &loaded.config.sources[0];
        assert_eq!(
            (source.name.as_str(), source.schedule.id().to_string().as_str()),
            ("yes", schedule),
            "{written}"
        );
        assert!(source.meters.matches("on") && loaded.warnings.is_empty());
    }
}
