//! The admin API: its responses, its access control, and the requests that it rejects.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use nephoscope_tests::{Answer, Lab, PATIENCE, Program, request};
use serde_json::Value;

fn lab(agent: &str) -> Lab {
    Lab::with(&format!(
        "agent: {{namespaces: [synthetic], id: test, host: node1, state_dir: $LAB/state{agent}}}\n\
         notifier: {{publishers: [{{name: file, url: \"file://$LAB/samples\"}}, {{name: none, url: \"discard:\"}}]}}\n\
         sources:\n\
         \x20 - {{name: s, interval: 1, meters: [\"synthetic.*\"], discovery: [\"synthetic://3\"]}}\n\
         \x20 - {{name: bad, interval: 1, meters: [synthetic.faulty], resources: [permanent]}}\n"
    ))
}

/// Starts the program, and waits until two cycles are counted and delivered.
fn started(lab: &Lab) -> Program {
    let mut program = lab.run();
    program.ready();
    program.until("two cycles", |program| {
        let delivered = program
            .get("/metrics")
            .metric("nephoscope_publisher_delivered_samples_total", &[]);
        let cycles = &program.json("/api/v1/tasks")["tasks"][0]["cycles"];
        (cycles.as_u64() >= Some(2) && delivered >= 36.0).then_some(())
    });
    program
}

const PATHS: [&str; 7] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/tasks",
    "/api/v1/cycles",
    "/api/v1/resources",
    "/api/v1/publishers",
];

#[test]
fn the_socket_answers_and_is_accessible_to_user_and_group_only() {
    let lab = lab("");
    let program = started(&lab);
    let mode = std::fs::metadata(program.admin()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o660, "{mode:o}");
    let folder = std::fs::metadata(lab.path("state")).unwrap().permissions().mode() & 0o777;
    assert_eq!(folder, 0o700, "{folder:o}");
    for path in PATHS {
        let answer = program.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        if path != "/metrics" {
            assert!(
                answer.headers["content-type"].starts_with("application/json"),
                "{path}: {:?}",
                answer.headers
            );
            let _ = answer.json();
        }
    }
    let unknown = program.get("/api/v1/secrets");
    assert_eq!(unknown.status, 404);
    for path in PATHS {
        assert!(unknown.body.contains(path), "{}", unknown.body);
    }
    let _ = program.stop().expect(0);
}

#[test]
fn responses_list_what_is_polled() {
    let lab = lab("");
    let program = started(&lab);
    let tasks = program.json("/api/v1/tasks");
    let task = &tasks["tasks"][0];
    assert_eq!(task["schedule"], "every 1s");
    assert_eq!(task["sources"], serde_json::json!(["s", "bad"]));
    assert!(task["cycles"].as_u64().unwrap() >= 2, "{task}");
    let cycles = program.json("/api/v1/cycles?limit=1");
    assert_eq!(cycles["cycles"].as_array().unwrap().len(), 1);
    let cycle = &cycles["cycles"][0];
    assert_eq!(
        (&cycle["samples"], &cycle["discovery_runs"][0]["resources"]),
        (&Value::from(9), &Value::from(3)),
        "{cycle}"
    );
    let resources = program.json("/api/v1/resources");
    assert_eq!(
        resources["backed_off"][0]["resources"][0]["key"], "permanent",
        "{resources}"
    );
    let publishers = program.json("/api/v1/publishers");
    let delivered = |index: usize| {
        publishers["publishers"][index]["samples"]["delivered"]
            .as_u64()
            .unwrap()
    };
    assert!(delivered(0) >= 9 && delivered(1) >= 9, "{publishers}");
    for query in ["limit=0", "limit=many", "limit=1&limit=2", "colour=red"] {
        assert_eq!(
            program.get(&format!("/api/v1/cycles?{query}")).status,
            400,
            "{query}"
        );
    }
    let _ = program.stop().expect(0);
}

#[test]
fn metrics_have_the_format_of_prometheus() {
    let lab = lab("");
    let program = started(&lab);
    let metrics = program.get("/metrics");
    assert!(
        metrics.headers["content-type"].starts_with("text/plain"),
        "{:?}",
        metrics.headers
    );
    // Every series belongs to a family with a type and a help text.
    let mut types = Vec::new();
    for line in metrics.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            types.push(rest.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = types.last().unwrap();
            assert!(name.starts_with(family.as_str()), "{line} after {family}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(metrics.metric("nephoscope_cycles_total", &["schedule=\"every 1s\""]) >= 2.0);
    assert!(metrics.metric("nephoscope_poll_samples_total", &["pollster=\"synthetic\""]) >= 18.0);
    let stream = UnixStream::connect(program.admin()).unwrap();
    let open = request(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text; version=1.0.0\r\nConnection: close\r\n\r\n",
    );
    assert!(
        open.headers["content-type"].starts_with("application/openmetrics-text"),
        "{:?}",
        open.headers
    );
    assert!(open.body.ends_with("# EOF\n"));
    let _ = program.stop().expect(0);
}

#[test]
fn requests_that_change_something_are_rejected() {
    let lab = lab("");
    let program = started(&lab);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let stream = UnixStream::connect(program.admin()).unwrap();
        let text = format!("{method} /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = request(stream, &text);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.headers["allow"], "GET", "{method}");
    }
    let _ = program.stop().expect(0);
}

/// Returns a TCP address from the log line that reports it.
fn place(program: &mut Program, text: &str) -> String {
    let line = program.log(text);
    let address = line
        .split("127.0.0.1:")
        .nth(1)
        .unwrap_or_else(|| panic!("no address in {line}"));
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    format!("127.0.0.1:{port}")
}

fn tcp(address: &str, host: &str, path: &str) -> Answer {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    request(
        stream,
        &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
    )
}

#[test]
fn on_tcp_only_local_host_names_are_accepted() {
    let lab = lab(", admin: \"tcp:127.0.0.1:0\"");
    let mut program = lab.run();
    let address = place(&mut program, "the admin API listens");
    program.log("started");
    for host in [address.as_str(), "localhost", "node1"] {
        for path in PATHS {
            assert_eq!(tcp(&address, host, path).status, 200, "{host} {path}");
        }
    }
    let refused = tcp(&address, "rebound.example", "/api/v1/tasks");
    assert!([421, 403].contains(&refused.status), "{}", refused.status);
    assert!(!refused.body.contains("synthetic"), "{}", refused.body);
    assert!(
        !lab.path("state/admin.sock").exists(),
        "there is only one listener"
    );
    let _ = program.stop().expect(0);
}

#[test]
fn the_metrics_address_serves_only_metrics_and_health() {
    let lab = lab(", metrics: \"127.0.0.1:0\"");
    let mut program = lab.run();
    let address = place(&mut program, "127.0.0.1:");
    program.log("started");
    for path in PATHS {
        let expected = if path.starts_with("/api") { 404 } else { 200 };
        // A scraper may use any host name.
        assert_eq!(tcp(&address, "scraper.example", path).status, expected, "{path}");
    }
    assert_eq!(
        program.get("/api/v1/tasks").status,
        200,
        "the socket serves all routes"
    );
    let _ = program.stop().expect(0);
}

#[test]
fn it_can_be_disabled() {
    let lab = lab(", admin: \"off\"");
    let mut program = lab.run();
    program.cycles(1);
    assert!(!lab.path("state/admin.sock").exists());
    let _ = program.stop().expect(0);
}

#[test]
fn a_silent_client_does_not_delay_others() {
    let lab = lab("");
    let mut program = started(&lab);
    let silent: Vec<_> = (0..20)
        .map(|_| UnixStream::connect(program.admin()).unwrap())
        .collect();
    assert_eq!(program.get("/healthz").status, 200);
    program.cycles(1);
    drop(silent);
    let _ = program.stop().expect(0);
}
