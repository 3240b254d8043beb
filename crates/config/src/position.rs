//! The positions of values in a YAML text, and limits for hostile texts.
//!
//! The [`yaml`](crate::yaml) module reads the values. This module scans the same text with a parser that has positions and does not
//! expand aliases: the target of an alias is one node, regardless of the number of its uses.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::path::{Segment, ValuePath};
use crate::problem::Problem;

/// The maximum nesting depth, because parsers recurse.
pub const MAX_DEPTH: usize = 64;

/// The maximum number of values in a file. Each use of an alias counts in full.
pub const MAX_VALUES: usize = 300_000;

/// The maximum number of open brackets before parsing starts, because parsers are very slow with hostile texts. Brackets in quotation
/// marks count as well, so that the limit is high.
const MAX_BRACKETS: usize = 1_000;

/// The maximum number of errors.
const MAX_ERRORS: usize = 1_000;

type NodeId = usize;

/// The nodes of one document.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    root: NodeId,
}

#[derive(Debug)]
struct Node {
    span: Range<usize>,
    kind: Kind,
    /// The number of values, including the node itself and the targets of aliases.
    size: usize,
    depth: usize,
}

#[derive(Debug)]
enum Kind {
    Scalar { plain: bool },
    Sequence(Vec<NodeId>),
    Mapping(Mapping),
    Alias(NodeId),
}

#[derive(Debug, Default)]
struct Mapping {
    entries: Vec<Entry>,
    /// The index of the first entry of each key, for fast lookups in large mappings.
    index: HashMap<String, usize>,
}

impl Mapping {
    fn get(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).and_then(|index| self.entries.get(*index))
    }
}

#[derive(Debug)]
struct Entry {
    key: String,
    key_span: Range<usize>,
    value: NodeId,
}

/// The position of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The key; `None` in a list.
    pub(crate) key: Option<Range<usize>>,
    /// The value. A list or mapping of several lines starts at its first character.
    pub(crate) value: Range<usize>,
    /// Whether the value is a scalar without quotation marks.
    pub(crate) plain: bool,
    /// Whether the value exists. Otherwise this is the position of its nearest parent.
    pub(crate) exact: bool,
}

/// An error in the text that makes it unusable.
#[derive(Debug)]
pub(crate) struct TextError {
    pub(crate) problem: Problem,
    pub(crate) span: Range<usize>,
    pub(crate) label: String,
    /// A related position.
    pub(crate) also: Option<(Range<usize>, String)>,
}

impl TextError {
    fn new(problem: Problem, span: Range<usize>, label: impl Into<String>) -> Self {
        Self {
            problem,
            span,
            label: label.into(),
            also: None,
        }
    }
}

/// The result of a scan.
#[derive(Debug)]
pub(crate) struct Scan {
    /// `None` for a text without values.
    pub(crate) tree: Option<Tree>,
    /// The errors, sorted by position.
    pub(crate) errors: Vec<TextError>,
}

/// Scans a text. Returns an error for invalid syntax, which ends the scan.
pub(crate) fn scan(text: &str) -> Result<Scan, TextError> {
    if let Some(offset) = too_many_brackets(text) {
        let label = format!("more than {MAX_BRACKETS} open brackets");
        return Ok(Scan {
            tree: None,
            errors: vec![TextError::new(Problem::TooDeep, offset..offset + 1, label)],
        });
    }
    let options = granit_parser::options! { emit_comments: false };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax(text, &error))?;
        let range = span.byte_range().unwrap_or(0..0);
        let tag = span.tag_start().and_then(|mark| mark.byte_offset());
        if builder.event(event, range, tag) == Next::Stop {
            break;
        }
    }
    let Builder {
        nodes,
        root,
        mut errors,
        ..
    } = builder;
    let tree = root.map(|root| Tree { nodes, root });
    errors.extend(tree.iter().flat_map(Tree::bad_merges));
    errors.sort_by_key(|error| error.span.start);
    Ok(Scan { tree, errors })
}

fn too_many_brackets(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.bytes().position(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_BRACKETS
    })
}

fn syntax(text: &str, error: &ScanError) -> TextError {
    let start = error.marker().byte_offset().unwrap_or(0).min(text.len());
    let end = text
        .get(start..)
        .and_then(|rest| rest.chars().next())
        .map_or(start, |c| start + c.len_utf8());
    TextError::new(Problem::Syntax, start..end, error.info())
}

#[derive(PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    root: Option<NodeId>,
    /// The open nodes, outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    documents: usize,
    errors: Vec<TextError>,
}

enum Anchor {
    Open,
    Done(NodeId),
}

struct Open {
    anchor: usize,
    start: usize,
    items: Items,
    size: usize,
    depth: usize,
}

enum Items {
    Sequence(Vec<NodeId>),
    Mapping {
        mapping: Mapping,
        key: Option<(String, Range<usize>)>,
    },
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Range<usize>, tag: Option<usize>) -> Next {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.errors.push(TextError::new(
                        Problem::SeveralDocuments,
                        span,
                        "the second document begins here",
                    ));
                    return Next::Stop;
                }
                Next::Go
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let span = tag.map_or(span.start, |tag| tag.min(span.start))..span.end;
                if plain && is_too_big(&text) {
                    self.errors.push(TextError::new(
                        Problem::NumberTooBig,
                        span.clone(),
                        "expected at most 64 bits",
                    ));
                }
                let node = Node {
                    span,
                    kind: Kind::Scalar { plain },
                    size: 1,
                    depth: 1,
                };
                self.put(node, anchor, Some(&text))
            }
            Event::SequenceStart(_, anchor, _) => self.open(anchor, span.start, Items::Sequence(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                let items = Items::Mapping {
                    mapping: Mapping::default(),
                    key: None,
                };
                self.open(anchor, span.start, items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end),
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(Anchor::Done(target)) => {
                    let target = *target;
                    let (size, depth) = self
                        .nodes
                        .get(target)
                        .map_or((1, 1), |node| (node.size, node.depth));
                    self.put(
                        Node {
                            span,
                            kind: Kind::Alias(target),
                            size,
                            depth,
                        },
                        0,
                        None,
                    )
                }
                _ => {
                    let label = "this alias refers to a value that contains it";
                    self.errors.push(TextError::new(Problem::AliasCycle, span, label));
                    Next::Stop
                }
            },
            _ => Next::Go,
        }
    }

    fn open(&mut self, anchor: usize, start: usize, items: Items) -> Next {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor::Open);
        }
        self.open.push(Open {
            anchor,
            start,
            items,
            size: 1,
            depth: 1,
        });
        self.deep(self.open.len(), start..start + 1)
    }

    fn deep(&mut self, depth: usize, span: Range<usize>) -> Next {
        if depth <= MAX_DEPTH {
            return Next::Go;
        }
        let label = format!("more than {MAX_DEPTH} levels");
        self.errors.push(TextError::new(Problem::TooDeep, span, label));
        Next::Stop
    }

    fn close(&mut self, end: usize) -> Next {
        let Some(Open {
            anchor,
            start,
            items,
            size,
            depth,
        }) = self.open.pop()
        else {
            return Next::Go;
        };
        let (kind, end) = match items {
            Items::Sequence(items) => (Kind::Sequence(items), end),
            Items::Mapping { mapping, .. } => (Kind::Mapping(mapping), end),
        };
        self.put(
            Node {
                span: start..end.max(start),
                kind,
                size,
                depth,
            },
            anchor,
            None,
        )
    }

    /// Adds a complete node to its parent.
    fn put(&mut self, node: Node, anchor: usize, text: Option<&str>) -> Next {
        let id = self.nodes.len();
        let (size, depth, span) = (node.size, node.depth, node.span.clone());
        self.nodes.push(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor::Done(id));
        }
        let level = self.open.len();
        let Some(open) = self.open.last_mut() else {
            self.root = Some(id);
            return Next::Go;
        };
        open.size = open.size.saturating_add(size);
        open.depth = open.depth.max(depth + 1);
        let total = open.size;
        match &mut open.items {
            Items::Sequence(items) => items.push(id),
            Items::Mapping { mapping, key } => match key.take() {
                Some((key, key_span)) => {
                    let index = mapping.entries.len();
                    mapping.index.entry(key.clone()).or_insert(index);
                    mapping.entries.push(Entry {
                        key,
                        key_span,
                        value: id,
                    });
                }
                None => match text {
                    Some(text) => {
                        if let Some(first) = mapping.get(text) {
                            let mut error =
                                TextError::new(Problem::DuplicateKey, span.clone(), "second definition");
                            error.also = Some((first.key_span.clone(), "first definition".to_owned()));
                            self.errors.push(error);
                        }
                        *key = Some((text.to_owned(), span.clone()));
                    }
                    None => {
                        let label = "a key must be text, not a list, mapping or alias";
                        self.errors
                            .push(TextError::new(Problem::KeyNotText, span.clone(), label));
                        *key = Some((String::new(), span.clone()));
                    }
                },
            },
        }
        if self.errors.len() >= MAX_ERRORS {
            return Next::Stop;
        }
        if total > MAX_VALUES {
            let label = format!("more than {MAX_VALUES} values, including each use of aliases");
            self.errors.push(TextError::new(Problem::TooMany, span, label));
            return Next::Stop;
        }
        self.deep(level + depth, span)
    }
}

/// Returns whether a text is an integer of more than 64 bits. (An integer of more than 128 bits becomes a floating-point number.)
fn is_too_big(text: &str) -> bool {
    text.len() >= 19
        && text.parse::<u64>().is_err()
        && text.parse::<i64>().is_err()
        && (text.parse::<u128>().is_ok() || text.parse::<i128>().is_ok())
}

impl Tree {
    /// Returns the position of the value at the path, or of its nearest parent.
    ///
    /// A value of an alias or merge key has the position where it is defined.
    pub(crate) fn find(&self, path: &ValuePath) -> Found {
        let mut key = None;
        let mut id = self.target(self.root);
        let mut exact = true;
        for segment in path.segments() {
            let step = match segment {
                Segment::Key(name) => self
                    .entry(id, name, 0)
                    .map(|entry| (Some(entry.key_span.clone()), entry.value)),
                Segment::Index(index) => match self.nodes.get(id).map(|node| &node.kind) {
                    Some(Kind::Sequence(items)) => items.get(*index).map(|item| (None, *item)),
                    // The keys of a mapping that is used as a list.
                    Some(Kind::Mapping(mapping)) => mapping
                        .entries
                        .get(*index)
                        .map(|entry| (Some(entry.key_span.clone()), entry.value)),
                    _ => None,
                },
            };
            let Some((step_key, value)) = step else {
                exact = false;
                break;
            };
            (key, id) = (step_key, self.target(value));
        }
        let (value, plain) = self.nodes.get(id).map_or((0..0, false), |node| {
            (
                node.span.clone(),
                matches!(node.kind, Kind::Scalar { plain: true }),
            )
        });
        Found {
            key,
            value,
            plain,
            exact,
        }
    }

    /// Returns the spans of all scalars at and below the path, with aliases followed, for masking.
    pub(crate) fn scalars(&self, path: &ValuePath) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        if let Some(id) = self.node(path) {
            self.collect(id, &mut HashSet::new(), &mut spans);
        }
        spans
    }

    /// Returns the spans of scalars under keys that look secret, at and below the path.
    pub(crate) fn hidden_under(&self, path: &ValuePath, secret: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        let mut collected = HashSet::new();
        let mut seen = HashSet::new();
        let mut waiting: Vec<NodeId> = self.node(path).into_iter().collect();
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.nodes.get(id).map(|node| &node.kind) {
                Some(Kind::Sequence(items)) => waiting.extend(items),
                Some(Kind::Mapping(mapping)) => {
                    for entry in &mapping.entries {
                        if secret(&entry.key) {
                            self.collect(entry.value, &mut collected, &mut spans);
                        } else {
                            waiting.push(entry.value);
                        }
                    }
                }
                Some(Kind::Alias(target)) => waiting.push(*target),
                Some(Kind::Scalar { .. }) | None => {}
            }
        }
        spans
    }

    fn node(&self, path: &ValuePath) -> Option<NodeId> {
        path.segments().iter().try_fold(self.root, |id, segment| {
            match (segment, self.nodes.get(self.target(id)).map(|node| &node.kind)) {
                (Segment::Key(name), _) => self.entry(self.target(id), name, 0).map(|entry| entry.value),
                (Segment::Index(index), Some(Kind::Sequence(items))) => items.get(*index).copied(),
                _ => None,
            }
        })
    }

    fn collect(&self, id: NodeId, seen: &mut HashSet<NodeId>, spans: &mut Vec<Range<usize>>) {
        let mut waiting = vec![id];
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            let Some(node) = self.nodes.get(id) else { continue };
            match &node.kind {
                Kind::Scalar { .. } => spans.push(node.span.clone()),
                Kind::Sequence(items) => waiting.extend(items),
                // Keys under a secret key are masked as well.
                Kind::Mapping(mapping) => waiting.extend(mapping.entries.iter().map(|entry| {
                    spans.push(entry.key_span.clone());
                    entry.value
                })),
                Kind::Alias(target) => waiting.push(*target),
            }
        }
    }

    /// Returns whether the document is a mapping.
    pub(crate) fn is_mapping(&self) -> bool {
        matches!(
            self.nodes.get(self.root).map(|node| &node.kind),
            Some(Kind::Mapping(_))
        )
    }

    /// Returns errors for merge keys whose value is neither a mapping nor a list of mappings.
    fn bad_merges(&self) -> Vec<TextError> {
        let kind = |id: NodeId| self.nodes.get(self.target(id)).map(|node| &node.kind);
        let is_mapping = |id: NodeId| matches!(kind(id), Some(Kind::Mapping(_)));
        let mappings = self.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Mapping(mapping) => Some(&mapping.entries),
            _ => None,
        });
        mappings
            .flatten()
            .filter(|entry| entry.key == "<<")
            .filter(|entry| match kind(entry.value) {
                Some(Kind::Mapping(_)) => false,
                Some(Kind::Sequence(items)) => !items.iter().all(|item| is_mapping(*item)),
                _ => true,
            })
            .filter_map(|entry| self.nodes.get(entry.value))
            .map(|node| {
                TextError::new(
                    Problem::Merge,
                    node.span.clone(),
                    "expected a mapping or a list of mappings",
                )
            })
            .collect()
    }

    fn target(&self, id: NodeId) -> NodeId {
        match self.nodes.get(id).map(|node| &node.kind) {
            Some(Kind::Alias(target)) => *target,
            _ => id,
        }
    }

    /// Returns the entry of a key, including merged entries. `depth` bounds chains of merges.
    fn entry(&self, id: NodeId, name: &str, depth: usize) -> Option<&Entry> {
        let Kind::Mapping(mapping) = &self.nodes.get(id)?.kind else {
            return None;
        };
        if let Some(entry) = mapping.get(name) {
            return Some(entry);
        }
        if depth > MAX_DEPTH {
            return None;
        }
        let merged = self.target(mapping.get("<<")?.value);
        match &self.nodes.get(merged)?.kind {
            Kind::Sequence(items) => items
                .iter()
                .find_map(|item| self.entry(self.target(*item), name, depth + 1)),
            _ => self.entry(merged, name, depth + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(text: &'a str, path: &ValuePath) -> (&'a str, bool) {
        let tree = scan(text).expect("YAML").tree.expect("a value");
        let found = tree.find(path);
        (&text[found.value], found.exact)
    }

    #[test]
    fn values_have_the_position_of_their_definition() {
        let text = "base: &base {interval: 60, name: x}\nsources:\n  - <<: *base\n    name: y\n    meters: &m [cpu]\n  - meters: *m\n";
        let source = ValuePath::top().at("sources").at(0);
        assert_eq!(found(text, &source.at("interval")), ("60", true));
        assert_eq!(found(text, &source.at("name")), ("y", true));
        assert_eq!(
            found(text, &ValuePath::top().at("sources").at(1).at("meters").at(0)),
            ("cpu", true)
        );
        assert!(!found(text, &source.at("timeout")).1);
    }

    #[test]
    fn all_errors_are_found() {
        let scan = scan("a: 1\nb: {x: 1, x: 2}\na: 3\n").expect("YAML");
        let errors: Vec<_> = scan
            .errors
            .iter()
            .map(|error| (error.problem, error.span.start))
            .collect();
        assert_eq!(errors, [(Problem::DuplicateKey, 15), (Problem::DuplicateKey, 21)]);
    }

    #[test]
    fn limits_are_enforced() {
        let problem = |text: &str| scan(text).map(|scan| scan.errors.first().map(|error| error.problem));
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for level in 1..60 {
            bomb.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
        }
        assert_eq!(problem(&bomb).expect("YAML"), Some(Problem::TooMany));
        // Few levels but many values: a limit on aliases alone would accept it.
        let wide = format!(
            "a: &a [{}]\nb: [{}]\n",
            "x, ".repeat(20_000),
            "*a, ".repeat(20_000)
        );
        assert_eq!(problem(&wide).expect("YAML"), Some(Problem::TooMany));
        let mut deep = String::from("a0: &a0 [x]\n");
        for level in 1..70 {
            deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert_eq!(problem(&deep).expect("YAML"), Some(Problem::TooDeep));
        let brackets = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(problem(&brackets).expect("YAML"), Some(Problem::TooDeep));
        assert_eq!(problem("a: &a [*a]").expect("YAML"), Some(Problem::AliasCycle));
    }
}
