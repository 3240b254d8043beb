//! Masks secrets: values of secret fields, user information in URLs, and values of placeholders.

use std::ops::Range;

/// The replacement for a secret.
pub const MASK: &str = "***";

/// The minimum length of secrets to search for in messages. Shorter secrets are masked only where they are written, because they would
/// match too much.
const MIN_WORD: usize = 4;

/// The maximum number of secrets to search for in texts.
const MAX_WORDS: usize = 256;

/// The ranges of a text to mask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction {
    /// Sorted and without overlaps.
    ranges: Vec<Range<usize>>,
}

impl Redaction {
    /// Masks the ranges, the user information of URLs, and all words.
    pub(crate) fn new(text: &str, mut ranges: Vec<Range<usize>>, words: &Words) -> Self {
        ranges.extend(userinfo(text));
        for word in &words.0 {
            ranges.extend(
                text.match_indices(word.as_str())
                    .map(|(start, found)| start..start + found.len()),
            );
        }
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        Self { ranges: merged }
    }

    /// Returns the window of the text with secrets masked, and the new positions of the spans.
    pub(crate) fn show(
        &self,
        text: &str,
        window: Range<usize>,
        spans: &[Range<usize>],
    ) -> (String, Vec<Range<usize>>) {
        let mut shown = String::new();
        // The initial value of a span that is not in the window.
        let outside = Range {
            start: usize::MAX,
            end: 0,
        };
        let mut moved: Vec<Range<usize>> = vec![outside; spans.len()];
        let mut at = window.start;
        let mut hidden = self
            .ranges
            .iter()
            .filter(|range| range.end > window.start && range.start < window.end);
        // Each step copies the visible text and then a mask, until the end of the window.
        loop {
            let next = hidden.next();
            let visible = at..next.map_or(window.end, |range| range.start.clamp(at, window.end));
            let from = shown.len();
            shown.push_str(text.get(visible.clone()).unwrap_or_default());
            for (span, moved) in spans.iter().zip(&mut moved) {
                let (start, end) = (span.start.max(visible.start), span.end.min(visible.end));
                if start < end || (span.is_empty() && visible.contains(&span.start)) {
                    moved.start = moved.start.min(from + start - visible.start);
                    moved.end = moved.end.max(from + end.max(start) - visible.start);
                }
            }
            let Some(range) = next else { break };
            let from = shown.len();
            shown.push_str(MASK);
            for (span, moved) in spans.iter().zip(&mut moved) {
                if span.start < range.end && span.end > range.start {
                    moved.start = moved.start.min(from);
                    moved.end = moved.end.max(shown.len());
                }
            }
            at = range.end.min(window.end);
        }
        for moved in &mut moved {
            if moved.start > moved.end {
                *moved = shown.len()..shown.len();
            }
        }
        (shown, moved)
    }
}

/// Secrets that are searched for by their text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn add(&mut self, word: &str) {
        // Each line of a secret is a separate word.
        for line in word.lines().map(str::trim).filter(|line| line.len() >= MIN_WORD) {
            if self.0.len() < MAX_WORDS && !self.0.iter().any(|known| known == line) {
                self.0.push(line.to_owned());
                // Longer words come first, so that no part of them remains.
                self.0.sort_by_key(|word| std::cmp::Reverse(word.len()));
            }
        }
    }

    /// Masks all secrets and user information in a message.
    pub(crate) fn hide(&self, message: &str) -> String {
        let mut message = hide_userinfo(message);
        for word in &self.0 {
            if message.contains(word.as_str()) {
                message = message.replace(word.as_str(), MASK);
            }
        }
        message
    }
}

/// Masks the user information of all URLs in the text with `***`.
pub fn hide_userinfo(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for range in userinfo(text) {
        shown.push_str(text.get(at..range.start).unwrap_or_default());
        shown.push_str(MASK);
        at = range.end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    shown
}

/// Returns the ranges of user information: from `://` to the last `@` before a blank or a quotation mark.
///
/// This masks too much rather than too little, because passwords with unescaped `/` or `?` are a common mistake.
fn userinfo(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("://")) {
        let start = at + found + 3;
        let rest = text.get(start..).unwrap_or_default();
        let length = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`'))
            .unwrap_or(rest.len());
        if let Some(end) = rest.get(..length).and_then(|url| url.rfind('@')) {
            ranges.push(start..start + end);
        }
        at = start + length;
    }
    ranges
}

/// Returns whether the name of a key looks secret.
pub(crate) fn looks_secret(key: &str) -> bool {
    const PARTS: &[&str] = &[
        "passw",
        "passphrase",
        "pwd",
        "secret",
        "token",
        "credential",
        "apikey",
        "privatekey",
        "accesskey",
    ];
    let folded: String = key
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    PARTS.iter().any(|part| folded.contains(part))
        || crate::near::nearest(
            &folded,
            [
                "password",
                "passphrase",
                "secret",
                "token",
                "credential",
                "apikey",
            ],
        )
        .is_some()
}

/// Returns the ranges to mask in a text that is not valid YAML: the text after a key that looks secret, and the following lines with
/// deeper indentation.
pub(crate) fn by_lines(text: &str, secret: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut below: Option<usize> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let end = start + body.len();
        let indent = body.len() - body.trim_start().len();
        let blank = body.trim_start().is_empty();
        if below.is_some_and(|level| blank || indent > level) {
            ranges.push(start + indent..end);
        } else {
            below = None;
            // Checks each `key:` of the line, as in `{user: x, password: y}`. The first secret key masks the rest.
            let mut at = 0;
            while let Some(colon) = body.get(at..).and_then(|rest| rest.find([':', '='])) {
                let colon = at + colon;
                let before = body.get(..colon).unwrap_or_default();
                let key = before
                    .rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'')))
                    .next();
                if key.is_some_and(|key| !key.is_empty() && secret(key.trim_matches(['"', '\'']))) {
                    ranges.push(start + colon + 1..end);
                    below = Some(indent);
                    break;
                }
                at = colon + 1;
            }
        }
        start += line.len();
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userinfo_is_masked_in_any_text() {
        assert_eq!(
            hide_userinfo("to amqp://u:p@h:1/x and http://h/"),
            "to amqp://***@h:1/x and http://h/"
        );
        assert_eq!(hide_userinfo("rabbit://u:p@h1,v:q/r@h2/"), "rabbit://***@h2/");
        assert_eq!(hide_userinfo("http://example.test/"), "http://example.test/");
    }

    #[test]
    fn spans_move_with_masks() {
        let text = "password: hunter2, port: x";
        let redaction = Redaction::new(text, vec![10..13, 13..17], &Words::default());
        let (shown, spans) = redaction.show(text, 0..text.len(), &[10..17, 19..23, 25..26]);
        assert_eq!(shown, "password: ***, port: x");
        let shown: Vec<_> = spans.into_iter().map(|span| shown[span].to_owned()).collect();
        assert_eq!(shown, ["***", "port", "x"]);
    }

    #[test]
    fn words_are_masked_everywhere() {
        let mut words = Words::default();
        words.add("hunter2");
        words.add("abc");
        assert_eq!(words.hide("hunter2 abc"), "*** abc");
        let text = "x: hunter2hunter2 # hunter2";
        assert_eq!(
            Redaction::new(text, vec![], &words)
                .show(text, 0..text.len(), &[])
                .0,
            "x: *** # ***"
        );
    }

    #[test]
    fn lines_below_a_secret_key_are_masked() {
        let text = "a: 1\npassword: |\n  hunter2\n  x\nb: {c: 1, 'token': t1}\nd: 2\n";
        let ranges = by_lines(text, looks_secret);
        let (shown, _) = Redaction::new(text, ranges, &Words::default()).show(text, 0..text.len(), &[]);
        assert_eq!(
            shown,
            "a: 1\npassword:***\n  ***\n  ***\nb: {c: 1, 'token':***\nd: 2\n"
        );
    }

    #[test]
    fn misspelled_secrets_look_secret() {
        for key in [
            "password",
            "pasword",
            "OS_PASSWORD",
            "api-key",
            "client_secret",
            "secrett",
        ] {
            assert!(looks_secret(key), "{key}");
        }
        for key in ["name", "interval", "url", "meters", "queue"] {
            assert!(!looks_secret(key), "{key}");
        }
    }
}
