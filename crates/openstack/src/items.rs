//! Reads the entries of a JSON list one by one while its document arrives.
//!
//! A listing may hold a hundred thousand entries in one document. Its bytes are looked at once, to find where
//! each entry ends; one entry is then parsed by itself, so that neither the document nor its values stand in
//! memory together, and an entry that does not have the expected form costs itself alone. Of what stands beside the list (links to further
//! pages, totals) small values are kept.

use memchr::memchr2;
use serde_json::{Map, Value};

/// No entry, and no value beside the list, is longer.
pub(crate) const MAX_VALUE: usize = 1024 * 1024;

/// No more values than this are kept from beside the list.
const MAX_ASIDE: usize = 64;

/// Where in the document the list stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// The document is the list.
    Document,
    /// The document is an object, and the list is its member of this name.
    Member(&'static str),
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("expected {expected} at byte {at}")]
    Syntax { expected: &'static str, at: u64 },
    #[error("it ends after {0} bytes, before it is complete")]
    Truncated(u64),
    #[error("it has no list `{0}`")]
    NoList(&'static str),
    #[error("a value at byte {0} is longer than {MAX_VALUE} bytes")]
    TooLong(u64),
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub(crate) enum Step<'a> {
    /// Here is an entry: the bytes of one JSON value (that it is one has still to be seen).
    Entry(&'a [u8]),
    /// More of the document is needed.
    More,
}

/// A document that arrives.
#[derive(Debug)]
pub(crate) struct Items {
    list: List,
    buffer: Vec<u8>,
    /// What lies before this was dealt with.
    begin: usize,
    /// How much of the value at `begin` was looked at.
    scan: Scan,
    /// How many bytes lie before the buffer.
    passed: u64,
    state: State,
    found: bool,
    aside: Map<String, Value>,
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
    /// Nothing but white space.
    End,
}

/// How far a value was looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Scan {
    /// Goes on in a text, as far as it has arrived; whether its end was found.
    fn pass_text(&mut self, value: &[u8]) -> bool {
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
            passed: 0,
            state: State::Document,
            found: false,
            aside: Map::new(),
        }
    }

    /// Adds a part of the document.
    pub(crate) fn push(&mut self, part: &[u8]) {
        self.buffer.drain(..self.begin);
        self.passed += self.begin as u64;
        self.begin = 0;
        self.buffer.extend_from_slice(part);
    }

    /// The next entry, if it has arrived.
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
                    let name = self.parse::<String>(end).ok_or_else(|| self.expected("a text"))?;
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
                    if self.aside.len() < MAX_ASIDE {
                        self.aside.insert(name, value);
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

    /// The document has arrived: gives what stood beside the list.
    ///
    /// # Errors
    ///
    /// When the document is not complete, or has no list.
    pub(crate) fn finish(self) -> Result<Map<String, Value>, DocumentError> {
        if self.state == State::Document && self.list == List::Document && self.is_empty() {
            return Ok(self.aside);
        }
        if self.state != State::End {
            return Err(DocumentError::Truncated(self.passed + self.buffer.len() as u64));
        }
        match self.list {
            List::Member(name) if !self.found => Err(DocumentError::NoList(name)),
            _ => Ok(self.aside),
        }
    }

    /// Nothing has arrived: so a service may say that there is nothing.
    fn is_empty(&self) -> bool {
        self.passed == 0 && self.buffer.is_empty()
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

    /// Where the value at `begin` ends, if its end has arrived. Brackets are counted and no more: that the
    /// value is JSON is seen when it is parsed.
    fn value_end(&mut self) -> Result<Option<usize>, DocumentError> {
        let mut scan = self.scan;
        let value = self.buffer.get(self.begin..).unwrap_or_default();
        while let Some(byte) = value.get(scan.at) {
            if scan.in_text {
                if scan.pass_text(value) && scan.depth == 0 {
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
                // The end of a number or a word, which belongs to what comes after.
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
        self.passed + self.begin as u64
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

    /// The entries and what stands aside, when the document arrives in parts of this size.
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
        let aside = items.finish()?;
        Ok((entries, Value::Object(aside).to_string()))
    }

    const PAGE: &str = r#" { "first" : "/v2/images", "images" : [ {"id": "a]}\"", "tags": ["{", 1]} , "b", 3.5e1 ,null, [] ],
        "next": "/v2/images?marker=b", "n": -1, "links": {"self": null}, "schema": [] } "#;

    #[test]
    fn entries_come_as_they_stand_and_what_is_beside_them_is_kept() {
        for part in 1..PAGE.len() + 1 {
            let (entries, aside) = read(List::Member("images"), PAGE, part).unwrap();
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
                aside,
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
    fn a_document_that_is_not_what_it_should_be_is_refused() {
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
                             it ends after 0 bytes, before it is complete
        <html>               expected an object at byte 0
        []                   expected an object at byte 0
        {}                   it has no list `l`
        {"x": 1}             it has no list `l`
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
        {"l": [{"a": [1, 2   it ends after 18 bytes, before it is complete
        "#);
    }

    #[test]
    fn an_endless_value_is_not_collected() {
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
        fn a_list_is_read_as_a_parser_reads_it_wherever_it_is_cut(
            entries in prop::collection::vec(value(), 0..5),
            aside in value(),
            part in 1usize..40,
        ) {
            let document = json!({ "before": aside, "list": entries, "after": aside }).to_string();
            let (found, kept) = read(List::Member("list"), &document, part).unwrap();
            let found: Vec<Value> = found.iter().map(|entry| serde_json::from_str(entry).unwrap()).collect();
            prop_assert_eq!(found, entries);
            prop_assert_eq!(kept, json!({ "before": aside, "after": aside }).to_string());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
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
