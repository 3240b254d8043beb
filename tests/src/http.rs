//! A client for the admin API: one request, one answer.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use serde_json::Value;

/// The response of a server.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Parses the body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.body))
    }

    /// Returns the value of a metric whose labels contain all of `labels`, each as `name="value"`; the sum of all matches.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let lines = self.body.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, rest) = series.split_once('{').unwrap_or((series, ""));
            (found == name && labels.iter().all(|label| rest.contains(label))).then_some(value)
        });
        lines
            .map(|value| value.parse::<f64>().expect("a metric is a number"))
            .sum()
    }
}

/// Sends a request and reads the response until the server closes the connection.
pub fn request(mut stream: impl Read + Write, text: &str) -> Answer {
    stream.write_all(text.as_bytes()).expect("a request can be sent");
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        // A server that rejects a body closes the connection without reading it: the response before that counts.
        assert!(!bytes.is_empty(), "no answer: {error}");
    }
    parse(&String::from_utf8(bytes).expect("an answer is text"))
}

fn parse(text: &str) -> Answer {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("incomplete response: {text:?}"));
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    let headers: BTreeMap<_, _> = headers.collect();
    let body = match headers.get("transfer-encoding") {
        Some(encoding) if encoding == "chunked" => joined(body),
        _ => body.to_owned(),
    };
    Answer {
        status: status.unwrap_or_else(|| panic!("not an HTTP response: {text:?}")),
        headers,
        body,
    }
}

fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a chunk has a length");
        if length == 0 {
            break;
        }
        body.push_str(rest.get(..length).expect("a chunk is whole"));
        chunks = rest
            .get(length..)
            .and_then(|rest| rest.strip_prefix("\r\n"))
            .expect("a chunk has an end");
    }
    body
}
