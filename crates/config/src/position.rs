//! Where each value of a YAML text is written, and the limits that keep hostile texts harmless.
//!
//! The values themselves come from [`yaml`](crate::yaml). This is a second look at the same text with a parser that tells
//! positions and expands nothing: what an alias refers to is one node, however often it is referred to.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::path::{Segment, ValuePath};
use crate::problem::Problem;

/// Deeper nesting is refused: no configuration needs it, and parsers recurse.
pub const MAX_DEPTH: usize = 64;

/// More values than this in one file are refused, each use of an alias counted in full.
pub const MAX_VALUES: usize = 300_000;

/// More brackets than this open at once end the look before it begins: parsers take very long over such a text, which is nothing but
/// hostile. Brackets are counted wherever they stand, in quotation marks too, hence so many.
const MAX_BRACKETS: usize = 1_000;

/// After so many flaws nobody wants more.
const MAX_FLAWS: usize = 1_000;

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
    /// Values in it, itself included, with aliases followed.
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
    /// The place of each key's first entry, so that mappings with very many keys are searched quickly.
    index: HashMap<String, usize>,
}

impl Mapping {
    fn get(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).and_then(|place| self.entries.get(*place))
    }
}

#[derive(Debug)]
struct Entry {
    key: String,
    key_span: Range<usize>,
    value: NodeId,
}

/// Where a value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The key that it stands under; none in a list.
    pub(crate) key: Option<Range<usize>>,
    /// The value; for a list or mapping that spreads over lines, from its first character on.
    pub(crate) value: Range<usize>,
    /// Whether the value is a scalar without quotation marks.
    pub(crate) plain: bool,
    /// False if the text has no such value, and this is where the nearest value above it stands.
    pub(crate) exact: bool,
}

/// Something in the text that makes it unusable.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) problem: Problem,
    pub(crate) span: Range<usize>,
    pub(crate) label: String,
    /// Another place that belongs to it.
    pub(crate) also: Option<(Range<usize>, String)>,
}

impl Flaw {
    fn new(problem: Problem, span: Range<usize>, label: impl Into<String>) -> Self {
        Self {
            problem,
            span,
            label: label.into(),
            also: None,
        }
    }
}

/// What the second look at a text gave.
#[derive(Debug)]
pub(crate) struct Survey {
    /// None for a text without any value.
    pub(crate) tree: Option<Tree>,
    /// Flaws in the order of their places.
    pub(crate) flaws: Vec<Flaw>,
}

/// Looks at the whole text. An error is one of syntax, which ends the look.
pub(crate) fn survey(text: &str) -> Result<Survey, Flaw> {
    if let Some(offset) = too_many_brackets(text) {
        let label = format!("with this more than {MAX_BRACKETS} brackets are open");
        return Ok(Survey {
            tree: None,
            flaws: vec![Flaw::new(Problem::TooDeep, offset..offset + 1, label)],
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
        mut flaws,
        ..
    } = builder;
    let tree = root.map(|root| Tree { nodes, root });
    flaws.extend(tree.iter().flat_map(Tree::bad_merges));
    flaws.sort_by_key(|flaw| flaw.span.start);
    Ok(Survey { tree, flaws })
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

fn syntax(text: &str, error: &ScanError) -> Flaw {
    let start = error.marker().byte_offset().unwrap_or(0).min(text.len());
    let end = text
        .get(start..)
        .and_then(|rest| rest.chars().next())
        .map_or(start, |c| start + c.len_utf8());
    Flaw::new(Problem::Syntax, start..end, error.info())
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
    /// What is still open, from the outside in.
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    documents: usize,
    flaws: Vec<Flaw>,
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
                    self.flaws.push(Flaw::new(
                        Problem::SeveralDocuments,
                        span,
                        "a second document begins here",
                    ));
                    return Next::Stop;
                }
                Next::Go
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let span = tag.map_or(span.start, |tag| tag.min(span.start))..span.end;
                if plain && is_too_big(&text) {
                    self.flaws.push(Flaw::new(
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
                    let label = "this refers to a value that it is itself part of";
                    self.flaws.push(Flaw::new(Problem::AliasCycle, span, label));
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
        let label = format!("nested more than {MAX_DEPTH} values deep");
        self.flaws.push(Flaw::new(Problem::TooDeep, span, label));
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

    /// Adds a finished node to what is open.
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
                    let place = mapping.entries.len();
                    mapping.index.entry(key.clone()).or_insert(place);
                    mapping.entries.push(Entry {
                        key,
                        key_span,
                        value: id,
                    });
                }
                None => match text {
                    Some(text) => {
                        if let Some(first) = mapping.get(text) {
                            let mut flaw =
                                Flaw::new(Problem::DuplicateKey, span.clone(), "the same key again");
                            flaw.also = Some((first.key_span.clone(), "first here".to_owned()));
                            self.flaws.push(flaw);
                        }
                        *key = Some((text.to_owned(), span.clone()));
                    }
                    None => {
                        let label = "a key has to be a text, not a list, mapping or alias";
                        self.flaws
                            .push(Flaw::new(Problem::KeyNotText, span.clone(), label));
                        *key = Some((String::new(), span.clone()));
                    }
                },
            },
        }
        if self.flaws.len() >= MAX_FLAWS {
            return Next::Stop;
        }
        if total > MAX_VALUES {
            let label = format!("with this there are more than {MAX_VALUES} values, aliases counted in full");
            self.flaws.push(Flaw::new(Problem::TooMany, span, label));
            return Next::Stop;
        }
        self.deep(level + depth, span)
    }
}

/// Whole numbers that no 64 bits hold. (With more than 128 bits they become floating-point numbers.)
fn is_too_big(text: &str) -> bool {
    text.len() >= 19
        && text.parse::<u64>().is_err()
        && text.parse::<i64>().is_err()
        && (text.parse::<u128>().is_ok() || text.parse::<i128>().is_ok())
}

impl Tree {
    /// Where the value at the path is written, or the nearest value above it.
    ///
    /// A value that came through an alias or a merge key is where it is written, not where it is used.
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
                    // The keys of a mapping that stands for a list.
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

    /// The spans of all scalars at and below the path, aliases followed; for hiding them.
    pub(crate) fn scalars(&self, path: &ValuePath) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        if let Some(id) = self.node(path) {
            self.collect(id, &mut HashSet::new(), &mut spans);
        }
        spans
    }

    /// The spans of the scalars below all keys, at and below the path, that seem to be those of secrets.
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
                // The keys as well: what stands under a secret key was all meant to be secret.
                Kind::Mapping(mapping) => waiting.extend(mapping.entries.iter().map(|entry| {
                    spans.push(entry.key_span.clone());
                    entry.value
                })),
                Kind::Alias(target) => waiting.push(*target),
            }
        }
    }

    /// Whether the document is a mapping.
    pub(crate) fn is_mapping(&self) -> bool {
        matches!(
            self.nodes.get(self.root).map(|node| &node.kind),
            Some(Kind::Mapping(_))
        )
    }

    /// Merge keys whose value is no mapping and no list of mappings.
    fn bad_merges(&self) -> Vec<Flaw> {
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
                Flaw::new(
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

    /// The entry of a mapping under a key, also one that a merge key brings in. `depth` bounds chains of merges.
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
        let tree = survey(text).expect("YAML").tree.expect("a value");
        let found = tree.find(path);
        (&text[found.value], found.exact)
    }

    #[test]
    fn values_are_found_where_they_are_written() {
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
    fn flaws_are_found_at_once() {
        let survey = survey("a: 1\nb: {x: 1, x: 2}\na: 3\n").expect("YAML");
        let flaws: Vec<_> = survey
            .flaws
            .iter()
            .map(|flaw| (flaw.problem, flaw.span.start))
            .collect();
        assert_eq!(flaws, [(Problem::DuplicateKey, 15), (Problem::DuplicateKey, 21)]);
    }

    #[test]
    fn limits_hold() {
        let problem = |text: &str| survey(text).map(|survey| survey.flaws.first().map(|flaw| flaw.problem));
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for level in 1..60 {
            bomb.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
        }
        assert_eq!(problem(&bomb).expect("YAML"), Some(Problem::TooMany));
        // Few levels, but wide: what counts aliases only lets it pass.
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
