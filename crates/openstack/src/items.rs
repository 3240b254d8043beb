//! An incremental reader of the entries of a JSON list.
//!
//! One document may contain a hundred thousand entries. The reader scans each byte once to find the end of each entry,
//! and parses each entry on its own: neither the document nor its values are in memory as a whole, and an entry that
//! does not have the expected form affects no other entry. Small values outside the list (links to further pages,
//! totals) are stored.

use memchr::memchr2;
use serde_json::{Map, Value};

/// The longest entry, and the longest value outside the list.
pub(crate) const MAX_VALUE: usize = 1024 * 1024;

/// The maximum number of values outside the list that are stored.
const MAX_EXTRA: usize = 64;

/// Where in the document the list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// The document is the list.
    Document,
    /// The document is an object, and the list is its member of this name.
    Member(&'static str),
}

/// Why a document is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("expected {expected} at byte {at}")]
    Syntax { expected: &'static str, at: u64 },
    #[error("the document ends after {0} bytes and is incomplete")]
    Truncated(u64),
    #[error("the document has no list `{0}`")]
    NoList(&'static str),
    #[error("a value at byte {0} is longer than {MAX_VALUE} bytes")]
    TooLong(u64),
}

/// The result of a step.
#[derive(Debug, PartialEq)]
pub(crate) enum Step<'a> {
    /// An entry: the bytes of one JSON value, not yet validated.
    Entry(&'a [u8]),
    /// More of the document is needed.
    More,
}

/// A document that arrives in parts.
#[derive(Debug)]
pub(crate) struct Items {
    list: List,
    buffer: Vec<u8>,
    /// Everything before this position is processed.
    begin: usize,
    /// How far the value at `begin` is scanned.
    scan: Scan,
    /// The number of bytes before the buffer.
    consumed: u64,
    state: State,
    found: bool,
    extra: Map<String, Value>,
}

/// What is expected at `begin`.
#[derive(Debug, Clone, PartialEq)]
enum State {
    Document,
    /// A member's name, or the end of the object.
    Name {
        first: bool,
    },
    Colon(String),
    /// The value of the member of this name.
    Value(String),
    /// The comma after a member, or the end of the object.
    AfterMember,
    /// An entry, or the end of the list.
    Entry {
        first: bool,
    },
    /// The comma after an entry, or the end of the list.
    AfterEntry,
    /// White space only.
    End,
}

/// The position of the scan in a value.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Scan {
    /// Scans on within a string, as far as it has arrived. Returns whether its end was found.
    fn scan_text(&mut self, value: &[u8]) -> bool {
        if self.escaped {
            self.escaped = false;
            self.at += 1;
        }
        let rest = value.get(self.at..).unwrap_or_default();
        let Some(skipped) = memchr2(b'"', b'\\', rest) else {
            self.at = value.len();
            return false;
        };
        self.at += skipped + 1;
        self.escaped = rest.get(skipped) == Some(&b'\\');
        self.in_text = self.escaped;
        !self.in_text
    }
}

impl Items {
    pub(crate) fn new(list: List) -> Self {
        Self {
            list,
            buffer: Vec::new(),
            begin: 0,
            scan: Scan::default(),
            consumed: 0,
            state: State::Document,
            found: false,
            extra: Map::new(),
        }
    }

    /// Appends a part of the document.
    pub(crate) fn push(&mut self, part: &[u8]) {
        self.buffer.drain(..self.begin);
        self.consumed += self.begin as u64;
        self.begin = 0;
        self.buffer.extend_from_slice(part);
    }

    /// Returns the next entry if it has arrived.
    pub(crate) fn step(&mut self) -> Result<Step<'_>, DocumentError> {
        loop {
            self.skip_white();
            let Some(byte) = self.buffer.get(self.begin).copied() else {
                return Ok(Step::More);
            };
            match std::mem::replace(&mut self.state, State::End) {
                State::Document => {
                    self.state = match (self.list, byte) {
                        (List::Document, b'[') => State::Entry { first: true },
                        (List::Member(_), b'{') => State::Name { first: true },
                        (List::Document, _) => return Err(self.expected("a list")),
                        (List::Member(_), _) => return Err(self.expected("an object")),
                    };
                    self.found |= self.list == List::Document;
                    self.begin += 1;
                }
                State::Name { first: true } if byte == b'}' => self.begin += 1,
                State::Name { first } => {
                    if byte != b'"' {
                        return Err(self.expected("the name of a member"));
                    }
                    let Some(end) = self.value_end()? else {
                        self.state = State::Name { first };
                        return Ok(Step::More);
                    };
                    let name = self
                        .parse::<String>(end)
                        .ok_or_else(|| self.expected("a string"))?;
                    self.take(end);
                    self.state = State::Colon(name);
                }
                State::Colon(name) => {
                    if byte != b':' {
                        return Err(self.expected("`:`"));
                    }
                    self.begin += 1;
                    self.state = State::Value(name);
                }
                State::Value(name) if self.is_list(&name) => match byte {
                    b'[' => {
                        self.begin += 1;
                        self.found = true;
                        self.state = State::Entry { first: true };
                    }
                    _ => return Err(self.expected("a list")),
                },
                State::Value(name) => {
                    let Some(end) = self.value_end()? else {
                        self.state = State::Value(name);
                        return Ok(Step::More);
                    };
                    let value = self.parse::<Value>(end).ok_or_else(|| self.expected("a value"))?;
                    self.take(end);
                    if self.extra.len() < MAX_EXTRA {
                        self.extra.insert(name, value);
                    }
                    self.state = State::AfterMember;
                }
                State::AfterMember => {
                    match byte {
                        b',' => self.state = State::Name { first: false },
                        b'}' => {}
                        _ => return Err(self.expected("`,` or `}`")),
                    }
                    self.begin += 1;
                }
                State::Entry { first: true } if byte == b']' => self.end_list(),
                State::Entry { first } => {
                    let Some(end) = self.value_end()? else {
                        self.state = State::Entry { first };
                        return Ok(Step::More);
                    };
                    let begin = self.begin;
                    self.take(end);
                    self.state = State::AfterEntry;
                    return Ok(Step::Entry(self.buffer.get(begin..end).unwrap_or_default()));
                }
                State::AfterEntry => match byte {
                    b',' => {
                        self.begin += 1;
                        self.state = State::Entry { first: false };
                    }
                    b']' => self.end_list(),
                    _ => return Err(self.expected("`,` or `]`")),
                },
                State::End => return Err(self.expected("the end")),
            }
        }
    }

    /// Ends the document and returns the values outside the list.
    ///
    /// # Errors
    ///
    /// The document is incomplete, or has no list.
    pub(crate) fn finish(self) -> Result<Map<String, Value>, DocumentError> {
        if self.state == State::Document && self.list == List::Document && self.is_empty() {
            return Ok(self.extra);
        }
        if self.state != State::End {
            return Err(DocumentError::Truncated(self.consumed + self.buffer.len() as u64));
        }
        match self.list {
            List::Member(name) if !self.found => Err(DocumentError::NoList(name)),
            _ => Ok(self.extra),
        }
    }

    /// Whether the document is empty: some services answer with an empty body instead of an empty list.
    fn is_empty(&self) -> bool {
        self.consumed == 0 && self.buffer.is_empty()
    }

    fn is_list(&self, name: &str) -> bool {
        matches!(self.list, List::Member(list) if list == name)
    }

    fn end_list(&mut self) {
        self.begin += 1;
        self.state = match self.list {
            List::Document => State::End,
            List::Member(_) => State::AfterMember,
        };
    }

    fn skip_white(&mut self) {
        let white = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let rest = self.buffer.get(self.begin..).unwrap_or_default();
        self.begin += rest.iter().take_while(white).count();
    }

    /// Returns the end of the value at `begin` if it has arrived. Only brackets are counted; the value is validated when
    /// it is parsed.
    fn value_end(&mut self) -> Result<Option<usize>, DocumentError> {
        let mut scan = self.scan;
        let value = self.buffer.get(self.begin..).unwrap_or_default();
        while let Some(byte) = value.get(scan.at) {
            if scan.in_text {
                if scan.scan_text(value) && scan.depth == 0 {
                    return Ok(Some(self.begin + scan.at));
                }
                continue;
            }
            let at = scan.at;
            scan.at += 1;
            match byte {
                b'"' => scan.in_text = true,
                b'{' | b'[' => scan.depth += 1,
                b'}' | b']' if scan.depth > 0 => {
                    scan.depth -= 1;
                    if scan.depth == 0 {
                        return Ok(Some(self.begin + scan.at));
                    }
                }
                // The end of a number or a literal; the byte belongs to the next token.
                b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r' if scan.depth == 0 => {
                    return if at == 0 {
                        Err(self.expected("a value"))
                    } else {
                        Ok(Some(self.begin + at))
                    };
                }
                _ => {}
            }
        }
        if scan.at > MAX_VALUE {
            return Err(DocumentError::TooLong(self.at()));
        }
        self.scan = scan;
        Ok(None)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, end: usize) -> Option<T> {
        serde_json::from_slice(self.buffer.get(self.begin..end)?).ok()
    }

    fn take(&mut self, end: usize) {
        self.begin = end;
        self.scan = Scan::default();
    }

    fn at(&self) -> u64 {
        self.consumed + self.begin as u64
    }

    fn expected(&self, expected: &'static str) -> DocumentError {
        DocumentError::Syntax {
            expected,
            at: self.at(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Returns the entries and the values outside the list of a document that arrives in parts of this size.
    fn read(list: List, document: &str, part: usize) -> Result<(Vec<String>, String), DocumentError> {
        let mut items = Items::new(list);
        let mut entries = Vec::new();
        let mut parts = document.as_bytes().chunks(part.max(1));
        loop {
            match items.step()? {
                Step::Entry(entry) => entries.push(String::from_utf8_lossy(entry).into_owned()),
                Step::More => match parts.next() {
                    Some(part) => items.push(part),
                    None => break,
                },
            }
        }
        let extra = items.finish()?;
        Ok((entries, Value::Object(extra).to_string()))
    }

    const PAGE: &str = r#" { "first" : "/v2/images", "images" : [ {"id": "a]}\"", "tags": ["{", 1]} , "b", 3.5e1 ,null, [] ],
        "next": "/v2/images?marker=b", "n": -1, "links": {"self": null}, "schema": [] } "#;

    #[test]
    fn entries_are_returned_verbatim_and_values_outside_the_list_are_stored() {
        for part in 1..PAGE.len() + 1 {
            let (entries, extra) = read(List::Member("images"), PAGE, part).unwrap();
            assert_eq!(
                entries,
                [
                    r#"{"id": "a]}\"", "tags": ["{", 1]}"#,
                    r#""b""#,
                    "3.5e1",
                    "null",
                    "[]"
                ]
            );
            assert_eq!(
                extra,
                r#"{"first":"/v2/images","next":"/v2/images?marker=b","n":-1,"links":{"self":null},"schema":[]}"#
            );
        }
        assert_eq!(
            read(List::Document, "[{\"a\":1},2]\n", 1).unwrap().0,
            [r#"{"a":1}"#, "2"]
        );
        assert_eq!(read(List::Document, "[]", 1).unwrap().0.len(), 0);
    }

    #[test]
    fn an_invalid_document_is_rejected() {
        let mut text = String::new();
        for document in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"x": 1}"#,
            r#"{"x": }"#,
            r#"{"x": nil}"#,
            r#"{"x" 1}"#,
            r#"{x: 1}"#,
            r#"{"l": {}}"#,
            r#"{"l": null}"#,
            r#"{"l": [1 2]}"#,
            r#"{"l": [1,]}"#,
            r#"{"l": [,1]}"#,
            r#"{"l": [1}"#,
            r#"{"l": [1], }"#,
            r#"{"l": []} x"#,
            r#"{"l": [{"a": [1, 2"#,
        ] {
            for part in [1, 1000] {
                let error = read(List::Member("l"), document, part).unwrap_err();
                if part == 1 {
                    text += &format!("{document:20} {error}\n");
                }
            }
        }
        insta::assert_snapshot!(text, @r#"
                             the document ends after 0 bytes and is incomplete
        <html>               expected an object at byte 0
        []                   expected an object at byte 0
        {}                   the document has no list `l`
        {"x": 1}             the document has no list `l`
        {"x": }              expected a value at byte 6
        {"x": nil}           expected a value at byte 6
        {"x" 1}              expected `:` at byte 5
        {x: 1}               expected the name of a member at byte 1
        {"l": {}}            expected a list at byte 6
        {"l": null}          expected a list at byte 6
        {"l": [1 2]}         expected `,` or `]` at byte 9
        {"l": [1,]}          expected a value at byte 9
        {"l": [,1]}          expected a value at byte 7
        {"l": [1}            expected `,` or `]` at byte 8
        {"l": [1], }         expected the name of a member at byte 11
        {"l": []} x          expected the end at byte 10
        {"l": [{"a": [1, 2   the document ends after 18 bytes and is incomplete
        "#);
    }

    #[test]
    fn an_endless_value_is_not_buffered() {
        let mut items = Items::new(List::Document);
        items.push(b"[\"");
        let part = vec![b'x'; 64 * 1024];
        let mut pushed = 0;
        let error = loop {
            match items.step() {
                Ok(step) => assert_eq!(step, Step::More),
                Err(error) => break error,
            }
            items.push(&part);
            pushed += part.len();
        };
        assert_eq!(error, DocumentError::TooLong(1));
        assert!(pushed <= MAX_VALUE + 2 * part.len());
    }

    proptest! {
        #[test]
        fn a_list_is_read_as_a_parser_reads_it_for_every_split(
            entries in prop::collection::vec(value(), 0..5),
            extra in value(),
            part in 1usize..40,
        ) {
            let document = json!({ "before": extra, "list": entries, "after": extra }).to_string();
            let (found, outside) = read(List::Member("list"), &document, part).unwrap();
            let found: Vec<Value> = found.iter().map(|entry| serde_json::from_str(entry).unwrap()).collect();
            prop_assert_eq!(found, entries);
            prop_assert_eq!(outside, json!({ "before": extra, "after": extra }).to_string());
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut items = Items::new(List::Member("l"));
            items.push(&bytes);
            while let Ok(Step::Entry(_)) = items.step() {}
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
