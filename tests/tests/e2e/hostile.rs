//! Hostile configuration files: each one is an error, never a hang or a crash.

use std::fs::{self, File};
use std::io::Write;

use nephoscope_tests::{Finished, Lab};

/// Returns the program's error for a configuration, without the path of the lab.
fn error_of(lab: &Lab, config: &str) -> String {
    let finished: Finished = lab.nephoscope(&["run", "--config", config]).finish().expect(2);
    assert_eq!(finished.stdout, "");
    assert!(
        finished.stderr.len() < 100_000,
        "the error is too long: {} bytes",
        finished.stderr.len()
    );
    lab.without_place(&finished.stderr)
}

#[test]
fn a_file_of_100_megabytes() {
    let lab = Lab::new();
    let mut file = File::create(lab.path("large.yaml")).unwrap();
    let line = "# a long comment, repeated many times\n".repeat(1 << 16);
    for _ in 0..(100 << 20) / line.len() + 1 {
        file.write_all(line.as_bytes()).unwrap();
    }
    drop(file);
    insta::assert_snapshot!(error_of(&lab, "large.yaml"));
}

#[test]
fn a_sparse_file_of_a_terabyte() {
    let lab = Lab::new();
    File::create(lab.path("holes.yaml"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let text = error_of(&lab, "holes.yaml");
    assert!(text.contains("holes.yaml"), "{text}");
}

#[test]
fn aliases_that_multiply() {
    let lab = Lab::new();
    let mut bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    lab.write("bomb.yaml", &(bomb + "sources: *a11\n"));
    insta::assert_snapshot!(error_of(&lab, "bomb.yaml"));
}

#[test]
fn bytes_that_are_not_text() {
    let lab = Lab::new();
    let text = "sources: []\n";
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    fs::write(lab.path("utf16.yaml"), wide).unwrap();
    fs::write(lab.path("nul.yaml"), b"sources: []\0\n").unwrap();
    fs::write(lab.path("latin1.yaml"), b"sources: [] # caf\xe9\n").unwrap();
    let errors = ["utf16.yaml", "nul.yaml", "latin1.yaml"].map(|name| error_of(&lab, name));
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn endless_nesting() {
    let lab = Lab::new();
    lab.write("flow.yaml", &format!("sources: {}", "[".repeat(1_000_000)));
    lab.write("braces.yaml", &format!("sources: {}", "{a: ".repeat(500_000)));
    let block: String = (0..2000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    lab.write("block.yaml", &block);
    for name in ["flow.yaml", "braces.yaml", "block.yaml"] {
        let text = error_of(&lab, name);
        assert!(text.contains(name) && text.contains("nest"), "{text}");
    }
}

#[test]
fn special_files() {
    let lab = Lab::new();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        lab.path("pipe"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(lab.path("socket")).unwrap();
    std::os::unix::fs::symlink("loop", lab.path("loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", lab.path("dangling")).unwrap();
    for name in ["pipe", "socket", "loop", "dangling", "/dev/zero", "/dev/stdin"] {
        let text = error_of(&lab, name);
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn secrets_from_special_files() {
    let lab = Lab::new();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        lab.path("pipe"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    for path in ["$LAB/pipe", "/dev/zero", "$LAB"] {
        lab.write(
            "secret.yaml",
            &format!("agent: {{id: \"${{file:{path}}}\"}}\nsources: []\n"),
        );
        let text = error_of(&lab, "secret.yaml");
        assert!(text.contains("secret.yaml:1:"), "{path}: {text}");
    }
}

#[test]
fn a_folder_with_too_many_files() {
    let lab = Lab::new();
    fs::create_dir(lab.path("conf")).unwrap();
    for index in 0..5000 {
        fs::write(lab.path(&format!("conf/{index}.yaml")), "{}\n").unwrap();
    }
    let text = error_of(&lab, "conf");
    assert!(text.contains("conf"), "{text}");
}
