//! What no message may show: values of secret fields, user information in URLs, and what placeholders stood for.

use std::ops::Range;

/// What is shown in place of a secret.
pub const MASK: &str = "***";

/// Shorter secrets are hidden where they are written, but not searched for in messages: they would tear up any text.
const MIN_WORD: usize = 4;

/// More secrets than this are not searched for in texts.
const MAX_WORDS: usize = 256;

/// What is to be hidden in one text and in all messages about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction {
    /// In order, without overlaps.
    ranges: Vec<Range<usize>>,
}

impl Redaction {
    /// Hides the ranges, the user information of all URLs, and all words wherever they stand.
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

    /// The window of the text as it may be shown, and where the span comes to lie in it.
    pub(crate) fn show(
        &self,
        text: &str,
        window: Range<usize>,
        spans: &[Range<usize>],
    ) -> (String, Vec<Range<usize>>) {
        let mut shown = String::new();
        // Nowhere yet.
        let nowhere = Range {
            start: usize::MAX,
            end: 0,
        };
        let mut moved: Vec<Range<usize>> = vec![nowhere; spans.len()];
        let mut at = window.start;
        let mut hidden = self
            .ranges
            .iter()
            .filter(|range| range.end > window.start && range.start < window.end);
        // Piece by piece: what is seen, then what is hidden, to the end of the window.
        loop {
            let next = hidden.next();
            let seen = at..next.map_or(window.end, |range| range.start.clamp(at, window.end));
            let from = shown.len();
            shown.push_str(text.get(seen.clone()).unwrap_or_default());
            for (span, moved) in spans.iter().zip(&mut moved) {
                let (start, end) = (span.start.max(seen.start), span.end.min(seen.end));
                if start < end || (span.is_empty() && seen.contains(&span.start)) {
                    moved.start = moved.start.min(from + start - seen.start);
                    moved.end = moved.end.max(from + end.max(start) - seen.start);
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

/// Secrets that are known by their text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn add(&mut self, word: &str) {
        // A secret of several lines shows line by line.
        for line in word.lines().map(str::trim).filter(|line| line.len() >= MIN_WORD) {
            if self.0.len() < MAX_WORDS && !self.0.iter().any(|known| known == line) {
                self.0.push(line.to_owned());
                // The longest first, so that no part of a longer one stays.
                self.0.sort_by_key(|word| std::cmp::Reverse(word.len()));
            }
        }
    }

    /// The message without any of the secrets, and without user information.
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

/// The text with the user information of all URLs in it replaced by `***`.
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

/// Where user information stands: from `://` to the last `@` before a blank or a quotation mark.
///
/// Passwords with unescaped `/` or `?` are a common mistake, so this hides rather too much than too little.
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

/// Whether a key is one whose value somebody would not want to see in a message.
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

/// What to hide in a text that is not YAML, in which nothing is known but lines: what follows a key that looks secret, and the
/// lines below it that are indented further.
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
            // Each `key:` of the line, as in `{user: x, password: y}`; the first secret one hides the rest.
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
    fn userinfo_is_hidden_in_any_text() {
        assert_eq!(
            hide_userinfo("to amqp://u:p@h:1/x and http://h/"),
            "to amqp://***@h:1/x and http://h/"
        );
        assert_eq!(hide_userinfo("rabbit://u:p@h1,v:q/r@h2/"), "rabbit://***@h2/");
        assert_eq!(hide_userinfo("http://example.test/"), "http://example.test/");
    }

    #[test]
    fn spans_move_with_what_is_hidden() {
        let text = "password: hunter2, port: x";
        let redaction = Redaction::new(text, vec![10..13, 13..17], &Words::default());
        let (shown, spans) = redaction.show(text, 0..text.len(), &[10..17, 19..23, 25..26]);
        assert_eq!(shown, "password: ***, port: x");
        let shown: Vec<_> = spans.into_iter().map(|span| shown[span].to_owned()).collect();
        assert_eq!(shown, ["***", "port", "x"]);
    }

    #[test]
    fn words_are_hidden_wherever_they_stand() {
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
    fn lines_below_a_secret_key_are_hidden() {
        let text = "a: 1\npassword: |\n  hunter2\n  x\nb: {c: 1, 'token': t1}\nd: 2\n";
        let ranges = by_lines(text, looks_secret);
        let (shown, _) = Redaction::new(text, ranges, &Words::default()).show(text, 0..text.len(), &[]);
        assert_eq!(
            shown,
            "a: 1\npassword:***\n  ***\n  ***\nb: {c: 1, 'token':***\nd: 2\n"
        );
    }

    #[test]
    fn misspelt_secrets_look_secret() {
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
