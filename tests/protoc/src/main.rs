//! Compiles protocol buffers to a descriptor set: a subset of protoc's command line, for build scripts.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const VERSION: &str = concat!("nephoscope-protoc ", env!("CARGO_PKG_VERSION"), " (protox)");

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            let mut text = String::from("protoc");
            while let Some(error) = cause {
                text.push_str(": ");
                text.push_str(&error.to_string());
                cause = error.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: impl Iterator<Item = OsString>) -> Result<(), Error> {
    match Request::parse(args)? {
        Request::Version => println!("{VERSION}"),
        Request::Compile(job) => job.run()?,
    }
    Ok(())
}

/// The parsed command line.
#[derive(Debug, PartialEq)]
enum Request {
    Version,
    Compile(Job),
}

/// A compilation.
#[derive(Debug, Default, PartialEq)]
struct Job {
    /// Folders in which imports are looked up, in order; default: the working folder.
    includes: Vec<PathBuf>,
    files: Vec<PathBuf>,
    output: PathBuf,
    include_imports: bool,
    include_source_info: bool,
}

impl Request {
    /// Parses options as protoc does: `-IPATH`, `-I PATH`, `--proto_path=PATH`, `--proto_path PATH`.
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, Error> {
        let mut args = args;
        let mut job = Job::default();
        let mut output = None;
        while let Some(arg) = args.next() {
            let Some(text) = arg.to_str().filter(|text| text.starts_with('-')) else {
                job.files.push(arg.into());
                continue;
            };
            let (name, glued) = split(text);
            let mut value = || match glued {
                Some(value) => Ok(OsString::from(value)),
                None => args.next().ok_or_else(|| Error::NoValue(name.to_owned())),
            };
            match name {
                "--version" => return Ok(Self::Version),
                "--include_imports" => job.include_imports = true,
                "--include_source_info" => job.include_source_info = true,
                // Always allowed here.
                "--experimental_allow_proto3_optional" => {}
                "-I" | "--proto_path" => job.includes.extend(std::env::split_paths(&value()?)),
                "-o" | "--descriptor_set_out" => output = Some(value()?),
                _ => return Err(Error::Unknown(text.to_owned())),
            }
        }
        if job.includes.is_empty() {
            job.includes.push(PathBuf::from("."));
        }
        if job.files.is_empty() {
            return Err(Error::NoFiles);
        }
        job.output = output.ok_or(Error::NoOutput)?.into();
        Ok(Self::Compile(job))
    }
}

/// Splits `--name=value` and `-Xvalue` into name and value.
fn split(text: &str) -> (&str, Option<&str>) {
    if text.starts_with("--") {
        return text
            .split_once('=')
            .map_or((text, None), |(name, value)| (name, Some(value)));
    }
    match text.split_at_checked(2) {
        Some((name, value)) => (name, Some(value).filter(|value| !value.is_empty())),
        None => (text, None),
    }
}

impl Job {
    fn run(&self) -> Result<(), Error> {
        let mut compiler = protox::Compiler::new(&self.includes).map_err(Error::Compile)?;
        compiler
            .include_imports(self.include_imports)
            .include_source_info(self.include_source_info);
        compiler.open_files(&self.files).map_err(Error::Compile)?;
        // The encoded form keeps extension options, which the decoded one would lose.
        let set = compiler.encode_file_descriptor_set();
        write(&self.output, &set).map_err(|source| Error::Write {
            path: self.output.clone(),
            source,
        })
    }
}

fn write(path: &Path, set: &[u8]) -> io::Result<()> {
    if path.as_os_str() == OsStr::new("-") {
        io::stdout().write_all(set)
    } else {
        fs::write(path, set)
    }
}

/// An error of a compilation.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(
        "unknown option {0:?}: expected -I, -o, --descriptor_set_out, --include_imports, --include_source_info or --version"
    )]
    Unknown(String),
    #[error("option {0} requires a value")]
    NoValue(String),
    #[error("no .proto file: name one")]
    NoFiles,
    #[error("no output: add -o FILE")]
    NoOutput,
    // The debug format has file, line and column.
    #[error("{0:?}")]
    Compile(protox::Error),
    #[error("failed to write {path:?}")]
    Write { path: PathBuf, source: io::Error },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Request, String> {
        Request::parse(args.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn all_spellings_of_an_option_are_equivalent() {
        let expected = Ok(Request::Compile(Job {
            includes: vec!["proto".into(), "more".into()],
            files: vec!["proto/a.proto".into(), "b.proto".into()],
            output: "out".into(),
            include_imports: true,
            include_source_info: true,
        }));
        let spellings: [&[&str]; 3] = [
            // The first one is prost-build's.
            &["-o", "out", "-I", "proto", "-I", "more"],
            &["-oout", "-Iproto", "-Imore"],
            &["--descriptor_set_out=out", "--proto_path=proto:more"],
        ];
        for spelling in spellings {
            let flags: &[&str] = &["--include_imports", "--include_source_info"];
            let args = [flags, spelling, &["proto/a.proto", "b.proto"]].concat();
            assert_eq!(parse(&args), expected, "{args:?}");
        }
    }

    #[test]
    fn an_invalid_argument_is_an_error_that_names_it() {
        for (args, expected) in [
            (vec!["--rust_out=src", "a.proto"], "\"--rust_out=src\""),
            (vec!["a.proto", "-o"], "option -o requires a value"),
            (vec!["-o", "out"], "no .proto file"),
            (vec!["a.proto"], "no output"),
        ] {
            let text = parse(&args).expect_err("an error");
            assert!(text.contains(expected), "{args:?}: {text}");
        }
    }

    #[test]
    fn well_known_protos_and_extension_options_are_in_the_set() {
        let folder = tempfile::tempdir().expect("a folder");
        let output = folder.path().join("set");
        let Ok(Request::Compile(job)) = parse(&[
            "--include_imports",
            "-o",
            output.to_str().expect("text"),
            "-I.",
            "probe.proto",
        ]) else {
            panic!("not a job");
        };
        job.run().expect("compiled");
        let set = fs::read(&output).expect("a set");
        for text in ["google/protobuf/timestamp.proto", "probe.proto", "kept"] {
            assert!(
                set.windows(text.len()).any(|window| window == text.as_bytes()),
                "{text}"
            );
        }
    }

    #[test]
    fn an_error_in_a_file_has_its_location() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bad.proto");
        fs::write(&file, "syntax = \"proto3\";\nmessage M { Missing m = 1; }\n").expect("written");
        let job = Job {
            includes: vec![folder.path().into()],
            files: vec![file],
            output: folder.path().join("set"),
            ..Job::default()
        };
        let text = job.run().expect_err("an error").to_string();
        assert!(
            text.contains("bad.proto:2:13") && text.contains("Missing"),
            "{text}"
        );
    }
}
